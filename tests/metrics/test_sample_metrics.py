"""Metrics of samples, on sets made so that the answer is known: closed forms, equal sets, by hand, under the null."""

import math

import numpy as np
import pytest

from minigen.metrics.bootstrap import bootstrap, of_mean
from minigen.metrics.frechet import Moments, between, frechet, frechet_distance, symmetric_root
from minigen.metrics.inception_score import inception_score
from minigen.metrics.manifold import expected_coverage, manifold, within
from minigen.metrics.two_sample import two_sample
from minigen.random import Key


def normal(shape, *path):
    return Key(7).at(*path).normal(shape, np.float64)


# ---- Frechet distance


def gaussians(D=5):
    """Two Gaussians that share no direction, and their distance by the text book's formula, in exact eigenvalues."""
    a, b = normal((D, D), "a"), normal((D, D), "b")
    return normal(D, "m"), a @ a.T, normal(D, "n"), b @ b.T


def test_frechet_of_two_known_gaussians_is_the_closed_form():
    """Where the covariances share their directions: sum (m - n)^2 + sum (sqrt s - sqrt t)^2."""
    turn = np.linalg.qr(normal((6, 6), "q"))[0]
    s, t = np.array([9.0, 4, 1, 0.25, 0.01, 2]), np.array([1.0, 4, 16, 0.04, 0.09, 1e-3])
    m, n = normal(6, "m6"), normal(6, "n6")
    exact = ((m - n) ** 2).sum() + ((np.sqrt(s) - np.sqrt(t)) ** 2).sum()
    assert abs(between(m, (turn * s) @ turn.T, n, (turn * t) @ turn.T) - exact) < 1e-8


def test_frechet_in_the_plane_is_the_closed_form():
    """Of 2 x 2 matrices tr sqrt(A) = sqrt(tr A + 2 sqrt det A), and S T has the eigenvalues of the symmetric product."""
    m, S, n, T = gaussians(2)
    exact = (
        ((m - n) ** 2).sum()
        + np.trace(S + T)
        - 2 * math.sqrt(np.trace(S @ T) + 2 * math.sqrt(np.linalg.det(S) * np.linalg.det(T)))
    )
    assert abs(between(m, S, n, T) - exact) < 1e-8
    assert exact > 0.1


def test_frechet_is_the_four_traces():
    from scipy.linalg import sqrtm

    m, S, n, T = gaussians()
    assert between(m, S, n, T) == pytest.approx(((m - n) ** 2).sum() + np.trace(S + T - 2 * sqrtm(S @ T)).real, abs=1e-8)
    assert between(n, T, m, S) == pytest.approx(between(m, S, n, T), rel=1e-12)


def test_frechet_of_equal_sets_is_zero_even_where_directions_are_missing():
    x = normal((200, 8), "x") * 10.0 ** -np.arange(8) + 100
    x[:, 5] = 3.0  # a feature that never changes
    x[:, 6] = x[:, 0] + x[:, 1]
    assert 0 <= frechet_distance(x, x) < 1e-20
    assert frechet_distance(x, x[Key(0).permutation(200)]) < 1e-18
    assert frechet_distance(x, x + np.eye(8)[2]) == pytest.approx(1, rel=1e-12)


def test_frechet_sees_small_differences_that_traces_would_round_away():
    x = normal((500, 4), "x4")
    assert frechet_distance(x, x * (1 + 1e-9)) == pytest.approx(1e-18 * (x**2).sum() / 499, rel=0.02)


@pytest.mark.parametrize("block", [1, 7, 64, 1000, 5000])
def test_frechet_does_not_depend_on_the_block(block):
    x, y = 50 + normal((1000, 6), "x6").astype(np.float32), 50.1 + normal((800, 6), "y6").astype(np.float32)
    whole = frechet_distance(x, y, 10_000)
    assert frechet_distance(x, y, block) == pytest.approx(whole, rel=1e-9)
    assert frechet_distance(x, y, block) == frechet_distance(x, y, block)


def test_moments_are_those_of_numpy_however_they_come():
    x = 1e4 + normal((301, 3), "x3") * [1, 10, 100]
    moments = Moments()
    for part in np.split(x, [0, 1, 2, 100, 100, 300]):
        moments.add(part)
    assert moments.count == 301
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(moments.covariance, np.cov(x.T), rtol=1e-9)


def test_frechet_has_the_bias_it_is_said_to_have():
    D, n = 4, 400
    found = [frechet_distance(normal((n, D), "l", i), normal((n, D), "r", i)) for i in range(200)]
    said = 2 * D / n + D * (D + 1) / (2 * n)
    assert np.mean(found) == pytest.approx(said, rel=0.08)


def test_frechet_refuses():
    with pytest.raises(ValueError, match=r"6 rows of 6 features: their covariance has rank 5.*Use more than 6 rows"):
        frechet_distance(normal((6, 6), "few"), normal((100, 6), "many"))
    frechet_distance(normal((7, 6), "enough"), normal((100, 6), "many"))
    with pytest.raises(ValueError, match="1 of 9 rows are not finite"):
        frechet_distance(np.where(np.arange(9)[:, None] == 3, np.nan, normal((9, 2), "bad")), normal((9, 2), "good"))
    five = Moments.of(np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"rows \(n, 2\), got \(4, 3\)"):
        five.add(np.ones((4, 3)))
    with pytest.raises(ValueError, match="two Gaussians of one dimension"):
        between(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
    with pytest.raises(ValueError, match="block of 0"):
        frechet_distance(np.ones((9, 2)), np.ones((9, 2)), 0)
    with pytest.raises(ValueError, match="0 rows of 0 features"):
        frechet(Moments(), Moments())


def test_a_symmetric_root_squares_to_what_it_is_of():
    _, S, _, _ = gaussians()
    root = symmetric_root(S)
    np.testing.assert_allclose(root @ root, S, atol=1e-12)
    np.testing.assert_allclose(root, root.T, atol=1e-13)


# ---- inception score


def test_inception_score_of_known_distributions():
    assert inception_score(np.eye(10)[np.arange(50) % 10]) == pytest.approx(10)  # sure, and all classes alike
    assert inception_score(np.full((7, 10), 0.1)) == pytest.approx(1)  # knows nothing
    assert inception_score(np.eye(4)[[2, 2, 2]]) == pytest.approx(1)  # one class alone
    assert inception_score(np.eye(4)[[0, 0, 0, 1]]) == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
    p = np.array([[0.8, 0.2], [0.4, 0.6]])
    kl = [(row * np.log(row / p.mean(0))).sum() for row in p]
    assert inception_score(p) == pytest.approx(math.exp(np.mean(kl)), rel=1e-14)
    assert inception_score(p[::-1].astype(np.float32)) == pytest.approx(inception_score(p), rel=1e-6)


@pytest.mark.parametrize("bad", [np.array([[0.5, 0.6]]), np.array([[np.nan, 1]]), np.array([[1.5, -0.5]])])
def test_inception_score_refuses_what_is_no_distribution(bad):
    with pytest.raises(ValueError, match="1 of 2 rows are no distributions, the first is row 1"):
        inception_score(np.concatenate([[[0.5, 0.5]], bad]))
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        inception_score(np.ones(3))


# ---- balls


def by_definition(x, y, k):
    """The four figures from all distances, pair by pair."""
    apart = lambda a, b: np.sqrt(((a[:, None] - b) ** 2).sum(2))
    reach = lambda a: np.sort(apart(a, a), 1)[:, k]
    inside, back = apart(x, y) <= reach(x)[:, None], apart(y, x) <= reach(y)[:, None]
    return {
        "precision": inside.any(0).mean(),
        "recall": back.any(0).mean(),
        "density": inside.sum(0).mean() / k,
        "coverage": inside.any(1).mean(),
    }


@pytest.mark.parametrize("block", [1, 9, 500])
@pytest.mark.parametrize("k", [1, 4])
def test_balls_are_their_definition_pair_by_pair(k, block):
    x, y = normal((60, 3, 2), "bx"), 0.5 + 0.8 * normal((45, 3, 2), "by")
    found = manifold(x, y, k, block)
    assert found.means == pytest.approx(by_definition(x.reshape(60, -1), y.reshape(45, -1), k), abs=1e-12)
    assert 0.1 < found.means["coverage"] < 0.95


@pytest.mark.parametrize("block", [1, 4, 256])
def test_equal_sets_have_every_row_on_an_edge(block):
    """Each ball has its k neighbours and its centre in it, the last neighbour exactly on the edge: density (k + 1) / k."""
    x = 1000 + normal((80, 30), "edge")
    found = manifold(x, x.copy(), 5, block)
    assert found.means == {"precision": 1, "recall": 1, "density": pytest.approx(6 / 5, abs=1e-12), "coverage": 1}


def test_the_truth_scores_what_it_is_expected_to():
    runs = [manifold(normal((300, 8), "t", i), normal((200, 8), "u", i), 5).means for i in range(20)]
    mean = {name: np.mean([run[name] for run in runs]) for name in runs[0]}
    assert mean["coverage"] == pytest.approx(expected_coverage(300, 200), abs=0.012)
    assert mean["density"] == pytest.approx(1, abs=0.05)
    assert expected_coverage(10**6, 10**6) == pytest.approx(1 - 2**-5, abs=1e-5)


def test_half_of_the_modes_and_an_outlier():
    centres = np.array([[0.0, 0], [100, 0]])
    x = centres[np.arange(200) % 2] + normal((200, 2), "modes")
    y = normal((200, 2), "one")
    found = manifold(x, y, 5).means
    assert found["precision"] > 0.9
    assert found["recall"] < 0.55
    assert found["coverage"] < 0.52
    with_outlier = np.concatenate([x, [[5000.0, 0]]])  # its ball reaches almost to the second mode
    between = manifold(with_outlier, y + np.array([120, 0]), 5).means
    assert between["precision"] == 1
    assert between["density"] == pytest.approx(1 / 5)


def test_within_is_exact_at_the_edge():
    centres, points = np.array([[1e6, 0.0]]), 1e6 + np.array([[3.0, 4.0 - 1e6], [3.0, 4.0 - 1e6 + 1e-6], [0.0, -1e6]])
    apart = np.sqrt(((centres - points) ** 2).sum(1))
    assert within(centres, points, apart[:1]).tolist() == [[True, False, True]]


def test_balls_refuse():
    with pytest.raises(ValueError, match=r"more than 5 rows of one shape, got \(9, 2\) and \(5, 2\)"):
        manifold(np.ones((9, 2)), np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"got \(9, 2\) and \(9, 3\)"):
        manifold(np.ones((9, 2)), np.ones((9, 3)))
    with pytest.raises(ValueError, match="not finite"):
        manifold(np.full((9, 2), np.nan), np.ones((9, 2)))


# ---- the two-sample test


def test_the_truth_cannot_be_told_apart():
    found = [two_sample(normal((100, 3), "p", i), normal((100, 3), "q", i), Key(i), deals=99) for i in range(40)]
    assert np.mean([f.accuracy for f in found]) == pytest.approx(99 / 199, abs=0.03)
    p = np.array([f.p_value for f in found])
    assert (p <= 0.1).mean() < 0.3  # about uniform
    assert p.mean() == pytest.approx(0.5, abs=0.17)


def test_sets_apart_are_told_and_copies_are_below_chance():
    x = normal((80, 3), "apart")
    far = two_sample(x, x + 20, Key(0))
    assert (far.accuracy, far.real, far.fake, far.p_value) == (1, 1, 1, 1 / 1000)
    copies = two_sample(x, x + 1e-9, Key(0))
    assert (copies.accuracy, copies.p_value) == (0, 1 / 1000)
    one = two_sample(x, np.repeat(x[:2], 40, 0) + 1e-3 * normal((80, 3), "jitter"), Key(0))
    assert one.fake > 0.95
    assert one.real > 0.9
    assert two_sample(x, x + 0.5, Key(3)) == two_sample(x, x + 0.5, Key(3))


def test_the_test_refuses():
    with pytest.raises(ValueError, match="got 5 real rows and 6"):
        two_sample(np.ones((5, 2)), np.ones((6, 2)), Key(0))


# ---- the bootstrap


def test_an_interval_of_a_mean_holds_the_truth_as_often_as_it_says():
    held = errors = 0
    for i in range(120):
        x = normal(100, "mean", i) ** 2
        found = of_mean(x, Key(i), repeats=100)
        held += found.low < 1 < found.high
        errors += abs(found.error / (x.std() / 10) - 1) < 0.25
        assert found.value == x.mean()
    assert 0.85 < held / 120 < 0.99
    assert errors > 108


def test_an_interval_of_the_frechet_distance_takes_its_bias_away():
    """The truth is 0.25; 120 rows say 0.25 + 0.1 of bias."""
    D, n, held, values = 4, 120, 0, []
    for i in range(40):
        x, y = normal((n, D), "fx", i), normal((n, D), "fy", i) + np.eye(D)[0] / 2
        found = bootstrap(lambda a, b, x=x, y=y: frechet_distance(x[a], y[b]), (n, n), Key(i), repeats=100)
        held += found.low < 0.25 < found.high
        values.append((found.value, found.value - found.bias))
    raw, corrected = np.mean(values, 0)
    assert raw - 0.25 > 0.08
    assert abs(corrected - 0.25) < 0.04
    assert held >= 32


def test_the_bootstrap_is_the_same_again_and_wider_for_a_higher_level():
    x = normal(50, "again")
    assert of_mean(x, Key(1)) == of_mean(x, Key(1)) != of_mean(x, Key(2))
    half, most = of_mean(x, Key(1), level=0.5), of_mean(x, Key(1), level=0.99)
    assert most.low < half.low < half.value < half.high < most.high


def test_the_bootstrap_refuses():
    with pytest.raises(ValueError, match="20 repeats and a level"):
        of_mean(np.ones(4), Key(0), repeats=3)
    with pytest.raises(ValueError, match="got \\(0,\\) rows"):
        of_mean(np.ones(0), Key(0))
    with pytest.raises(ValueError, match="figure is nan"):
        bootstrap(lambda rows: math.nan, 4, Key(0))

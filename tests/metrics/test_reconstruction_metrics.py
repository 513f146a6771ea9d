"""What autoencoders are measured by, on data whose answer is known."""

import numpy as np
import pytest

from minigen.metrics.auroc import auroc, ranks
from minigen.metrics.blocks import in_blocks
from minigen.metrics.compression import Quantiser, entropy_bits, rate_distortion
from minigen.metrics.nearest import nearest
from minigen.metrics.pca import PCA, principal_angles
from minigen.metrics.squared_error import psnr, squared_errors
from minigen.random import Key

key = Key(1)

# ---- auroc


def test_auroc_counts_pairs_and_ties_for_a_half():
    scores = key.at("s").integers(12, 200).astype(float)  # many ties
    positive = key.at("p").bernoulli(0.3, 200)
    pairs = scores[positive][:, None] - scores[~positive]
    assert auroc(scores, positive) == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2, abs=1e-14)


def test_auroc_of_the_best_the_worst_and_a_constant():
    positive = np.array([False, False, True, True])
    assert auroc(np.array([1.0, 2, 3, 4]), positive) == 1
    assert auroc(np.array([4.0, 3, 2, 1]), positive) == 0
    assert auroc(np.full(4, 7.0), positive) == 0.5
    assert ranks(np.array([3.0, 1, 3, 2])).tolist() == [3.5, 1, 3.5, 2]


def test_auroc_depends_on_order_alone_and_turns_with_the_sign():
    scores, positive = key.at("n").normal(500), key.at("q").bernoulli(0.5, 500)
    area = auroc(scores, positive)
    assert auroc(np.exp(scores.astype(np.float64)), positive) == area
    assert auroc(-scores, positive) == pytest.approx(1 - area, abs=1e-14)
    assert auroc(scores[::-1], positive[::-1]) == area


def test_auroc_of_two_gaussians_is_the_normal_integral():
    scores = key.at("g").normal(40_000, np.float64)
    positive = np.arange(40_000) % 2 == 0
    scores[positive] += 1
    assert auroc(scores, positive) == pytest.approx(0.7602, abs=0.01)  # Phi(1 / sqrt 2)


@pytest.mark.parametrize(
    ("scores", "positive", "says"),
    [
        ([1.0, np.nan], [True, False], "NaN"),
        ([1.0, 2.0], [True, True], "got 2 and 0"),
        ([1.0, 2.0], [True], r"\(1,\)"),
        ([1.0, 2.0], [1, 0], "booleans"),
    ],
)
def test_auroc_refuses(scores, positive, says):
    with pytest.raises(ValueError, match=says):
        auroc(np.array(scores), np.array(positive))


# ---- principal components


@pytest.fixture(scope="module")
def tilted():
    """(600, 3, 4) rows whose variances along known orthonormal directions are 25, 9, 4 and little."""
    basis = np.linalg.qr(key.at("basis").normal((12, 12), np.float64))[0]
    z = key.at("z").normal((600, 12), np.float64)
    z = np.linalg.qr(z - z.mean(0))[0] * np.sqrt(600) * np.array([5, 3, 2] + 9 * [0.1])  # exactly uncorrelated
    return (z @ basis.T + 3).reshape(600, 3, 4), basis.T


def test_pca_finds_directions_variances_and_the_least_error(tilted):
    x, basis = tilted
    pca = PCA.fit(x, 3)
    np.testing.assert_allclose(pca.variances, [25, 9, 4], rtol=1e-10)
    np.testing.assert_allclose(np.abs(pca.components @ basis[:3].T), np.eye(3), atol=1e-7)
    np.testing.assert_allclose(pca.mean, 3, atol=1e-10)
    left = squared_errors(pca.reconstruct(x), x).mean() * 12
    assert left == pytest.approx(9 * 0.01, rel=1e-9)  # the variance that was left out
    np.testing.assert_allclose(pca.keep(2).encode(x), pca.encode(x)[:, :2])
    assert (pca.components.max(1) > -pca.components.min(1)).all()  # the signs are settled


def test_pca_with_all_components_gives_everything_back_and_clips(tilted):
    x = tilted[0]
    np.testing.assert_allclose(PCA.fit(x, 12).reconstruct(x), x, atol=1e-10)
    assert PCA.fit(x, 1).reconstruct(x, clip=(0, 1)).max() <= 1
    with pytest.raises(ValueError, match="13 components"):
        PCA.fit(x, 13)


def test_principal_angles():
    a = np.eye(5)[:2]
    tiny = np.array([[np.cos(1e-9), 0, np.sin(1e-9), 0, 0], [0, np.cos(0.3), 0, np.sin(0.3), 0]])
    np.testing.assert_allclose(principal_angles(a, tiny), [1e-9, 0.3], rtol=1e-6)
    np.testing.assert_allclose(principal_angles(a, np.array([[2, 3, 0, 0, 0.0], [1, -1, 0, 0, 0]])), 0, atol=1e-15)
    np.testing.assert_allclose(principal_angles(a, np.eye(5)[3:4]), [np.pi / 2])
    with pytest.raises(ValueError, match="M <= K"):
        principal_angles(np.eye(5)[:1], a)


# ---- nearest neighbours


def test_nearest_is_brute_force_whatever_the_block():
    data, queries = key.at("d").normal((300, 4, 5)), key.at("e").normal((70, 4, 5))
    every = np.sqrt(((queries[:, None].astype(np.float64) - data) ** 2).sum((2, 3)))
    order = np.argsort(every, 1)[:, :6]
    found = nearest(queries, data, 6)
    assert (found.indices == order).all()
    np.testing.assert_allclose(found.distances, np.take_along_axis(every, order, 1), rtol=1e-12)
    for block in (1, 7, 1000):
        again = nearest(queries, data, 6, block=block)
        assert (again.distances == found.distances).all()
        assert (again.indices == found.indices).all()
    assert (nearest(queries[5:9], data, 6).distances == found.distances[5:9]).all()


def test_nearest_is_exact_where_the_expanded_square_cancels():
    data = 1000 + key.at("far").normal((50, 8))
    found = nearest(data, data, 2)
    assert (found.distances[:, 0] == 0).all()
    assert (found.indices[:, 0] == np.arange(50)).all()
    alone = nearest(data, data, 1, leave_out_self=True)
    assert (alone.distances[:, 0] == found.distances[:, 1]).all()


def test_nearest_refuses():
    data = np.zeros((4, 2))
    with pytest.raises(ValueError, match="4 nearest of 3"):
        nearest(data, data, 4, leave_out_self=True)
    with pytest.raises(ValueError, match="not finite"):
        nearest(data, data + np.inf, 1)


# ---- compression


def test_entropy_of_known_distributions():
    columns = np.stack((np.arange(64) % 8, np.zeros(64, int), np.repeat([0, 1, 2, 2], 16)), 1)
    np.testing.assert_allclose(entropy_bits(columns), [3, 0, 1.5], atol=1e-12)


def test_a_quantiser_is_at_most_half_a_step_off_and_clips():
    codes = key.at("c").uniform((1000, 3), np.float64) * np.array([1, 10, 0]) + 5
    for bits in (1, 4, 9):
        q = Quantiser.fit(codes, bits)
        indices = q.indices(codes)
        assert indices.min() >= 0
        assert indices.max() == 2**bits - 1
        assert (np.abs(q.values(indices) - codes) <= q.step / 2 + 1e-12).all()
        assert (q.indices(codes + 100)[:, :2] == 2**bits - 1).all()
        assert (q.values(indices)[:, 2] == 5).all()  # a unit that never changes comes back as it was
        assert (q.indices(codes - 100) == 0).all()
    common = Quantiser.fit(codes, 4, common_step=True)
    assert (common.step == common.step[0]).all()
    assert common.step[0] == q.step.max() * 2**5


def test_rate_and_distortion_of_uniform_codes():
    """Uniform numbers: b bits each, and an error of step^2 / 12."""
    x = key.at("u").uniform((20_000, 2), np.float64)
    points = rate_distortion(lambda rows: rows, lambda codes: codes, x, x, bits=(0, 1, 3, 5))
    for point in points:
        assert point.rate == pytest.approx(2 * point.bits, abs=0.01)
        assert point.mse == pytest.approx(4.0**-point.bits / 12, rel=0.05)


def test_squared_errors_and_decibels():
    x = np.zeros((3, 2, 2))
    y = x + np.array([0.1, 0.01, 0])[:, None, None]
    np.testing.assert_allclose(squared_errors(y, x), [0.01, 0.0001, 0])
    np.testing.assert_allclose(psnr(y, x), [20, 40, np.inf])
    with pytest.raises(ValueError, match="one shape"):
        squared_errors(y, x[:2])


def test_blocks_change_nothing():
    x = key.at("b").normal((23, 3))
    for block in (1, 5, 23, 100):
        assert (in_blocks(lambda rows: 2 * rows, x, block) == 2 * x).all()
    with pytest.raises(ValueError, match="0 rows"):
        in_blocks(lambda rows: rows, x[:0])

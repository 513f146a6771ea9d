"""Disentanglement, on codes made so that the answer is known: each factor in a latent, two latents that share, noise."""

import math

import numpy as np
import pytest

from minigen.data import GlyphFactors
from minigen.metrics import forest
from minigen.metrics.dci import dci
from minigen.metrics.factor_score import factor_score
from minigen.metrics.factors import codes_of
from minigen.metrics.mig import mig, mutual_information, steps
from minigen.models.vae import VAE
from minigen.random import Key


class Toy:
    """A source whose images are the values of its factors."""

    sizes = {"a": 4, "b": 8, "c": 3, "d": 5}  # noqa: RUF012

    def draw(self, n, key):
        return np.stack([key.at(name).integers(count, n) for name, count in self.sizes.items()], 1)

    def images(self, values):
        return values.astype(np.float64)


TOY, KEY = Toy(), Key(4)
VALUES = TOY.draw(4000, KEY)
ANGLE = np.linalg.qr(KEY.at("turn").normal((4, 4), np.float64))[0]


def noise(shape, *path):
    return KEY.at(*path).normal(shape, np.float64)


def scaled(x):
    """Factors of one variance, so that a rotation mixes them alike."""
    return (x - (np.array(list(Toy.sizes.values())) - 1) / 2) / np.sqrt((np.array(list(Toy.sizes.values())) ** 2 - 1) / 12)


def own(x):
    """A latent for each factor, in another order, bent, and one of noise that carries little."""
    return np.stack([-(x[:, 2] ** 2), np.exp(x[:, 0] / 2), 1e-3 * np.sin(1e3 * x.sum(1)), x[:, 3], x[:, 1]], 1)


def mixed(x):
    return scaled(x) @ ANGLE


# ---- the FactorVAE score


def test_a_latent_for_each_factor_scores_one():
    found = factor_score(own, TOY, Key(0), votes=200, rows=20)
    assert found.score == 1
    assert found.used == 4
    assert found.votes.sum() == 200
    assert (found.votes[2] == 0).all()
    assert [int(row.argmax()) for row in found.votes[[0, 1, 3, 4]]] == [2, 0, 3, 1]


def test_noise_scores_chance_and_a_mixture_in_between():
    blind = lambda x: noise((len(x), 5), "blind", int(1e6 * abs(x).sum()) % 2**31)
    chance, between = factor_score(blind, TOY, Key(0), votes=800, rows=20), factor_score(mixed, TOY, Key(0), votes=800, rows=20)
    assert abs(chance.score - 0.25) < 4 * chance.error + 0.02
    assert chance.score + 0.1 < between.score < 0.98


def test_votes_do_not_depend_on_how_they_are_encoded():
    whole = factor_score(mixed, TOY, Key(0), votes=60, rows=10, block=60)
    for block in (1, 7):
        again = factor_score(mixed, TOY, Key(0), votes=60, rows=10, block=block)
        assert (again.score, again.used) == (whole.score, whole.used)
        assert (again.votes == whole.votes).all()
    assert factor_score(mixed, TOY, Key(1), votes=60, rows=10).votes.tolist() != whole.votes.tolist()


def test_the_score_refuses():
    with pytest.raises(ValueError, match="same for all images"):
        factor_score(lambda x: np.ones((len(x), 3)), TOY, Key(0), votes=4)
    with pytest.raises(ValueError, match="finite vectors"):
        factor_score(lambda x: x * np.nan, TOY, Key(0), votes=4)
    with pytest.raises(ValueError, match="got 0 and 64"):
        factor_score(own, TOY, Key(0), votes=0)


# ---- the gap


def test_information_by_hand():
    a, b = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([0, 1, 0, 1, 0, 1, 0, 1])
    assert mutual_information(a, b) == pytest.approx(0, abs=1e-15)
    assert mutual_information(a, a) == pytest.approx(math.log(4))
    assert mutual_information(a, a // 2) == pytest.approx(math.log(2))
    assert mutual_information(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])) == pytest.approx(
        0.5 * math.log(0.5 / (0.5 * 0.75)) + 0.25 * math.log(0.25 / (0.5 * 0.75)) + 0.25 * math.log(0.25 / (0.5 * 0.25))
    )
    assert steps(np.array([0.0, 0.49, 0.5, 1.0]), 2).tolist() == [0, 0, 1, 1]
    assert steps(np.ones(3), 20).tolist() == [0, 0, 0]


def test_the_gap_of_known_codes():
    alone = mig(own(VALUES)[:, [0, 1, 3, 4]], VALUES, bins=200)
    assert alone.mig == pytest.approx(1, abs=0.05)
    twice = mig(np.concatenate([scaled(VALUES), scaled(VALUES)], 1), VALUES)
    assert twice.mig == pytest.approx(0, abs=1e-12)
    half = mig(np.stack([VALUES[:, 1], VALUES[:, 1] // 4, VALUES[:, 0]], 1), VALUES[:, :2])
    np.testing.assert_allclose(half.gaps, [1, 2 / 3], atol=0.02)  # of log 8, log 2 is in the second latent too
    np.testing.assert_allclose(half.entropies, np.log([4, 8]), rtol=2e-3)
    pair = KEY.at("pair").integers(6, (4000, 2))
    turned = mig(np.stack([pair[:, 0] + pair[:, 1], pair[:, 0] - pair[:, 1]], 1), pair)  # both know both alike
    assert turned.mig < 0.02
    dice = np.convolve(np.ones(6), np.ones(6)) / 36
    np.testing.assert_allclose(turned.information, -(dice * np.log(dice)).sum() - math.log(6), atol=0.015)
    assert mig(noise((4000, 4), "n"), VALUES).mig < 0.01


def test_the_gap_refuses():
    with pytest.raises(ValueError, match="factor 1 has the same value"):
        mig(noise((9, 2), "x"), np.stack([np.arange(9), np.zeros(9, int)], 1))
    with pytest.raises(ValueError, match=r"got \(9, 2\) and float64 \(9, 1\)"):
        mig(noise((9, 2), "x"), np.ones((9, 1)))
    with pytest.raises(ValueError, match="2 of 9 codes are not finite"):
        mig(np.where(np.arange(9)[:, None] < 2, np.nan, noise((9, 2), "x")), np.arange(18).reshape(9, 2))


# ---- the forest, and DCI


def test_a_tree_asks_the_question_that_gains_most():
    x = np.array([[0.0, 5], [1, 1], [2, 4], [3, 2], [4, 6], [5, 0]])
    y = np.array([0, 0, 0, 1, 1, 1])
    tree, gains = forest._tree(forest._steps(x, np.quantile(x, np.arange(1, forest.BINS) / forest.BINS, axis=0)), y, 2)
    assert tree.column.tolist() == [0, -1, -1]
    np.testing.assert_allclose(gains, [6 - 3, 0])  # 3^2/3 + 3^2/3 - (3^2 + 3^2)/6
    np.testing.assert_allclose(tree.share, [[0.5, 0.5], [1, 0], [0, 1]])


def test_a_tree_is_grown_as_by_hand_node_by_node():
    """The gain of every question of every node, one at a time, from its definition."""
    x, y = noise((300, 3), "tree"), KEY.at("y").integers(3, 300)
    y = np.where(x[:, 0] * x[:, 1] > 0, y % 2, 2)
    s = forest._steps(x, np.quantile(x, np.arange(1, forest.BINS) / forest.BINS, axis=0))
    tree, gains = forest._tree(s, y, 3)
    purity = lambda rows: sum((y[rows] == c).sum() ** 2 for c in range(3)) / max(1, len(rows))
    total, todo = np.zeros(3), [(0, np.arange(300), 0)]
    while todo:
        node, rows, depth = todo.pop()
        assert tree.share[node] == pytest.approx(np.bincount(y[rows], minlength=3) / len(rows))
        best = max(
            purity(rows[s[rows, j] <= b]) + purity(rows[s[rows, j] > b]) - purity(rows)
            for j in range(3)
            for b in range(forest.BINS)
        )
        if depth == forest.DEPTH or best < 1e-9:
            assert tree.column[node] == -1
            continue
        j, left = tree.column[node], tree.left[node]
        goes = s[rows, j] > tree.step[node]
        gain = purity(rows[~goes]) + purity(rows[goes]) - purity(rows)
        assert gain == pytest.approx(best)
        total[j] += gain
        todo += [(left, rows[~goes], depth + 1), (left + 1, rows[goes], depth + 1)]
    np.testing.assert_allclose(gains, total)


def test_a_forest_learns_what_is_there_and_nothing_from_noise():
    x = noise((2000, 3), "forest")
    y = (x[:, 0] > 0).astype(int) + 2 * (x[:, 2] > 0.5)
    found = forest.grow(x[:1500], y[:1500], Key(0))
    assert (found.predict(x[1500:]) == y[1500:]).mean() > 0.97
    assert found.importance.sum() == pytest.approx(1)
    assert found.importance[1] < 0.05
    assert (found.predict(np.exp(x[1500:])) != y[1500:]).any()
    bent = forest.grow(np.exp(x[:1500]), y[:1500], Key(0))
    np.testing.assert_allclose(bent.importance, found.importance, atol=1e-9)
    constant = forest.grow(np.zeros((50, 2)), np.arange(50) % 2, Key(0))
    assert constant.importance.tolist() == [0, 0]
    assert set(constant.predict(np.zeros((3, 2)))) <= {0, 1}


def test_dci_of_known_codes():
    codes = own(VALUES)[:, [0, 1, 3, 4]]
    alone = dci(codes, VALUES, Key(0))
    assert alone.informativeness == pytest.approx(1, abs=0.01)
    assert alone.disentanglement > 0.97
    assert alone.completeness > 0.97
    assert alone.chance == pytest.approx(np.mean([1 / 4, 1 / 8, 1 / 3, 1 / 5]), abs=0.03)
    assert alone.importance.argmax(0).tolist() == [1, 3, 0, 2]
    np.testing.assert_allclose(alone.importance.sum(0), 1)


def test_dci_tells_disentangled_from_complete():
    a, b = VALUES[:, 0], VALUES[:, 3]
    both = np.stack([a + 4 * b, noise(4000, "other")], 1)  # one latent knows both factors: each is told from one
    one = dci(both, VALUES[:, [0, 3]], Key(0))
    assert one.completeness > 0.8
    assert one.disentanglement < 0.3
    parts = np.stack([a % 2, a // 2, b], 1) + 0.01 * noise((4000, 3), "jitter")  # a factor is in two latents
    two = dci(parts, VALUES[:, [0, 3]], Key(0))
    assert two.disentanglement > 0.8
    assert two.completeness < 0.7
    assert two.informativeness > 0.94


def test_dci_of_noise_is_chance_and_the_same_again():
    codes = noise((1200, 3), "codes")
    found = dci(codes, VALUES[:1200], Key(0))
    assert found.disentanglement < 0.1
    assert abs(found.informativeness - found.chance) < 0.06
    again = dci(codes, VALUES[:1200], Key(0))
    assert found[:4] == again[:4]
    with pytest.raises(ValueError, match="two latents, two factors"):
        dci(codes[:, :1], VALUES[:1200], Key(0))


# ---- on glyphs


def test_an_untrained_encoder_on_glyph_factors_is_the_baseline():
    source = GlyphFactors(16)
    model = VAE((16, 16, 1), Key(0), latents=6)
    encode = lambda images: model.encode(images)[0]
    values = source.draw(1500, Key(1))
    codes = codes_of(encode, source, values)
    np.testing.assert_allclose(codes_of(encode, source, values, 77), codes, rtol=1e-4, atol=1e-5)
    untrained = factor_score(encode, source, Key(2), votes=150, rows=20)
    assert abs(untrained.score - 0.2) < 0.3  # chance, or a little more
    assert untrained.votes.sum() == 150
    assert mig(codes, values).mig < 0.2
    found = dci(codes, values, Key(3), trees=3)
    assert found.disentanglement < 0.5
    assert found.informativeness > found.chance

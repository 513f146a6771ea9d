"""The energy distance: against closed forms, against its definition pair by pair, unbiased; what the truth itself scores."""

import math

import numpy as np
import pytest

from minigen.data import density
from minigen.metrics import energy_distance as module
from minigen.metrics.energy_distance import energy_distance, floor
from minigen.random import Key


def normal(shape, *path):
    return Key(0).at(*path).normal(shape, np.float64)


def mean_distance(shift, sigma):
    """E|d|, d ~ N(shift, sigma^2)."""
    z = shift / sigma
    return sigma * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + shift * math.erf(z / math.sqrt(2))


@pytest.mark.parametrize(("shift", "sigma"), [(0.0, 1.0), (0.5, 1.0), (2.0, 0.5), (0.0, 3.0)])
def test_gaussians_on_a_line_have_a_closed_form(shift, sigma):
    exact = (
        2 * mean_distance(shift, math.hypot(1, sigma)) - mean_distance(0, math.sqrt(2)) - mean_distance(0, sigma * math.sqrt(2))
    )
    found = [energy_distance(normal((400, 1), "x", i), shift + sigma * normal((700, 1), "y", i)) for i in range(40)]
    assert abs(np.mean(found) - exact) < 4 * np.std(found, ddof=1) / math.sqrt(40)
    assert (exact > 0.01) == ((shift, sigma) != (0, 1))


def test_gaussians_in_the_plane_have_one_too():
    """|d| of d ~ N(0, s^2 I) in the plane is Rayleigh's, of mean s sqrt(pi / 2)."""
    exact = math.sqrt(math.pi / 2) * (2 * math.hypot(1, 2) - math.sqrt(2) - 2 * math.sqrt(2))
    found = [energy_distance(normal((500, 2), "x", i), 2 * normal((500, 2), "y", i)) for i in range(30)]
    assert abs(np.mean(found) - exact) < 4 * np.std(found, ddof=1) / math.sqrt(30)


@pytest.mark.parametrize("block", [1, 3, 512])
def test_it_is_its_definition_pair_by_pair(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    x, y = normal((7, 2, 3), "x"), 1 + normal((5, 2, 3), "y")
    apart = lambda a, b: math.sqrt(((a - b) ** 2).sum())
    across = np.mean([apart(a, b) for a in x for b in y])
    within = [np.mean([apart(p[i], p[j]) for i in range(len(p)) for j in range(len(p)) if i != j]) for p in (x, y)]
    assert energy_distance(x, y) == pytest.approx(2 * across - sum(within), rel=1e-12)
    assert energy_distance(y, x) == pytest.approx(energy_distance(x, y), rel=1e-12)
    assert energy_distance(x + 1e4, y + 1e4) == pytest.approx(energy_distance(x, y), rel=1e-9)
    assert energy_distance(3 * x, 3 * y) == pytest.approx(3 * energy_distance(x, y), rel=1e-12)


def test_it_is_unbiased_where_pairing_a_row_with_itself_is_not():
    n, repeats = 10, 2000
    found = [energy_distance(normal((n, 2), "x", i), normal((n, 2), "y", i)) for i in range(repeats)]
    error = np.std(found, ddof=1) / math.sqrt(repeats)
    assert abs(np.mean(found)) < 4 * error
    assert min(found) < 0
    bias = 2 * math.sqrt(math.pi) / n  # of V-statistics: E|x - x'| = sqrt(pi) for N(0, I)
    assert bias > 20 * error


def test_the_floor_shrinks_as_samples_grow():
    ring = density("gaussians8")
    few, many = (floor(ring.sample, n, Key(0), repeats=24) for n in (100, 800))
    for found, n in ((few, 100), (many, 800)):
        assert abs(found.mean) < 4 * found.spread / math.sqrt(24)
        assert 1 < found.spread * n < 20
    by_hand = [
        energy_distance(ring.sample(800, Key(0).at(i, "one")), ring.sample(800, Key(0).at(i, "other"))) for i in range(24)
    ]
    assert many == pytest.approx((np.mean(by_hand), np.std(by_hand) * math.sqrt(24 / 23), 24))
    assert 4 < few.spread / many.spread < 16  # about n


def test_it_says_what_it_cannot_do():
    x = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"two rows of one shape on both sides, got \(3, 2\) and \(3, 1\)"):
        energy_distance(x, x[:, :1])
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(1, 2\)"):
        energy_distance(x, x[:1])
    with pytest.raises(ValueError, match="not finite"):
        energy_distance(x, x * np.nan)
    with pytest.raises(ValueError, match="not 1"):
        floor(lambda n, key: x, 3, Key(0), repeats=1)

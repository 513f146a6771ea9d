"""Mode coverage, on samples of which the answer is known: the truth, one mode, a smaller spread, nothing near."""

import math

import numpy as np
import pytest

from minigen.data import density
from minigen.metrics.modes import PERFECT, SAMPLES, mode_coverage
from minigen.random import Key

RING, GRID = density("ring8"), density("grid25")


@pytest.mark.parametrize("d", [RING, GRID], ids=lambda d: d.name)
def test_the_truth_scores_the_ceiling(d):
    found = [mode_coverage(d.sample(SAMPLES, Key(seed)), *d.modes) for seed in range(20)]
    M = len(d.modes.means)
    assert all((c.samples, c.modes, c.of) == (2500, M, M) for c in found)
    error = math.sqrt(PERFECT * (1 - PERFECT) / (20 * SAMPLES))
    assert abs(np.mean([c.quality for c in found]) - PERFECT) < 4 * error
    # 2 n KL is chi^2 with M - 1 degrees of freedom
    assert abs(np.mean([c.reverse_kl for c in found]) - found[0].kl_floor) < 4 * math.sqrt(2 * (M - 1) / 20) / (2 * SAMPLES)
    assert np.mean([c.sigma_ratio for c in found]) == pytest.approx(1, abs=4 / math.sqrt(4 * 20 * SAMPLES))


def test_the_ceiling():
    assert pytest.approx(0.98889, abs=5e-6) == PERFECT


def test_one_mode_is_collapse():
    x = RING.modes.means[3] + 0.01 * Key(0).normal((1000, 2), np.float64)
    c = mode_coverage(x, *RING.modes)
    assert (c.modes, c.of) == (1, 8)
    assert c.quality > 0.97
    assert c.reverse_kl == pytest.approx(math.log(8))
    assert c.sigma_ratio == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("shrink", "shown"), [(0.0, 0.0), (0.1, 0.1027), (0.5, 0.513)])
def test_a_smaller_spread_scores_more_quality_and_is_seen(shrink, shown):
    means, sigma = GRID.modes
    m = Key(1).integers(25, 20_000)
    x = means[m] + shrink * sigma * Key(2).normal((20_000, 2), np.float64)
    c = mode_coverage(x, means, sigma)
    assert c.modes == 25
    assert c.quality == 1
    assert c.sigma_ratio == pytest.approx(shown, abs=0.005)


def test_shifted_points_have_no_spread():
    means, sigma = GRID.modes
    c = mode_coverage(np.repeat(means + sigma, 4, 0), means, sigma)
    assert (c.modes, c.quality, c.reverse_kl) == (25, 1, 0)
    assert c.sigma_ratio == pytest.approx(0, abs=1e-12)


def test_the_edge_of_quality_and_shares_by_hand():
    means, sigma = np.array([[0.0, 0.0], [10.0, 0.0]]), 1.0
    x = np.array([[2.999, 0.0], [3.001, 0.0], [0.0, -2.0], [7.5, 0.0], [20.0, 0.0], [6.0, 0.0], [4.0, 0.0], [0.0, 0.0]])
    c = mode_coverage(x, means, sigma)
    assert (c.modes, c.quality) == (2, 4 / 8)  # 2.999, -2, 0 are near the first mean; 7.5 the second
    q = np.array([5, 3]) / 8  # by the nearest mean, near or not
    assert c.reverse_kl == pytest.approx((q * np.log(2 * q)).sum())


def test_nothing_near_any_mode():
    c = mode_coverage(np.full((9, 2), 0.5), *RING.modes)
    assert (c.modes, c.quality) == (0, 0)
    assert math.isnan(c.sigma_ratio)


def test_other_types_are_the_same():
    x = RING.sample(500, Key(4))
    assert mode_coverage(x.astype(np.float32), *RING.modes) == pytest.approx(mode_coverage(x, *RING.modes), rel=1e-3)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((5, 3)), r"not samples of shape \(5, 3\)"),
        (np.zeros(5), "at least one point"),
        (np.zeros((0, 2)), "at least one point"),
        (np.array([[0, 0], [np.nan, 0], [np.inf, 1]]), "2 of 3 samples are not finite, the first is row 1"),
    ],
)
def test_what_is_no_sample_is_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        mode_coverage(samples, *RING.modes)

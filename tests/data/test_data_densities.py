"""Densities in the plane: each integrates to 1, has the entropy it states, and samples what it says."""

import math

import numpy as np
import pytest

from minigen.data import DENSITIES, Batches, DataError, density, load
from minigen.random import Key

ALL = list(DENSITIES.values())
MIXTURES = [d for d in ALL if d.modes is not None]
APART = [d for d in MIXTURES if d.name != "gaussians8"]
NAMES = {"ids": lambda d: d.name}


def on_a_grid(log_density, extent, step, middle=(0.0, 0.0)):
    """The integrals of p and of -p log p over a square, by midpoints: exact to rounding for what is smooth and ends inside."""
    axis = np.arange(-extent + step / 2, extent, step)
    x = np.stack(np.meshgrid(axis, axis), 2).reshape(-1, 2) + middle
    logs = log_density(x)
    p = np.exp(logs)
    return p.sum() * step**2, -(p * np.where(p > 0, logs, 0)).sum() * step**2


@pytest.mark.parametrize(
    ("name", "entropy"), [("ring8", -4.293), ("grid25", 0.0653), ("checkerboard", 3.466)], ids=lambda v: str(v)
)
def test_the_entropies_of_the_literature(name, entropy):
    assert density(name).entropy == pytest.approx(entropy, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "extent", "step", "tolerance"),
    [
        ("checkerboard", 5, 0.125, 1e-12),
        ("pinwheel", 7, 0.05, 1e-9),
        ("gaussians8", 10, 0.2, 1e-10),
        ("moons", 5, 0.06, 2e-8),
        ("spirals", 4.2, 0.05, 1e-8),
    ],
)
def test_integral_and_entropy_by_quadrature(name, extent, step, tolerance):
    d = density(name)
    mass, entropy = on_a_grid(d.log_density, extent, step)
    assert mass == pytest.approx(1, abs=tolerance)
    assert entropy == pytest.approx(d.entropy, abs=tolerance)


def test_wide_gaussians_overlap_and_the_closed_form_is_too_high():
    d = density("gaussians8")
    assert d.modes.sigma**2 == pytest.approx(0.316, abs=5e-4)
    assert math.log(8) + 1 + math.log(2 * math.pi * d.modes.sigma**2) - d.entropy == pytest.approx(1.936e-3, abs=1e-6)


@pytest.mark.parametrize("d", APART, **NAMES)
def test_integral_and_entropy_of_mixtures_mode_by_mode(d):
    means, sigma = d.modes
    parts = [on_a_grid(d.log_density, 10 * sigma, sigma / 3, mean) for mean in means]
    mass, entropy = np.sum(parts, 0)
    assert mass == pytest.approx(1, abs=1e-12)
    assert entropy == pytest.approx(d.entropy, abs=1e-10)


@pytest.mark.parametrize("d", ALL, **NAMES)
def test_samples_have_the_entropy(d):
    x = d.sample(20_000, Key(1))
    logs = d.log_density(x)
    assert x.shape == (20_000, 2)
    assert x.dtype == logs.dtype == np.float64
    assert abs(-logs.mean() - d.entropy) <= 4 * logs.std() / math.sqrt(len(logs)) + 1e-12
    assert (np.abs(x) <= d.extent).all()
    assert np.abs(x).max() > 0.7 * d.extent
    np.testing.assert_allclose(d.log_density(x.astype(np.float32)[:50]), logs[:50], atol=2e-3)


@pytest.mark.parametrize("d", ALL, **NAMES)
def test_samples_lie_where_the_density_says(d):
    """Counts in the cells of a coarse grid against the integral of p over each cell, all within 5 standard errors."""
    n, cells, fine = 40_000, 8, 24
    x = d.sample(n, Key(2))
    edges = np.linspace(-d.extent, d.extent, cells + 1)
    counts = np.histogram2d(x[:, 0], x[:, 1], (edges, edges))[0] / n
    if d.modes is None:
        step = 2 * d.extent / (cells * fine)
        axis = np.arange(-d.extent + step / 2, d.extent, step)
        at = np.stack(np.meshgrid(axis, axis, indexing="ij"), 2).reshape(-1, 2)
        mass = np.exp(d.log_density(at)).reshape(cells, fine, cells, fine).sum((1, 3)) * step**2
    else:
        phi = np.vectorize(lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2))))
        steps = np.diff(phi((edges[:, None, None] - d.modes.means) / d.modes.sigma), axis=0)  # (cells, M, 2)
        mass = np.einsum("im,jm->ij", steps[..., 0], steps[..., 1]) / len(d.modes.means)
    assert (np.abs(counts - mass) <= 5 * np.sqrt(mass / n) + 2e-4).all()


@pytest.mark.parametrize("d", MIXTURES, **NAMES)
def test_modes_are_hit_alike(d):
    means, sigma = d.modes
    x = d.sample(25_000, Key(3))
    squares = ((x[:, None] - means) ** 2).sum(2)
    counts = np.bincount(squares.argmin(1), minlength=len(means))
    expected = len(x) / len(means)
    chi2, freedom = ((counts - expected) ** 2 / expected).sum(), len(means) - 1
    assert abs(chi2 - freedom) < 4 * math.sqrt(2 * freedom)
    assert np.sqrt(squares.min(1).mean() / 2) == pytest.approx(sigma, rel=0.02)


def test_the_modes_are_where_the_literature_has_them():
    ring, grid = density("ring8").modes, density("grid25").modes
    assert (ring.means.shape, ring.sigma, grid.means.shape, grid.sigma) == ((8, 2), 0.01, (25, 2), 0.05)
    np.testing.assert_allclose((ring.means**2).sum(1), 1)
    assert {tuple(mean) for mean in grid.means} == {(a, b) for a in (-4, -2, 0, 2, 4) for b in (-4, -2, 0, 2, 4)}


def test_twisting_the_pinwheel_keeps_areas():
    """|det| of the map's derivative is 1, by central differences at random points."""
    wheel = density("pinwheel")

    def twisted(f):
        angle = wheel.twist(f)
        return np.stack(
            (np.cos(angle) * f[:, 0] - np.sin(angle) * f[:, 1], np.sin(angle) * f[:, 0] + np.cos(angle) * f[:, 1]), 1
        )

    f, h = 2 * Key(5).normal((50, 2), np.float64), 1e-5
    columns = [(twisted(f + h * e) - twisted(f - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(np.linalg.det(np.stack(columns, 2)), 1, atol=1e-8)


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_the_rule_of_the_strokes_has_converged(name):
    d = density(name)
    x = d.sample(200, Key(6))
    coarse, pieces = d.log_density(x), d.pieces
    speed = np.sqrt((np.diff(d.curve(np.linspace(0, 1, 2001)), axis=0) ** 2).sum(1)).max() * 2000
    assert speed / pieces <= 1.51 * d.sigma
    finer = type(d)()
    finer.pieces = 2 * pieces
    np.testing.assert_allclose(coarse, finer.log_density(x), atol=1e-11, rtol=0)


def test_nothing_overflows_far_away():
    far = np.array([[1e3, -1e3], [0.0, 0.0]])
    for d in ALL:
        with np.errstate(all="raise", under="ignore"):
            logs = d.log_density(far)
        assert not np.isnan(logs).any()
        assert logs[0] < -1e3


def test_no_point_of_the_checkerboard_is_rounded_off_the_board():
    board = density("checkerboard")
    x = board.sample(200_000, Key(7))
    np.testing.assert_array_equal(x.astype(np.float32), x)
    assert np.isfinite(board.log_density(x)).all()


# ---- as data sets


@pytest.mark.parametrize("d", ALL, **NAMES)
def test_points_as_a_data_set(d):
    train, test = load(d.name, "train", rows=50), load(d.name, "test", rows=50)
    assert (train.images.shape, train.images.dtype, train.labels, train.split) == ((50, 2), np.float32, None, "train")
    assert not np.intersect1d(train.images, test.images).size
    np.testing.assert_array_equal(train.images, load(d.name, "train", rows=50).images)
    assert not np.array_equal(train.images, load(d.name, "train", rows=50, seed=1).images)
    assert test.in_epoch(3) is test
    assert not np.intersect1d(train.in_epoch(1).images, train.images).size
    still = load(d.name, "train", rows=50, fresh=False)
    np.testing.assert_array_equal(still.in_epoch(1).images, train.images)


def test_batches_of_points():
    batches = Batches(load("moons", rows=7), 4, Key(0))
    seen = [next(batches) for _ in range(4)]
    assert [batch.images.shape for batch in seen] == [(4, 2), (3, 2), (4, 2), (3, 2)]
    assert seen[0].images.dtype == np.float32
    assert len(np.unique(np.concatenate([batch.images[:, 0] for batch in seen]))) == 14  # new points in the second epoch


def test_an_unknown_density_is_answered():
    with pytest.raises(DataError, match=r"unknown density 'ring9'. There are: ring8, grid25"):
        density("ring9")

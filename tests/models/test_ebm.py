"""The energy-based model: proofs, where Langevin chains settle, the replay buffer, densities in the plane."""

import math

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import load
from minigen.data.densities import density
from minigen.layers import Linear, Sequential, SiLU
from minigen.layers.elementwise import Elementwise
from minigen.models.contrast import Contrast
from minigen.models.ebm import EBM
from minigen.models.langevin import langevin, slope
from minigen.random import Key
from minigen.training import Run, load_model

KEY = Key(42)
POINTS = 2 * KEY.at("points").normal((6, 2), np.float64)
IMAGES = 2 * KEY.at("images").uniform((3, 9, 8, 1), np.float64) - 1
SMALL = {"width": 4, "langevin_steps": 3, "replay": 9}


# ---- proofs


@pytest.mark.parametrize("options", [{}, {"alpha": 0.0}, {"spectral": True}, {"data_noise": 0.0}], ids=str)
def test_the_contrast_is_proved_on_points_and_images(options):
    prove(EBM((2,), KEY, np.float64, **{**SMALL, **options}), POINTS, KEY.at("proof"))
    prove(EBM((9, 8, 1), KEY, np.float64, **{**SMALL, **options}), IMAGES, KEY.at("proof"))


def test_the_terms_are_what_they_are_called():
    model = EBM((2,), KEY, np.float64, **SMALL, data_noise=0.2)
    noise = model.objectives[0].draw(model, POINTS, KEY)
    terms, _ = Contrast(alpha=0.3)(model, POINTS, noise, backward=False)
    real, fake = (model.energy.forward(x)[0] for x in (POINTS + noise.jitter, noise.samples))
    assert terms["data"] == pytest.approx(real.mean(), rel=1e-12)
    assert terms["samples"] == pytest.approx(-fake.mean(), rel=1e-12)
    assert terms["size"] == pytest.approx(0.3 * ((real**2).mean() + (fake**2).mean()), rel=1e-12)
    assert set(Contrast()(model, POINTS, noise, backward=False)[0]) == {"data", "samples"}
    assert noise.jitter.std() == pytest.approx(0.2, rel=0.6)


# ---- Langevin


class Bowls(Elementwise):
    """x^2 / (2 s^2) for every number of a row, s (D,): independent Gaussians."""

    def __init__(self, s):
        super().__init__()
        self.s = np.asarray(s)

    def forward(self, x, *, train=False, key=None):
        return 0.5 * ((x / self.s) ** 2).sum(1), x

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        return dy[:, None] * cache / self.s**2


def test_the_slope_is_the_derivative_of_each_rows_energy():
    net = Sequential(Linear(3, 7), SiLU(), Linear(7, 1)).initialise(KEY, np.float64)
    x, h = KEY.at("x").normal((5, 3), np.float64), 1e-30
    dx, twin = slope(net, x), net.clone(np.complex128)
    for i in range(3):
        moved = x.astype(np.complex128)
        moved[:, i] += 1j * h
        np.testing.assert_allclose(dx[:, i], twin.forward(moved)[0][:, 0].imag / h, rtol=1e-12)
    assert np.array_equal(net.vector.grad, np.zeros_like(net.vector.grad))


@pytest.mark.parametrize("noise", [None, 0.1])
def test_chains_settle_where_the_scheme_says(noise):
    """x' = (1 - step / s^2) x + noise eps has the variance noise^2 / (1 - (1 - step / s^2)^2), near s^2 at temperature 1."""
    s, step, n = np.array([1.0, 0.5]), 0.05, 20_000
    x = langevin(Bowls(s), np.full((n, 2), 3.0), KEY.at("settle"), steps=300, step=step, noise=noise)
    amount = math.sqrt(2 * step) if noise is None else noise
    variance = amount**2 / (1 - (1 - step / s**2) ** 2)
    np.testing.assert_allclose(x.var(0), variance, rtol=5 * math.sqrt(2 / n))
    assert (np.abs(x.mean(0)) < 5 * np.sqrt(variance / n)).all()
    if noise is None:
        np.testing.assert_allclose(variance, s**2, rtol=0.12)


def test_slopes_are_clipped_and_chains_stay_inside():
    steep, x = Bowls([0.01]), np.full((4, 1), 0.5)
    moved = langevin(steep, x, KEY, steps=1, step=2.0, noise=0.0, clip=0.1)
    np.testing.assert_allclose(moved, 0.5 - 2.0 * 0.1)
    assert np.abs(langevin(steep, x, KEY, steps=5, step=1.0, noise=0.0, bound=0.7)).max() == 0.7


# ---- the buffer


def test_negatives_go_on_where_the_buffer_left_them_or_start_anew():
    still = {**SMALL, "replay": 200, "step_size": 0.0, "noise": 0.0}
    batch = np.tile(POINTS, (25, 1))[:150]
    old = EBM((2,), KEY, np.float64, **still, fresh=0.0)
    noise = old.objectives[0].draw(old, batch, KEY.at("draw"))
    assert len(set(noise.slots.tolist())) == 150
    assert np.array_equal(noise.samples, old.state["replay"][noise.slots])
    some = EBM((2,), KEY, np.float64, **still, fresh=0.2)
    noise = some.objectives[0].draw(some, batch, KEY.at("draw"))
    new = (noise.samples != some.state["replay"][noise.slots]).all(1).mean()
    assert 0.08 < new < 0.35
    assert np.abs(noise.samples).max() <= some.bound


def test_commit_replaces_the_buffer_at_its_slots():
    model = EBM((2,), KEY, np.float64, **SMALL)
    before = model.state["replay"]
    kept = before.copy()
    noise = model.objectives[0].draw(model, POINTS, KEY.at("draw"))
    _, forwards = model.objectives[0](model, POINTS, noise)
    assert model.state["replay"] is before
    model.commit(noise, forwards)
    assert np.array_equal(before, kept)
    assert np.array_equal(model.state["replay"][noise.slots], noise.samples)
    others = np.setdiff1d(np.arange(9), noise.slots)
    assert np.array_equal(model.state["replay"][others], kept[others])


def test_spectral_vectors_move_in_commit():
    model = EBM((2,), KEY, np.float32, **SMALL, spectral=True)
    model.start(1e-2, 5)
    first = model.energy["out"].computed["W"].state["u"]
    model.step(POINTS.astype(np.float32), KEY)
    assert model.energy["out"].computed["W"].state["u"] is not first


# ---- training


def test_a_density_is_learned():
    moons = load("moons")
    model = EBM((2,), KEY.at("moons"), width=32, langevin_steps=20, step_size=0.03, noise=None, clip=math.inf, replay=2000,
                alpha=1e-3, data_noise=0.0)  # fmt: skip
    model.start(3e-3, 150)
    held_out = load("moons", "test").batch(np.arange(2000))
    first = model.evaluate(held_out, KEY)["negative_log_likelihood"]
    assert first == pytest.approx(2 * math.log(11), abs=0.5)  # about uniform on the square
    for i in range(150):
        model.step(moons.batch(np.arange(128 * i, 128 * (i + 1))), KEY.at("step", i))
    last = model.evaluate(held_out, KEY)["negative_log_likelihood"]
    assert density("moons").entropy < last < density("moons").entropy + 1.0
    picture = model.energy_map(50)
    assert picture.shape == (50, 50)
    assert picture.max() == 1
    inside = (np.abs(model.sample(500, KEY)) < (2.5, 1.8)).all(1)
    assert inside.mean() > 0.6  # uniform points: 0.15


def test_a_stopped_run_on_images_goes_on_bit_for_bit(tmp_path):
    given = {"batch": 8, "options": {"width": 2, "replay": 20, "langevin_steps": 2}, "data_options": {"rows": 40, "size": 16}}
    whole = Run.create("ebm", out=tmp_path / "whole", steps=6, **given)
    whole.train(progress=False)
    half = Run.create("ebm", out=tmp_path / "half", steps=6, **given)
    half.train(minutes=0, progress=False)
    resumed = Run.resume(tmp_path / "half")
    assert 0 < resumed.step < 6
    resumed.train(progress=False)
    a, b = (load_model(tmp_path / name).model for name in ("whole", "half"))
    assert np.array_equal(a.theta, b.theta)
    assert np.array_equal(a.state["replay"], b.state["replay"])
    samples = a.sample(4, KEY)
    assert samples.shape == (4, 16, 16, 1)
    assert 0 <= samples.min() < samples.max() <= 1


def test_the_energies_that_are_shown():
    model = EBM((9, 8, 1), KEY, np.float64, **SMALL)
    figures = model.evaluate(IMAGES, KEY)
    assert figures["energy_of_data"] == pytest.approx(model.energy.forward(IMAGES)[0].mean())
    assert set(figures) == {"energy_of_data", "energy_of_chains", "energy_of_noise"}


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="replay 0"):
        EBM((2,), KEY, replay=0)
    with pytest.raises(ValueError, match=r"fresh, 1\.5"):
        EBM((2,), KEY, fresh=1.5)

"""Flows of images: proved, a density by every count, exact both ways, started from data, trained without activations."""

import json
from pathlib import Path

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import load
from minigen.kernels.logit.definition import dequantise
from minigen.layers import ActNorm, Chain
from minigen.layers.bijection import ReversedCache
from minigen.layers.tree import leaves
from minigen.models import total
from minigen.models.conv_realnvp import ConvRealNVP
from minigen.models.flow import log_normal
from minigen.models.glow import Glow
from minigen.models.image_flow import DequantisationNoise, ImageFlow
from minigen.random import Key
from minigen.training import Run, load_model

KEY = Key(0)
SMALL = {"levels": 2, "steps": 2, "width": 4}
IMAGES = KEY.at("images").integers(256, (3, 8, 8, 1)) / 255
OPTIONS = {Glow: SMALL, ConvRealNVP: {"levels": 2, "width": 3}}

both = pytest.mark.parametrize("cls", [Glow, ConvRealNVP])


def flow(cls=Glow, shape=(8, 8, 1), dtype=np.float64, stirred=0.3, **options):
    """A small one whose couplings are no identities: last layers are drawn in place of zeros."""
    model = cls(shape, KEY.at("model"), dtype, **{**OPTIONS[cls], **options})
    for path, view in model.vector.views(model.theta).items():
        if path.endswith((".out.W", ".out.b", ".s", ".b")):
            view[...] += stirred * KEY.at(path).normal(view.shape, np.float64) / (1 + 4 * path.endswith(".out.W"))
    return model


# ---- proofs


@pytest.mark.parametrize("store", [True, False])
@both
def test_the_likelihood_is_proved(cls, store):
    prove(flow(cls, (4, 4, 1), store=store, stirred=0), IMAGES[:2, :4, :4], KEY.at("proof"))


@pytest.mark.parametrize("alpha", [0.05, 1e-6])
@both
def test_the_volume_is_that_of_the_whole_jacobian(cls, alpha):
    """log |det dz/dv| from the complex step through logit, levels and couplings; a channel for each colour."""
    model, v = flow(cls, (4, 4, 2), alpha=alpha), KEY.at("v").uniform((2, 4, 4, 2), np.float64)
    twin, J = model.astype(np.complex128), []
    for i in range(32):
        (y, _), _ = twin.logit.forward(v + 1e-30j * (np.arange(32) == i).reshape(4, 4, 2))
        z = twin.flow.forward(y)[0][0]
        J.append(np.concatenate([part.reshape(2, -1) for part in leaves(z)], 1).imag / 1e-30)
    volume = np.linalg.slogdet(np.stack(J, -1))[1]
    z = model.flow.forward(model.logit.forward(v)[0][0])[0][0]
    np.testing.assert_allclose(model.log_prob(v), log_normal(z) + volume, rtol=1e-10)


# ---- a density


def one_pixel(alpha=1e-6):
    """The density of one pixel: a normal distribution in its logit, with mean -b e^-s and scale e^-s."""
    norm = ActNorm(1)
    model = ImageFlow((1, 1, 1), KEY, np.float64, Chain(norm), [(1, 1, 1)], alpha)
    norm.params["s"][...], norm.params["b"][...] = -0.7, 0.4
    return model


def nodes_of_pixels(n):
    """Gauss-Legendre nodes and weights in each of the 256 cells: (256, n) both."""
    t, w = np.polynomial.legendre.leggauss(n)
    return (np.arange(256)[:, None] + (t + 1) / 2) / 256, np.broadcast_to(w / 512, (256, n))


def test_one_pixel_dequantised_has_256_probabilities_whose_sum_is_1():
    """The integral of p over a cell is P(pixel); the objective is above -log P everywhere, and nearly it in wide cells."""
    model = one_pixel()
    v, w = nodes_of_pixels(40)
    log_p = model.log_prob(v.reshape(-1, 1, 1, 1)).reshape(v.shape)
    P = (w * np.exp(log_p)).sum(1)
    assert abs(P.sum() - 1) < 1e-6
    bound = -256 * (w * log_p).sum(1) + np.log(256)  # E_u of -log p, and log 256
    assert (bound > -np.log(P)).all()
    np.testing.assert_allclose(bound[100:150], -np.log(P[100:150]), atol=1e-4)
    # The objective estimates that bound: by its mean over u.
    x = np.full((4000, 1, 1, 1), 30 / 255)
    (likelihood,) = model.objectives
    terms, _ = likelihood(model, x, likelihood.draw(model, x, KEY.at("u")), backward=False)
    assert abs(total(terms) - bound[30]) < 5e-3


def test_two_pixels_have_a_density_whose_integral_is_1():
    """Four couplings on a checkerboard of 1 x 2 pixels; the grid is fine near 0 and 1, where the logit stretches."""
    model = flow(ConvRealNVP, (1, 2, 1), levels=1, stirred=0.5)
    t = np.linspace(-13, 13, 401)
    v = 1 / (1 + np.exp(-t))
    grid = np.stack(np.meshgrid(v, v), -1).reshape(-1, 1, 2, 1)
    p = np.exp(model.log_prob(grid)).reshape(401, 401)
    dv = v * (1 - v) * (t[1] - t[0])
    assert abs((p * dv * dv[:, None]).sum() - 1) < 2e-3


def test_noise_fills_the_cells_and_is_fresh_each_time():
    model, x = one_pixel(), np.arange(256).reshape(-1, 1, 1, 1) / 255
    (likelihood,) = model.objectives
    u, other = (likelihood.draw(model, x, KEY.at(i)).u for i in range(2))
    v = dequantise(x, u)
    assert (np.floor(256 * v) == np.arange(256).reshape(v.shape)).all()
    assert (u != other).all()
    rounded = dequantise(x.astype(np.float32), u.astype(np.float32))
    np.testing.assert_allclose(rounded, v, atol=1e-7)


@both
def test_samples_have_the_density_of_their_z(cls):
    """Sampling, then log_prob: v comes back to its z, and log p(v) = log N(z) minus the logdet of the way from z to v."""
    model = flow(cls, stirred=0.1)
    z = model.latent(5, KEY.at("z"))
    assert [part.shape[1:] for part in z] == list(model.z_shapes)
    y, from_z = model.flow.inverse(z)
    v, from_y = model.logit.inverse(y)
    back = model.flow.forward(model.logit.forward(v)[0][0])[0][0]
    for one, other in zip(leaves(back), leaves(z), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)  # v near 0 or 1 has lost digits of y
    np.testing.assert_allclose(model.log_prob(v), log_normal(z) - from_z - from_y, rtol=1e-7)
    np.testing.assert_array_equal(model.sample(5, KEY.at("z")), v.clip(0, 1))


# ---- what it is used for


def test_temperature_narrows():
    model = flow()
    images = {t: model.sample(40, KEY.at("samples"), temperature=t) for t in (0.0, 0.5, 1.0)}
    assert np.ptp(images[0.0], 0).max() < 1e-12
    assert images[0.5].std(0).mean() < images[1.0].std(0).mean()
    rows = model.temperatures(3, KEY.at("rows"))
    np.testing.assert_array_equal(rows[-1], model.sample(3, KEY.at("rows")))


def test_a_straight_line_in_z_leads_from_image_to_image():
    model = flow()
    way = model.interpolate(IMAGES[0], IMAGES[1], 5)
    assert way.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(way[[0, -1]], IMAGES[:2], atol=1 / 256)  # the middle of a cell, on its way there and back
    assert np.abs(way[2] - (IMAGES[0] + IMAGES[1]) / 2).max() > 0.05  # not straight through the pixels


def test_bits_are_nats_a_dimension():
    model = flow()
    figures = model.evaluate(IMAGES, KEY)
    assert figures["bits_per_dimension"] == figures["negative_log_likelihood"] / (64 * np.log(2))
    noise = model.objectives[0].draw(model, IMAGES, KEY)
    exact = -model.log_prob(dequantise(IMAGES, noise.u)).mean() + 64 * np.log(256)
    np.testing.assert_allclose(figures["negative_log_likelihood"], exact, rtol=1e-12)


@pytest.mark.parametrize(
    ("cls", "shape", "options", "says"),
    [
        (
            Glow,
            (28, 28, 1),
            {"levels": 3},
            r"halves images 3 times.* multiples of 8, and got 28 x 28: choose fewer levels",
        ),
        (ConvRealNVP, (30, 28, 1), {"levels": 3}, "halves images 2 times.* multiples of 4, and got 30 x 28"),
        (Glow, (2,), {}, r"glow is for images \(H, W, C\), got rows of shape \(2,\): realnvp is for points"),
        (ConvRealNVP, (8, 8, 1), {"levels": 0}, "conv_realnvp has at least one level, got levels=0"),
    ],
    ids=["sides", "other sides", "points", "levels"],
)
def test_what_does_not_fit_is_named(cls, shape, options, says):
    with pytest.raises(ValueError, match=says):
        cls(shape, KEY, **options)


# ---- the start from data


@both
def test_the_start_sees_the_first_batch_at_every_depth(cls):
    """Couplings are identities at first, so that z itself comes out with mean 0 and variance 1 in every channel."""
    model = cls((8, 8, 1), KEY.at("model"), np.float64, **OPTIONS[cls])
    before = model.evaluate(IMAGES, KEY)["bits_per_dimension"]
    model.data_init(IMAGES, KEY.at("start"))
    v = dequantise(IMAGES, KEY.at("start", "u").uniform(IMAGES.shape, np.float64))
    z = model.flow.forward(model.logit.forward(v)[0][0])[0][0]
    if cls is ConvRealNVP:
        for part in leaves(z):
            np.testing.assert_allclose(part.mean((0, 1, 2)), 0, atol=1e-12)
            np.testing.assert_allclose(part.var((0, 1, 2)), 1, rtol=1e-5)
    else:  # a rotation follows each ActNorm, so of the last level all channels together, and of the others half of them
        assert abs((z[-1] ** 2).mean() - 1) < 1e-5
        assert all(0.3 < (part**2).mean() < 1.7 for part in z)
    assert model.evaluate(IMAGES, KEY)["bits_per_dimension"] < before


RUN = {
    "steps": 4,
    "batch": 6,
    "rate": 1e-3,
    "options": {"levels": 1, "steps": 1, "width": 2},
    "data_options": {"rows": 12, "size": 16},
}


def test_a_run_starts_from_data_once_and_resumes_bit_for_bit(tmp_path, monkeypatch):
    """Before anything is evaluated or saved: step 0 in the log is after the start, and a resumed run does not start again."""
    monkeypatch.setattr(Glow, "pictures", lambda self, batch, key: {})
    monkeypatch.setattr("minigen.training.loop.draw_curves", lambda *args, **kwargs: None)
    starts = []
    data_init = Glow.data_init
    monkeypatch.setattr(Glow, "data_init", lambda self, batch, key: (starts.append(len(batch)), data_init(self, batch, key)))

    whole = Run.create("glow", out=tmp_path / "whole", **RUN)
    whole.train(progress=False)
    assert starts == [6]
    first = json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[0])
    assert (first["kind"], first["step"]) == ("held_out", 0)
    raw = Glow((16, 16, 1), Key(0).at("model"), **RUN["options"])
    test = load("glyphs", "test", **RUN["data_options"]).batch(np.arange(12))
    assert first["figures"]["bits_per_dimension"] < raw.evaluate(test, KEY)["bits_per_dimension"] - 0.5

    interrupted = Run.create("glow", out=tmp_path / "two", **RUN)
    step = Glow.step

    def killed(self, batch, key):
        if key == interrupted.key.at("step", 2):
            raise KeyboardInterrupt
        return step(self, batch, key)

    monkeypatch.setattr(Glow, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        interrupted.train(progress=False, checkpoint_seconds=0)
    monkeypatch.setattr(Glow, "step", step)
    assert starts == [6, 6]
    resumed = Run.resume(tmp_path / "two")
    assert resumed.step == 2
    resumed.train(progress=False)
    assert starts == [6, 6]
    np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
    np.testing.assert_array_equal(load_model(tmp_path / "two").model.theta, whole.model.theta)  # P and sign come along


# ---- without stored activations


@both
def test_without_activations_the_gradient_is_the_same(cls):
    """In float64 to rounding. In float32 within 1e-5 of its length, at 12 couplings a level: the bound that Glow states."""
    deep = {"steps": 12} if cls is Glow else {}
    for dtype, limit in ((np.float64, 1e-9), (np.float32, 1e-5)):
        gradients = []
        for store in (True, False):
            model = flow(cls, dtype=dtype, store=store, **deep)
            model.data_init(IMAGES.astype(dtype), KEY)
            (likelihood,) = model.objectives
            noise = likelihood.draw(model, IMAGES.astype(dtype), KEY.at("noise"))
            _, forwards = likelihood(model, IMAGES.astype(dtype), noise)
            gradients.append(model.grad.copy())
        assert all(isinstance(cache, ReversedCache) for cache in forwards["flow"][1]["levels.0"])
        stored, recomputed = gradients
        error = np.linalg.norm(recomputed - stored) / np.linalg.norm(stored)
        assert error < limit


# ---- outside evidence


def test_likelihood_and_gradients_are_those_of_pytorch():
    golden = np.load(Path(__file__).parents[1] / "golden" / "glow.npz")
    model = Glow((4, 4, 1), KEY, np.float64, levels=2, steps=1, width=3, alpha=0.05)
    for path, node in model.flow.walk("flow"):
        for name, view in node.params.items():
            view[...] = golden[f"value/{path}.{name}"]
        node.state.update({name: golden[f"value/{path}.{name}"] for name in node.state})
    (likelihood,) = model.objectives
    terms, _ = likelihood(model, golden["x"], DequantisationNoise(golden["u"]))
    np.testing.assert_allclose(total(terms), golden["loss"], rtol=1e-13)
    for path, grad in model.vector.views(model.grad).items():
        wanted = golden[f"grad/{path}"]
        np.testing.assert_allclose(grad, wanted, rtol=0, atol=1e-11 * np.abs(wanted).max(), err_msg=path)

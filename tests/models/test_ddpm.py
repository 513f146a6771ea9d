"""ddpm: its gradients with every option, labels and guidance, averaging, and that it learns what it is shown."""

import numpy as np
import pytest

from minigen.check import prove, suite
from minigen.check.device_array import DEVICE, to_host, to_test_device
from minigen.check.suite_of_layers import PROPERTIES
from minigen.data import Batches, Dataset, load
from minigen.models.ddpm import DDPM
from minigen.models.denoising import DenoisingNoise
from minigen.models.diffusion import SAMPLERS
from minigen.models.labelled import Labelled
from minigen.models.unet import UNet
from minigen.random import Key
from minigen.training import Run, RunError, load_model

KEY = Key(0)
SMALL = {"width": 16, "T": 40, "jumps": 4}


def make(shape=(8, 8, 1), dtype=np.float64, **options):
    return DDPM(shape, KEY.at("model"), dtype, **{**SMALL, **options})


def images(shape, n=3, dtype=np.float64):
    return 2 * KEY.at("images").uniform((n, *shape), dtype) - 1


# ---- gradients


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 12, 3), {"prediction": "x0", "schedule": "linear"}),
        ((8, 8, 1), {"prediction": "v", "classes": 3, "drop": 0.5}),
        ((8, 8, 1), {"prediction": "v", "objective": "bound", "variance": "large"}),
    ],
    ids=["x0, colour", "v, labels", "the bound"],
)
def test_every_gradient_is_proved(shape, options):
    model, x = make(shape, **options), images(shape)
    batch = x if model.classes is None else Labelled(x, np.array([0, 2, 1]))
    rows = prove(model, batch, KEY.at("proof"))
    assert max(row.rel_error for row in rows if row.method == "complex step") <= 1e-9
    assert any(row.parameter == "net.label.E" for row in rows) == (model.classes is not None)


def test_the_network_has_the_properties_of_a_layer():
    """Also its derivative in t, and its second order: nothing in it stops at the first."""
    wanted = ("repeatable", "gradient", "tangent", "second order", "options", "two calls", "batch", "float32")
    x, t = KEY.at("x").normal((3, 4, 4, 1), np.float64), 40 * KEY.at("t").uniform((3,), np.float64)
    properties = [one for one in PROPERTIES if one.name in wanted]
    report = suite(UNet(1, 16, 2), (x, t, np.array([0, 1, 2])), properties=properties)
    assert {check.property for check in report.checks if check.error is not None} == set(wanted)


def test_the_loss_is_the_squared_error_of_what_was_asked_for():
    x, t, eps = images((8, 8, 1)), np.array([1, 17, 40]), KEY.at("eps").normal((3, 8, 8, 1), np.float64)
    for prediction in ("noise", "x0", "v"):
        model = make(prediction=prediction)
        plan = model.schedule
        a, s = (np.sqrt(part)[:, None, None, None] for part in (plan.alpha_bar[t], 1 - plan.alpha_bar[t]))
        y, _ = model.net.forward((a * x + s * eps, (t - 1) * 25.0))  # 0 .. 1000 whatever T is
        target = {"noise": eps, "x0": x, "v": a * eps - s * x}[prediction]
        terms, _ = model.objectives[0](model, x, DenoisingNoise(t, eps, None))
        assert terms["denoising"] == pytest.approx(np.mean((y - target) ** 2), rel=1e-12)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_the_bounds_loss_is_the_bounds_part_divided_by_its_chance(prediction):
    """(SNR(t - 1) - SNR(t)) |x_0 - xhat|^2 / 2 nats a row, SNR = a^2 / s^2; for t = 1 SNR(1) + 1 = 1 / s^2 stands there."""
    model, x = make(prediction=prediction, objective="bound"), images((8, 8, 1))
    eps, plan, harmonic = KEY.at("eps").normal(x.shape, np.float64), model.schedule, (1 / np.arange(1, 41)).sum()
    snr = plan.alpha_bar[1:] / (1 - plan.alpha_bar[1:])
    for t in (1, 2, 17, 40):
        fall = (snr[t - 2] if t > 1 else 2 * snr[0] + 1) - snr[t - 1]
        x_t = plan.diffuse(x, t, eps)
        xhat = plan.data(prediction, model.predict(x_t, t), x_t, t)
        parts = fall / 2 * ((x - xhat) ** 2).sum((1, 2, 3)) * harmonic * t / (64 * np.log(2))  # bits per dimension
        terms, _ = model.objectives[0](model, x, DenoisingNoise(np.full(3, t), eps, None))
        assert terms["denoising"] == pytest.approx(parts.mean(), rel=1e-9)


def test_the_bounds_steps_are_drawn_by_their_chance_every_row_alike():
    model = make(objective="bound")
    x, harmonic = np.zeros((50, 8, 8, 1), np.float32), (1 / np.arange(1, 41)).sum()
    t = np.stack([model.objectives[0].draw(model, x, KEY.at("draw", i)).t for i in range(600)])  # (600, 50)
    counts = np.bincount(t.ravel(), minlength=41)
    expected = t.size / harmonic / np.arange(1, 41)
    assert counts[0] == 0
    assert (np.abs(counts[1:] - expected) < 4 * expected**0.5).all()
    np.testing.assert_allclose(counts[1:4], expected[:3], rtol=0.01)  # each batch is spread evenly: better than at random
    share = (t == 1).mean(0)  # of a row, over its draws: independent, so binomial
    assert np.abs(share - 1 / harmonic).max() < 5 * (0.25 / 600) ** 0.5
    with pytest.raises(ValueError, match="unknown objective 'elbo': there is simple, bound"):
        make(objective="elbo")


def test_steps_are_drawn_alike_and_labels_hidden_as_often_as_asked():
    model = make(classes=3, drop=0.25)
    x = np.zeros((8000, 8, 8, 1), np.float32)
    noise = model.objectives[0].draw(model, Labelled(x, np.zeros(8000, int)), KEY.at("draw"))
    counts = np.bincount(noise.t, minlength=41)
    assert counts[0] == 0
    assert counts[1:].min() > 0.6 * 200
    assert counts[1:].max() < 1.4 * 200
    assert abs(noise.hidden.mean() - 0.25) < 0.02
    assert abs(noise.eps.std() - 1) < 0.01


# ---- labels


def test_a_hidden_label_is_no_label_and_a_shown_one_matters():
    model, x, t = make(classes=3), images((8, 8, 1)), np.array([3, 20, 40])
    y = np.array([0, 1, 2])
    see = lambda labels, hidden=None: model.net.forward(model.inputs(x, t, labels, hidden))[0]
    np.testing.assert_array_equal(see(y, np.array([True] * 3)), see(None))
    np.testing.assert_array_equal(see(y, np.array([False] * 3)), see(y))
    assert np.abs(see(y) - see((y + 1) % 3)).max((1, 2, 3)).min() > 1e-5


def test_guidance_goes_on_from_what_is_seen_without_a_label():
    model, x, y = make(classes=3), images((8, 8, 1)), np.array([0, 1, 2])
    told, untold = model.predict(x, 7, y, 0.0), model.predict(x, 7, None)
    np.testing.assert_allclose(model.predict(x, 7, y, 2.5), told + 2.5 * (told - untold), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.predict(x, 7, y, -1.0), untold, rtol=1e-9, atol=1e-12)
    assert np.abs(told - untold).max() > 1e-5


def test_the_score_is_minus_eps_over_s_for_every_prediction():
    x = images((8, 8, 1))
    for prediction in ("noise", "x0", "v"):
        model = make(prediction=prediction)
        y, (a, s) = model.predict(x, 9), model.schedule.scales(9, x)
        eps = {"noise": y, "x0": (x - a * y) / s, "v": s * x + a * y}[prediction]
        np.testing.assert_allclose(model.score(x, 9), -eps / s, rtol=1e-10)


# ---- training


def shades(n=400):
    """Class 0 is dark, class 1 bright."""
    labels = np.arange(n) % 2
    pixels = np.where(labels, 0.8, 0.2)[:, None, None, None] + 0.1 * KEY.at("shades").normal((n, 8, 8, 1))
    return Dataset("shades", np.clip(pixels, 0, 1).astype(np.float32), labels)


def test_it_learns_and_draws_what_it_is_asked_for():
    model = make(dtype=np.float32, classes=2, T=100, jumps=10, decay=0.9)
    model.start(2e-3, 120)
    losses = [
        model.step(model.batch_of(batch), KEY.at("step", i))["denoising"]
        for i, batch in zip(range(120), Batches(shades(), 16, KEY.at("batches")), strict=False)
    ]
    assert np.mean(losses[-30:]) < 0.6 * np.mean(losses[:10])
    asked = np.arange(24) % 2
    for sampler in SAMPLERS:
        got = model.sample_class(asked, KEY.at(sampler), sampler=sampler, jumps=30 if sampler == "langevin" else 10)
        assert got.shape == (24, 8, 8, 1)
        assert got.min() >= 0
        assert got.max() <= 1
        assert ((got.mean((1, 2, 3)) > 0.5) == asked).mean() >= 0.9, sampler
    # more guidance: farther from the other class
    apart = [np.ptp([model.sample_class(np.full(12, k), KEY.at("g"), guidance=w).mean() for k in (0, 1)]) for w in (0, 3)]
    assert apart[1] > apart[0]


def test_samples_and_figures_are_those_of_the_average_and_leave_the_parameters_alone():
    model = make(dtype=np.float32)
    model.start(1e-2, 10)
    batch = images((8, 8, 1), dtype=np.float32)
    for i in range(3):
        model.step(batch, KEY.at("step", i))
    before, slow = model.theta.copy(), model.averages["slow"].values[0].copy()
    sample, figures = model.sample(4, KEY.at("sample")), model.evaluate(batch, KEY.at("figures"))
    np.testing.assert_array_equal(model.theta, before)
    np.testing.assert_array_equal(model.averages["slow"].values[0], slow)
    assert not np.array_equal(before, slow)
    twin = make(dtype=np.float32)
    for span, value in zip(model.averages["slow"].spans, model.averages["slow"].values, strict=True):
        twin.theta[span] = value
    np.testing.assert_array_equal(twin.sample(4, KEY.at("sample")), sample)
    assert twin.evaluate(batch, KEY.at("figures")) == figures
    assert set(figures) == {"denoising", "bits", "bits_prior", "bits_steps", "bits_pixels"}
    assert not np.array_equal(make(dtype=np.float32).sample(4, KEY.at("sample")), sample)


def test_a_run_resumes_bit_for_bit_and_draws_its_pictures(tmp_path):
    options = {**SMALL, "classes": 10, "jumps": 2}
    given = {"data": "glyphs", "data_options": {"size": 16, "rows": 40}, "batch": 8, "options": options}
    whole = Run.create("ddpm", out=tmp_path / "whole", steps=4, **given)
    whole.train(progress=False)
    Run.create("ddpm", out=tmp_path / "parts", steps=2, **given).train(progress=False)
    parts = Run.resume(tmp_path / "parts", steps=4)
    parts.train(progress=False)
    np.testing.assert_array_equal(parts.model.theta, whole.model.theta)
    np.testing.assert_array_equal(parts.model.averages["slow"].values[0], whole.model.averages["slow"].values[0])
    made = {path.name for path in (tmp_path / "whole" / "samples").glob("*-000004.png")}
    assert made == {"samples-000004.png", "denoising-000004.png"}
    loaded = load_model(tmp_path / "whole").model
    assert loaded.pictures(None, KEY)["denoising"].shape == (8, 10, 16, 16, 1)
    np.testing.assert_array_equal(loaded.sample(3, KEY), whole.model.sample(3, KEY))


def test_colour_images_of_32_pixels():
    data = load("glyphs_colour", size=32, rows=8)
    model = DDPM(data.shape, KEY, **SMALL)
    model.start(1e-3, 1)
    model.step(model.batch_of(next(Batches(data, 2, KEY))), KEY)
    assert model.sample(2, KEY).shape == (2, 32, 32, 3)


def test_nothing_is_silently_brought_to_the_host():
    """On the test device, whose arrays refuse it; and the values are those of the CPU."""
    x = images((8, 8, 1))
    found = []
    for device, move in ((DEVICE, to_test_device), ("cpu", lambda part: part)):
        model = make(classes=3).to(device)
        model.start(1e-3, 1)
        batch = Labelled(move(x), move(np.array([0, 2, 1])))
        model.step(batch, KEY.at("step"))
        figures = model.evaluate(batch, KEY.at("figures"))
        samples = [model.sample_class([0, 1], KEY, sampler=sampler, jumps=2) for sampler in SAMPLERS]
        found.append([*(float(to_host(value)) for value in figures.values()), *map(to_host, samples)])
    for there, here in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-9)


# ---- what cannot be


@pytest.mark.parametrize(
    ("shape", "options", "says"),
    [
        ((10, 8, 1), {}, r"multiples of 4; got \(10, 8, 1\)"),
        ((8, 2), {}, r"ddpm halves images twice"),
        ((8, 8, 1), {"width": 8}, "multiple of its 8 groups and at least 16, got 8"),
        ((8, 8, 1), {"prediction": "score"}, "unknown prediction 'score': there is noise, x0, v"),
        ((8, 8, 1), {"schedule": "step"}, "unknown schedule 'step': there is linear, cosine"),
        ((8, 8, 1), {"variance": "none"}, "unknown variance 'none': there is small, large"),
    ],
)
def test_a_wrong_option_is_named(shape, options, says):
    with pytest.raises(ValueError, match=says):
        make(shape, **options)


def test_labels_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match="trained without labels, and draws no class by itself: train it with --set classes=10"
    ):
        make().sample_class([1], KEY)
    with pytest.raises(ValueError, match=r"classes 0 \.\. 1, and was asked for 0 \.\. 2"):
        make(classes=2).sample_class([0, 2], KEY)
    with pytest.raises(ValueError, match="unknown sampler 'euler'"):
        make().generate(1, KEY, sampler="euler")
    bare = Dataset("photos", shades(8).images)
    with pytest.raises(RunError, match="learns from labels, and photos has none"):
        Run.create(DDPM, data=(bare, bare), out=tmp_path / "run", options={**SMALL, "classes": 2})

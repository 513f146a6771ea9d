"""The conditional VAE: its gradients, that its bound is one on log p(x|y), that labels arrive, and samples by class."""

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import Batch, Batches, Dataset, load
from minigen.layers.elementwise import sigmoid
from minigen.layers.linear import Linear
from minigen.metrics.importance import importance_bound
from minigen.models.conditional_vae import ConditionalVAE, Told
from minigen.models.labelled import Labelled
from minigen.random import Key
from minigen.training import Run, RunError, evaluate, load_model

KEY = Key(31)


def make(shape=(4, 3, 1), dtype=np.float64, **options):
    return ConditionalVAE(shape, KEY.at("model"), dtype, **{"classes": 3, "hidden": 6, "latents": 2, **options})


def rows(n, shape=(4, 3, 1), classes=3):
    return Labelled(KEY.at("x").uniform((n, *shape), np.float64), KEY.at("y").integers(classes, n))


def test_every_gradient_is_proved():
    found = prove(make(), rows(9), KEY.at("proof"))
    assert max(row.rel_error for row in found if row.method == "complex step") < 1e-12
    tables = {row.parameter for row in found if row.parameter.endswith("label.E")}
    assert tables == {"encoder.trunk.told.label.E", "decoder.told.label.E"}


def test_a_told_layer_is_a_dense_one_with_the_label_as_a_one_hot_input():
    layer = Told(Linear(4, 5), 3, 5).initialise(KEY, np.float64)
    x, y = KEY.at("rows").normal((7, 4), np.float64), np.array([0, 2, 1, 1, 0, 2, 2])
    W = np.concatenate((layer.linear.params["W"], layer.label.params["E"]))
    wide = np.concatenate((x, np.eye(3)[y]), 1) @ W + layer.linear.params["b"]
    np.testing.assert_allclose(layer.forward((x, y))[0], np.maximum(wide, 0), rtol=1e-12)


# ---- the bound, against p(x|y) itself


@pytest.fixture(scope="module")
def tiny():
    """A model of one latent and four binary pixels, where every integral over z can be taken on a grid."""
    model = make((2, 2, 1), hidden=5, latents=1)
    model.theta += 0.3 * KEY.at("stir").normal(model.theta.shape, np.float64)
    return model


PIXELS = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.float64).reshape(16, 2, 2, 1)  # every image there is
GRID = np.linspace(-9, 9, 4001)
STEP = GRID[1] - GRID[0]


def log_normal(z, mu=0.0, logvar=0.0):
    return -0.5 * (np.log(2 * np.pi) + logvar + (z - mu) ** 2 * np.exp(-logvar))


def log_joint(model, label):
    """log p(x, z|y) for all 16 images at the grid: (16, 4001)."""
    s = sigmoid(model.decoder.forward((GRID[:, None], np.full(len(GRID), label)))[0]).reshape(-1, 1, 4)
    x = PIXELS.reshape(1, 16, 4)
    return (np.log(np.where(x == 1, s, 1 - s)).sum(-1) + log_normal(GRID)[:, None]).T


@pytest.mark.parametrize("label", [0, 1, 2])
def test_the_bound_is_that_of_the_class(tiny, label):
    joint = log_joint(tiny, label)
    p = np.exp(joint).sum(1) * STEP  # (16,): p(x|y)
    assert p.sum() == pytest.approx(1, abs=1e-6)
    y = np.full(16, label)
    mu, logvar = tiny.encode(PIXELS, y)
    log_q = log_normal(GRID, mu, logvar)  # (16, 4001)
    np.testing.assert_allclose(np.exp(log_q).sum(1) * STEP, 1, rtol=1e-6)  # the grid is wide enough
    exact = (np.exp(log_q) * (joint - log_q)).sum(1) * STEP  # E_q [log p(x, z|y) - log q(z|x, y)]
    assert (exact < np.log(p)).all()

    many = Labelled(np.tile(PIXELS, (4000, 1, 1, 1)), np.tile(y, 4000))
    assert tiny.evaluate(many, KEY.at("many"))["negative_elbo"] == pytest.approx(-exact.mean(), abs=0.01)
    drawn = np.mean([tiny.bounds(PIXELS, KEY.at("bounds", i))[:, label] for i in range(2000)], 0)
    np.testing.assert_allclose(drawn, exact, atol=0.15)

    found = importance_bound(tiny, lambda i: Labelled(PIXELS[i : i + 1], y[i : i + 1]), 16, 20_000, KEY.at("importance"))
    np.testing.assert_allclose(found.bound, np.log(p), atol=0.06)


# ---- what the labels do


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run on glyphs of four kinds, and where it lies."""
    options = {"size": 16, "characters": "0147"}
    data = tuple(load("glyphs", split, rows=n, **options) for split, n in (("train", 2000), ("test", 200)))
    folder = tmp_path_factory.mktemp("runs") / "run"
    small = {"classes": 4, "hidden": 64, "latents": 6}
    Run.create(ConditionalVAE, data=data, out=folder, steps=600, batch=64, rate=3e-3, options=small).train(progress=False)
    return load_model(folder)[0], data[1], folder


def test_it_knows_the_class_of_what_it_has_not_seen(trained):
    model, test, folder = trained
    figures = evaluate(model, test, np.arange(200), Key(0)).values
    assert figures["accuracy"] > 0.9
    assert figures["negative_elbo"] == pytest.approx(figures["reconstruction"] + figures["kl"], rel=1e-5)
    assert {path.name.partition("-")[0] for path in (folder / "samples").iterdir()} == {"samples", "hands", "reconstructions"}


def test_it_draws_what_it_is_asked_for(trained):
    model, _, _ = trained
    asked = np.repeat(np.arange(4), 50)
    drawn = model.sample_class(asked, KEY.at("asked"))
    assert (model.bounds(drawn, KEY.at("judge")).argmax(1) == asked).mean() > 0.9


def test_a_label_that_is_wrong_costs_nats(trained):
    model, test, _ = trained
    x, y = model.batch_of(next(Batches(test, 200, Key(1))))
    right, wrong = (model.evaluate(Labelled(x, labels), KEY)["negative_elbo"] for labels in (y, (y + 1) % 4))
    assert wrong > right + 10


def test_one_latent_is_one_hand_in_every_class(trained):
    model, _, _ = trained
    z = model.latent(5, KEY.at("z"))
    ways = model.in_every_class(z)
    assert ways.shape == (4, 5, 16, 16, 1)
    np.testing.assert_allclose(ways[2], model.decode(z, np.full(5, 2)), rtol=1e-6)
    assert np.abs(ways[0] - ways[1]).mean((1, 2, 3)).min() > 0.02


def test_samples_come_in_the_order_of_the_classes():
    model = make(classes=10)
    images = model.sample(20, KEY)
    np.testing.assert_array_equal(images, model.sample_class(np.repeat(np.arange(10), 2), KEY))
    assert images.min() >= 0
    assert images.max() <= 1


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"has classes 0 \.\. 2, and was asked for 3 \.\. 3"):
        make().sample_class([3], KEY)
    with pytest.raises(ValueError, match="learns from labels, and these rows have none"):
        make().batch_of(Batch(rows(3).images, None, np.arange(3)))
    with pytest.raises(ValueError, match=r"made for classes 0 \.\. 2, and a label here is 5"):
        make().batch_of(Batch(rows(2).images, np.array([1, 5]), np.arange(2)))
    bare = Dataset("photos", load("glyphs", size=16, rows=20).images)
    with pytest.raises(RunError, match="conditional_vae learns from labels, and photos has none"):
        Run.create(ConditionalVAE, data=(bare, bare), out=tmp_path / "run")

"""The VAE with two layers of latents: its gradients, that its bound and its weights are those of p(x), and its samples."""

import numpy as np
import pytest

from minigen import models
from minigen.check import prove
from minigen.data import Batches, load
from minigen.layers.elementwise import sigmoid
from minigen.metrics.importance import importance_bound
from minigen.models.hierarchical_vae import HierarchicalVAE
from minigen.random import Key

KEY = Key(41)


def make(shape=(4, 3, 1), dtype=np.float64, **options):
    small = {"hidden1": 6, "hidden2": 5, "latents1": 4, "latents2": 3}
    return HierarchicalVAE(shape, KEY.at("model"), dtype, **small | options)


def test_every_gradient_is_proved():
    rows = prove(make(), KEY.at("x").uniform((5, 4, 3, 1), np.float64), KEY.at("proof"))
    assert max(row.rel_error for row in rows if row.method == "complex step") < 1e-12
    assert {row.parameter.partition(".")[0] for row in rows} == {"encoder1", "encoder2", "prior1", "decoder"}


def test_the_networks_are_those_of_the_paper():
    model = models.find("hierarchical_vae")((28, 28, 1), KEY, **HierarchicalVAE.recipe.options)
    shapes = [view.shape for path, view in model.vector.views(model.theta).items() if path.endswith("W")]
    two = [(200, 100), (200, 100)], [(100, 50), (100, 50)], [(100, 100), (100, 100)]
    assert shapes == [
        *((784, 200), (200, 200), *two[0]),
        *((100, 100), (100, 100), *two[1]),
        *((50, 100), (100, 100), *two[2]),
        *((100, 200), (200, 200), (200, 784)),
    ]


# ---- the bound, against p(x) itself: one latent in each layer, four binary pixels, and a grid over both

PIXELS = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.float64).reshape(16, 2, 2, 1)  # every image there is
GRID = np.linspace(-12, 12, 481)  # (G,)
STEP = GRID[1] - GRID[0]


def log_normal(z, mu=0.0, logvar=0.0):
    return -0.5 * (np.log(2 * np.pi) + logvar + (z - mu) ** 2 * np.exp(-logvar))


@pytest.fixture(scope="module")
def tiny():
    model = make((2, 2, 1), latents1=1, latents2=1)
    model.theta += 0.15 * KEY.at("stir").normal(model.theta.shape, np.float64)
    return model


@pytest.fixture(scope="module")
def densities(tiny):
    """log p(x, h1, h2) and log q(h1, h2|x) on the grid, (16, G, G), with h1 along the rows."""
    mu1, logvar1 = tiny.encoder1.forward(PIXELS)[0]  # (16, 1)
    mu2, logvar2 = tiny.encoder2.forward(GRID[:, None])[0]  # (G, 1): given h1
    m, s = (part.T for part in tiny.prior1.forward(GRID[:, None])[0])  # (1, G): given h2
    p = sigmoid(tiny.decoder.forward(GRID[:, None])[0]).reshape(-1, 1, 4)  # (G, 1, 4)
    log_x = np.log(np.where(PIXELS.reshape(1, 16, 4) == 1, p, 1 - p)).sum(-1).T  # (16, G)
    log_p = log_x[:, :, None] + log_normal(GRID[:, None], m, s) + log_normal(GRID)
    log_q = log_normal(GRID, mu1, logvar1)[:, :, None] + log_normal(GRID, mu2, logvar2)
    np.testing.assert_allclose(np.exp(log_q).sum((1, 2)) * STEP**2, 1, rtol=1e-6)  # the grid is wide and fine enough
    return log_p, log_q


def test_the_probabilities_of_all_images_sum_to_one(densities):
    assert np.exp(densities[0]).sum() * STEP**2 == pytest.approx(1, abs=1e-6)


def test_the_bound_is_that_of_the_two_layers(tiny, densities):
    log_p, log_q = densities
    exact = (np.exp(log_q) * (log_p - log_q)).sum((1, 2)) * STEP**2  # (16,)
    likelihood = np.log(np.exp(log_p).sum((1, 2)) * STEP**2)  # (16,)
    assert (exact < likelihood).all()
    many = np.tile(PIXELS, (6000, 1, 1, 1))
    assert tiny.evaluate(many, KEY.at("many"))["negative_elbo"] == pytest.approx(-exact.mean(), abs=0.02)

    # The closed form that takes h1 and h2 for independent is another number, and this test would see it.
    q = np.exp(log_q) * STEP**2
    q1, q2 = q.sum(2, keepdims=True), q.sum(1, keepdims=True)
    independent = (q1 * q2 * (log_p - log_q)).sum((1, 2))
    assert abs(independent.mean() - exact.mean()) > 0.05


def test_the_weights_average_to_the_likelihood(tiny, densities):
    log_p, log_q = densities
    exact = (np.exp(log_q) * (log_p - log_q)).sum((1, 2)) * STEP**2
    likelihood = np.log(np.exp(log_p).sum((1, 2)) * STEP**2)
    log_w = tiny.log_weights(PIXELS, 20_000, KEY.at("weights"))
    assert log_w.shape == (16, 20_000)
    np.testing.assert_allclose(log_w.mean(1), exact, atol=6 * log_w.std(1).max() / np.sqrt(20_000))
    found = importance_bound(tiny, lambda i: PIXELS[i : i + 1], 16, 20_000, KEY.at("importance"))
    np.testing.assert_allclose(found.bound, likelihood, atol=0.06)


def test_weights_belong_to_their_rows():
    """The mean of a row's log weights is its own bound, whatever stands beside it."""
    model, x = make(), KEY.at("x").uniform((3, 4, 3, 1), np.float64)
    log_w = model.log_weights(x, 4000, KEY)
    for i in range(3):
        alone = model.evaluate(np.repeat(x[i : i + 1], 4000, 0), KEY.at("alone"))["negative_elbo"]
        assert -log_w[i].mean() == pytest.approx(alone, abs=0.15)


# ---- samples and training


def test_it_starts_at_the_mean_image():
    model, x = make(), KEY.at("x").uniform((50, 4, 3, 1), np.float64)
    model.data_init(x, KEY)
    out = model.decoder["out"].params
    s = sigmoid(out["b"]).reshape(4, 3, 1)
    np.testing.assert_allclose(s, (x.sum(0) + 1) / 52, rtol=1e-12)
    assert out["W"].any()
    blank = make()
    blank.data_init(np.zeros_like(x), KEY)
    assert np.isfinite(blank.theta).all()


def test_samples_have_the_models_distribution(tiny, densities):
    mean = (np.exp(densities[0]).sum((1, 2)) * STEP**2) @ PIXELS.reshape(16, 4)  # (4,): how often each pixel is 1
    drawn = tiny.sample(40_000, KEY.at("samples")).reshape(-1, 4)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.01)


def test_it_learns_glyphs_and_its_bound_rises_with_samples():
    data = load("glyphs", size=16, rows=2000)
    model, x = make(data.shape, np.float32, hidden1=64, hidden2=32, latents1=12, latents2=6), data.batch(np.arange(200))
    model.start(3e-3, 500)
    model.data_init(x[:64], KEY.at("data"))
    batches = Batches(data, 64, KEY.at("batches"))
    for i in range(500):
        model.step(next(batches).images, KEY.at("step", i))
    after = model.evaluate(x, KEY.at("evaluate"))
    mean = data.batch(np.arange(2000)).mean(0).clip(1e-3, 1 - 1e-3)
    of_the_mean_image = -(x * np.log(mean) + (1 - x) * np.log(1 - mean)).sum((1, 2, 3)).mean()
    assert after["negative_elbo"] < 0.85 * of_the_mean_image  # what a model pays whose latents carry nothing
    assert after["lower"] > 1
    assert after["upper"] > 1
    log_w = model.log_weights(x, 200, KEY.at("weights"))
    bound = np.log(np.exp(log_w - log_w.max(1, keepdims=True)).mean(1)) + log_w.max(1)
    assert bound.mean() > -after["negative_elbo"] + 0.5
    pictures = model.pictures(next(Batches(data, 16, KEY)), KEY)
    assert {name: grid.shape[:2] for name, grid in pictures.items()} == {"samples": (8, 8), "one_h2": (8, 8), "layers": (3, 8)}
    within = pictures["one_h2"].std(1).mean()  # h2 decides something: images of one h2 are nearer to each other
    assert within < 0.95 * pictures["samples"].reshape(64, -1).std(0).mean()

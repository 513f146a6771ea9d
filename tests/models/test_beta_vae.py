"""The beta-VAE and its traversals: proved gradients, what beta weighs, and what it does to the latents."""

import numpy as np
import pytest

from minigen import models
from minigen.check import prove
from minigen.data import Batches, load
from minigen.models.beta_vae import BetaVAE
from minigen.models.traversal import REACH, latent_kl, traversals, traverse
from minigen.models.vae import reparameterize
from minigen.random import Key

KEY = Key(11)
X = KEY.at("x").uniform((5, 4, 3, 1), np.float64)


def make(dtype=np.float64, **options):
    return BetaVAE((4, 3, 1), KEY.at("model"), dtype, **{"hidden": 6, "latents": 3, **options})


@pytest.mark.parametrize("beta", [0.25, 1.0, 7.0])
def test_every_gradient_is_proved(beta):
    rows = prove(make(beta=beta), X, KEY.at("proof"))
    assert max(row.rel_error for row in rows if row.method == "complex step") < 1e-12


def test_beta_weighs_the_kl_and_nothing_else():
    """The terms against sums that share no code with them: log q - log p at many samples, and the pixels one by one."""
    model = make(beta=3.0)
    (elbo,) = model.objectives
    noise = elbo.draw(model, X, KEY.at("noise"))
    terms, _ = elbo(model, X, noise)
    mu, logvar = model.encode(X)
    s = model.decode(reparameterize(mu, logvar, noise.eps))
    assert terms["reconstruction"] == pytest.approx(-np.log(np.where(X, s**X * (1 - s) ** (1 - X), 1 - s)).sum() / 5, rel=1e-12)

    eps = KEY.at("many").normal((100_000, 5, 3), np.float64)
    z = mu + np.exp(logvar / 2) * eps
    log_ratio = 0.5 * (z**2 - eps**2 - logvar).sum(2).mean(1)  # log q(z|x) - log p(z): 2 pi cancels
    assert terms["kl"] / 3 == pytest.approx(log_ratio.mean(), abs=5 * log_ratio.std() / 300)
    np.testing.assert_allclose(z.var(0), np.exp(logvar), rtol=0.05)


def test_the_figures_are_those_of_the_bound_whatever_beta():
    plain, pressed = make(beta=1.0), make(beta=50.0)
    np.testing.assert_array_equal(plain.theta, pressed.theta)
    assert plain.evaluate(X, KEY) == pressed.evaluate(X, KEY)


@pytest.fixture(scope="module")
def trained():
    """The same short training on glyphs at three prices."""
    data = load("glyphs", size=16, rows=2000)
    found = {}
    for beta in (0.25, 1.0, 2.0):
        model = BetaVAE(data.shape, KEY.at("glyphs"), hidden=64, latents=6, beta=beta)
        model.start(3e-3, 800)
        batches = Batches(data, 64, KEY.at("batches"))
        for i in range(800):
            model.step(next(batches).images, KEY.at("step", i))
        found[beta] = model
    return found, data.batch(np.arange(500))


def test_a_higher_price_buys_fewer_nats_and_worse_pixels(trained):
    found, x = trained
    figures = [model.evaluate(x, KEY.at("evaluate")) for model in found.values()]
    assert figures[0]["kl"] > 1.5 * figures[1]["kl"] > 2 * figures[2]["kl"]
    assert figures[0]["reconstruction"] < figures[1]["reconstruction"] < figures[2]["reconstruction"]
    used = [(latent_kl(*model.encode(x)) > 0.1).sum() for model in found.values()]
    assert used[0] > used[1] > used[2]


def test_latents_that_carry_nothing_are_last_and_change_nothing(trained):
    found, x = trained
    model = found[2.0]
    kl = latent_kl(*model.encode(x))
    assert kl.sum() == pytest.approx(model.evaluate(x, KEY)["kl"], rel=1e-5)
    grid = traversals(model, x, columns=5)
    assert grid.shape == (6, 5, 16, 16, 1)
    moved = grid.std(1).mean((1, 2, 3))  # (L,), by KL
    assert moved[0] > 4 * moved[-1]
    np.testing.assert_array_equal(grid, traversals(model, x, columns=5))


def test_a_traversal_sets_one_number_of_the_code():
    model = make()
    mu, _ = model.encode(X)
    grid = traverse(model, X[2], np.array([1, 0]), np.array([-REACH, 0.5]))
    assert grid.shape == (2, 2, 4, 3, 1)
    for row, j in enumerate((1, 0)):
        for column, t in enumerate((-REACH, 0.5)):
            z = mu[2].copy()
            z[j] = t
            np.testing.assert_allclose(grid[row, column], model.decode(z[None])[0], rtol=1e-12)


def test_recipe_pictures_and_mistakes():
    cls = models.find("beta_vae")
    assert cls is BetaVAE
    assert {"glyphs", "glyph_factors", "mnist"} <= set(cls.recipe.data)
    data = load("glyphs", rows=16)
    pictures = cls(data.shape, KEY, **cls.recipe.options).pictures(next(Batches(data, 16, KEY)), KEY)
    assert pictures["traversals"].shape == (10, 8, 28, 28, 1)
    assert {"samples", "reconstructions", "interpolation"} < pictures.keys()
    for beta in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="give a positive number"):
            make(beta=beta)

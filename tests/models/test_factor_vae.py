"""FactorVAE: both turns proved, what shuffling keeps and destroys, that D finds the total correlation and the VAE lowers it."""

import numpy as np
import pytest

from minigen import models
from minigen.check import prove
from minigen.data import Batches, load
from minigen.models.factor_vae import DensityRatio, FactorElbo, FactorVAE, halves, orders, shuffle
from minigen.random import Key

KEY = Key(21)
X = KEY.at("x").uniform((7, 4, 3, 1), np.float64)


def make(dtype=np.float64, **options):
    return FactorVAE((4, 3, 1), KEY.at("model"), dtype, **{"hidden": 6, "latents": 3, "width": 5, **options})


@pytest.mark.parametrize("options", [{}, {"gamma": 0.5, "depth": 1}, {"gamma": 40.0, "depth": 4}], ids=str)
def test_every_gradient_of_both_turns_is_proved(options):
    rows = prove(make(**options), X, KEY.at("proof"))
    assert {row.objective for row in rows} == {"elbo", "discriminator"}
    assert max(row.rel_error for row in rows if row.method == "complex step") < 1e-12


# ---- shuffling


def dependent(n, key):
    """Five latents of one cause: copies, a square, noise around it."""
    a, b = key.normal((2, n), np.float64)
    return np.stack((a, a, a * a, -a + 0.1 * b, a + b * b), 1)


def test_shuffling_keeps_the_marginals_and_destroys_dependence():
    z = dependent(20_000, KEY.at("dependent"))
    shuffled = shuffle(z, orders(len(z), 5, KEY.at("order")))
    np.testing.assert_array_equal(np.sort(shuffled, 0), np.sort(z, 0))  # every latent keeps its values, and only its own

    def dependence(rows):
        """The largest correlation between two latents, of values and of squares: a latent may depend without a correlation."""
        both = np.concatenate((rows, rows**2), 1)
        c = np.abs(np.corrcoef(both.T))
        pair = np.arange(5)
        c[np.r_[pair, pair, pair + 5, pair + 5], np.r_[pair, pair + 5, pair, pair + 5]] = 0  # a latent and its own square
        return c.max(1)[:5]

    assert dependence(z).min() > 0.3
    assert dependence(shuffled).max() < 5 / np.sqrt(20_000)


def test_rows_are_mixed_and_latents_are_not():
    z = np.arange(6)[:, None] + 100 * np.arange(4)  # (6, 4): row i of latent j holds 100 j + i
    order = orders(6, 4, KEY.at("small"))
    shuffled = shuffle(z, order)
    np.testing.assert_array_equal(shuffled // 100, z // 100)
    np.testing.assert_array_equal(shuffled[2], [z[order[j, 2], j] for j in range(4)])
    assert len({tuple(column) for column in order}) == 4  # each latent has an order of its own
    np.testing.assert_array_equal(np.sort(order, 1), np.tile(np.arange(6), (4, 1)))


def test_every_row_is_as_likely_as_any_other():
    drawn = np.stack([orders(4, 2, KEY.at("fair", i)) for i in range(4000)])  # (4000, 2, 4)
    for place in range(4):
        for j in range(2):
            np.testing.assert_allclose(np.bincount(drawn[:, j, place], minlength=4) / 4000, 0.25, atol=0.035)
    together = np.bincount(drawn[:, 0, 0] * 4 + drawn[:, 1, 0], minlength=16) / 4000  # two latents choose independently
    np.testing.assert_allclose(together, 1 / 16, atol=0.02)


def test_the_halves_share_nothing():
    """z comes from the first half alone, z_ from the second; the VAE learns from the first."""
    model = make()
    elbo, ratio = model.objectives
    noise = elbo.draw(model, X, KEY.at("noise"))
    assert [len(half) for half in halves(X)] == [3, 3]

    def terms(x):
        return elbo(model, x, noise)[0] | ratio(model, x, noise)[0]

    before = terms(X)
    for rows, kept in ((slice(3, 6), {"reconstruction", "kl", "total_correlation", "together"}), (slice(3), {"apart"})):
        x = X.copy()
        x[rows] = 0.5
        after = terms(x)
        assert {name for name in before if before[name] == after[name]} == kept
    with pytest.raises(ValueError, match="this one has 1 rows: give at least 2"):
        model.step(X[:1], KEY)


# ---- the density ratio

RHO = 0.8
TC = -0.5 * np.log(1 - RHO**2)  # of two Gaussian latents with correlation RHO: 0.51 nats


def gaussian(n, key):
    """Points (n, 2) whose codes, with a deviation of 0.1, have variance 1 and correlation RHO."""
    covariance = np.array(((0.99, RHO), (RHO, 0.99)))
    return key.normal((n, 2), np.float64) @ np.linalg.cholesky(covariance).T


@pytest.fixture(scope="module")
def judged():
    """A model whose encoder is set to mu = x and logvar = log 0.01, and whose D has been trained on its codes."""
    model = FactorVAE((2,), KEY.at("gaussian"), np.float64, hidden=4, latents=2, width=32, depth=2, gamma=1.0)
    both, pair = np.eye(2), np.eye(4)
    values = {
        "trunk.hidden1.W": np.concatenate((both, -both), 1),  # relu(x) and relu(-x)
        "trunk.hidden1.b": 0,
        "trunk.hidden2.W": pair,
        "trunk.hidden2.b": 0,
        "mu.W": np.concatenate((both, -both)),
        "mu.b": 0,
        "logvar.W": 0,
        "logvar.b": np.log(0.01),
    }
    for path, view in model.vector.views(model.theta).items():
        if path.startswith("encoder."):
            view[...] = values[path.removeprefix("encoder.")]
    model.vector.raised([slice(0, len(model.theta))])
    model.start(1e-2, 1500)
    _, ratio = model.objectives
    for i in range(1500):
        x = gaussian(512, KEY.at("rows", i))
        model.zero_grads()
        ratio(model, x, ratio.draw(model, x, KEY.at("noise", i)))
        model.optimizers["d"].step()
    return model


def test_the_discriminators_logit_is_the_log_of_the_density_ratio(judged):
    x = gaussian(20_000, KEY.at("held out"))
    assert judged.evaluate(x, KEY.at("evaluate"))["total_correlation"] == pytest.approx(TC, abs=0.08)
    z = np.array(((1.0, 1.0), (0.5, -0.5), (0.0, 0.0), (-1.0, -0.5)))
    a, b = z.T
    exact = TC - 0.5 * ((a * a - 2 * RHO * a * b + b * b) / (1 - RHO**2) - a * a - b * b)  # log q(z) - log q(z_1) q(z_2)
    np.testing.assert_allclose(judged.discriminator.forward(z)[0][:, 0], exact, atol=0.2)


def test_the_vaes_turn_makes_the_latents_less_dependent(judged):
    """The part of the gradient that gamma weighs, alone: descending it lowers the correlation of the codes."""
    x = gaussian(4000, KEY.at("turn"))
    weak, strong = FactorElbo(1.0), FactorElbo(3.0)
    noise = weak.draw(judged, x, KEY.at("turn noise"))
    grads = []
    for objective in (weak, strong):
        judged.zero_grads()
        objective(judged, x, noise)
        grads.append(judged.grad.copy())
    of_tc = (grads[1] - grads[0]) / 2
    assert not of_tc[judged.spans("decoder")[0]].any()

    def correlation(model):
        return np.corrcoef(model.encode(x)[0].T)[0, 1]

    before, twin = correlation(judged), judged.astype(np.float64)
    twin.theta -= 0.05 * of_tc / np.linalg.norm(of_tc)
    assert correlation(twin) < before - 0.005
    twin.theta += 0.1 * of_tc / np.linalg.norm(of_tc)
    assert correlation(twin) > before + 0.005


# ---- the step


def test_each_turn_moves_its_own_networks_and_both_see_the_same_codes():
    model = make(np.float32)
    model.start(1e-2, 10)
    x, moved = X.astype(np.float32), []
    noise = model.objectives[0].draw(model, x, KEY.at("step"))
    expected = model.objectives[0](model, x, noise)[0] | model.objectives[1](model, x, noise)[0]
    for optimizer in model.optimizers.values():
        take = optimizer.step

        def step(take=take):
            before = model.theta.copy()
            take()
            moved.append([n for n in model.nets if any((before[s] != model.theta[s]).any() for s in model.spans(n))])

        optimizer.step = step
    terms = model.step(x, KEY.at("step"))
    assert moved == [["encoder", "decoder"], ["discriminator"]]
    assert list(terms) == ["reconstruction", "kl", "total_correlation", "together", "apart"]
    for name in ("reconstruction", "kl", "total_correlation", "together"):  # z_ is encoded anew, by an encoder that has moved
        assert terms[name] == expected[name], name
    assert terms["apart"] != expected["apart"]


def test_it_learns_glyphs():
    data = load("glyphs", size=16, rows=2000)
    model, x = FactorVAE(data.shape, KEY.at("glyphs"), hidden=64, latents=6, width=64, gamma=5.0), data.batch(np.arange(500))
    model.start(3e-3, 300)
    batches = Batches(data, 64, KEY.at("batches"))
    before = model.evaluate(x, KEY.at("evaluate"))
    for i in range(300):
        model.step(next(batches).images, KEY.at("step", i))
    after = model.evaluate(x, KEY.at("evaluate"))
    assert after["negative_elbo"] < 0.5 * before["negative_elbo"]
    assert np.isfinite(after["total_correlation"])


def test_recipe_and_mistakes():
    assert models.find("factor_vae") is FactorVAE
    model = FactorVAE((28, 28, 1), KEY, **FactorVAE.recipe.options)
    assert [type(objective) for objective in model.objectives] == [FactorElbo, DensityRatio]
    for options, says in (({"gamma": 0.0}, "gamma=0 is no weight"), ({"depth": 0}, "depth=0")):
        with pytest.raises(ValueError, match=says):
            make(**options)

"""The importance-weighted autoencoder: weights against densities, the bound against quadrature, two gradients of one mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from minigen.check import check_model
from minigen.metrics.importance import importance_bound
from minigen.models.iwae import IWAE, NegativeBound, log_mean, mean_log
from minigen.models.objective import total
from minigen.models.vae import NegativeElbo
from minigen.random import Key

SHAPE = (4, 3, 1)


def small(samples=5, bound="importance", latents=2, seed=0):
    model = IWAE(SHAPE, Key(seed), np.float64, hidden=6, latents=latents, samples=samples, bound=bound)
    model.theta += 0.3 * Key(99).normal(model.theta.shape, np.float64)  # biases are zero at first, and would hide mistakes
    return model


def images(n, seed=1):
    return (Key(seed).uniform((n, *SHAPE), np.float64) < 0.4).astype(np.float64)


def test_the_two_rules():
    log_w = 40 * Key(2).normal((6, 7), np.float64)
    bound, r = log_mean(log_w)
    np.testing.assert_allclose(bound, logsumexp(log_w, 1) - np.log(7), rtol=1e-13)
    np.testing.assert_allclose(r, np.exp(log_w - logsumexp(log_w, 1, keepdims=True)), rtol=1e-10)
    bound, r = mean_log(log_w)
    np.testing.assert_allclose(bound, log_w.mean(1), rtol=1e-13)
    assert (r == 1 / 7).all()


def test_a_weight_is_the_ratio_of_densities():
    model, x, key = small(), images(3), Key(3)
    log_w = model.log_weights(x, 5, key)  # (3, 5)
    mu, logvar = model.encode(x)
    sigma, eps = np.exp(0.5 * logvar), key.normal((3, 5, 2), np.float64)
    for n in range(3):
        for k in range(5):
            z = mu[n] + sigma[n] * eps[n, k]
            p = model.decode(z[None])[0]
            log_p = np.log(np.where(x[n] == 1, p, 1 - p)).sum() + norm.logpdf(z).sum()
            np.testing.assert_allclose(log_w[n, k], log_p - norm.logpdf(z, mu[n], sigma[n]).sum(), rtol=1e-11)


def test_the_loss_is_the_bound_at_its_noise():
    model, x = small(), images(4)
    (objective,) = model.objectives
    noise = objective.draw(model, x, Key(4))
    terms, _ = objective(model, x, noise, backward=False)
    log_w = model.log_weights(x, 5, Key(4).at("eps"))
    np.testing.assert_allclose(total(terms), -(logsumexp(log_w, 1) - np.log(5)).mean(), rtol=1e-13)


def test_the_average_of_logarithms_is_the_bound_of_a_vae():
    """Its mean over the noise is the ELBO with the KL in closed form, and so is its gradient's."""
    model, x = small(), images(4)
    average, elbo, draws = NegativeBound(200, average=True), NegativeElbo(), 40
    sums = {"average": [], "elbo": []}
    for i in range(draws):
        for name, objective in (("average", average), ("elbo", elbo)):
            each = []
            for j in range(1 if objective is average else 50):
                model.zero_grads()
                terms, _ = objective(model, x, objective.draw(model, x, Key(5).at(name, i, j)))
                each.append(np.append(model.grad, total(terms)))
            sums[name].append(np.mean(each, 0))
    a, b = np.array(sums["average"]), np.array(sums["elbo"])
    error = np.sqrt((a.var(0) + b.var(0)) / draws)
    moved = error > 1e-9
    z = (a.mean(0) - b.mean(0))[moved] / error[moved]
    assert moved.sum() > 100
    assert np.abs(z).max() < 5
    assert np.sqrt((z * z).mean()) < 1.3


def test_more_samples_tighten_the_bound_up_to_the_likelihood():
    """With one latent, p(x) is an integral over a line: a sum over 4,001 places is exact to all digits."""
    model, x = small(latents=1), images(3)
    z = np.linspace(-10, 10, 4001)[:, None]
    p = model.decode(z).reshape(4001, -1)
    log_joint = [np.log(np.where(image.reshape(-1) == 1, p, 1 - p)).sum(1) + norm.logpdf(z[:, 0]) for image in x]
    exact = logsumexp(log_joint, 1) + np.log(z[1, 0] - z[0, 0])  # (3,)
    bounds = []
    for samples in (1, 10, 100):
        log_w = model.log_weights(np.repeat(x, 2000, 0), samples, Key(6))  # (6000, samples)
        bounds.append(log_mean(log_w)[0].reshape(3, 2000).mean(1))
    assert (bounds[0] + 1e-2 < bounds[1]).all()
    assert (bounds[1] < bounds[2]).all()
    assert (bounds[2] < exact + 1e-3).all()
    found = importance_bound(model, lambda i: x[i : i + 1], 3, 5000, Key(7))
    error = found.effective**-0.5  # of the mean weight, relative to it
    assert (np.abs(found.bound - exact) < 5 * error).all()
    assert np.abs(found.bound - exact).max() < 0.02


def gradients(model, x, draws):
    """(draws, parameters): one gradient for every noise."""
    rows = []
    for i in range(draws):
        model.zero_grads()
        for objective in model.objectives:
            objective(model, x, objective.draw(model, x, Key(8).at(i)))
        rows.append(model.grad.copy())
    return np.array(rows)


def test_doubly_reparameterized_has_the_same_mean_and_less_noise():
    plain, doubly, x = small(20), small(20, "doubly"), images(2)
    a, b = gradients(plain, x, 3000), gradients(doubly, x, 3000)
    (encoder,) = plain.spans("encoder")
    (decoder,) = plain.spans("decoder")
    np.testing.assert_allclose(b[:, decoder], a[:, decoder], rtol=1e-10, atol=1e-13)  # at the same noise it is the same number
    a, b = a[:, encoder], b[:, encoder]
    moved = a.var(0) > 1e-18
    z = (a - b).mean(0)[moved] / ((a - b).std(0)[moved] / 3000**0.5)
    assert moved.sum() > 50
    assert np.abs(z).max() < 5
    assert np.sqrt((z * z).mean()) < 1.3
    assert b.var(0).sum() < 0.5 * a.var(0).sum()


@pytest.mark.parametrize("bound", ["average", "doubly"])
def test_the_other_bounds_are_proved(bound):
    """`minigen check iwae` proves the first."""
    rows = check_model("iwae", bound=bound)
    assert {row.objective for row in rows} == ({"bound"} if bound == "average" else {"decoder", "encoder"})


@pytest.mark.parametrize("bound", ["importance", "average", "doubly"])
def test_it_learns(bound):
    model, x = small(10, bound), np.repeat(images(2), 20, 0)  # two images: one bit is all there is to know
    model.start(1e-2, 0)
    first = np.mean([model.step(x, Key(9).at(i))["negative_bound"] for i in range(10)])
    last = np.mean([model.step(x, Key(9).at(i))["negative_bound"] for i in range(10, 150)][-10:])
    assert last < first - 1


def test_bad_options_say_what_there_is():
    with pytest.raises(ValueError, match="bounds are 'importance', 'average', 'doubly'"):
        small(bound="tight")
    with pytest.raises(ValueError, match="samples=0"):
        small(samples=0)

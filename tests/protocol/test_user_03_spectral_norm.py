"""User 3: a discriminator with spectral normalisation (Miyato et al. 2018): computed weights whose computation has state.

    W_used = W / sigma,   sigma = u' W v,   with unit vectors u and v close to the first singular pair of W

u and v come from power iteration, one step at a time. They are state: forward takes them as constants, commit moves them. With

    dsigma/dW = u v'          dW = (dW_used - <dW_used, W_used> u v') / sigma

the gradient of the loss *at these u and v* is exact, converged or not. Moved inside forward, they would make the loss another
function at every call, and no gradient would be its derivative.
"""

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Linear, Sequential, SpectralNorm, StaleCacheError, Tanh
from minigen.losses import bernoulli
from minigen.models import Model, Objective
from minigen.models.objective import Forwarder
from minigen.optim import SGD
from minigen.random import Key


class Real(Objective):
    """-log D(real) - log(1 - D(fake)), where batch is the pair of them."""

    name, updates = "discriminator", ("D",)

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        forward, terms = Forwarder(model, forwards, train=train), {}
        for what, x, label in zip(("real", "fake"), batch, (1.0, 0.0), strict=True):
            logits, cache = forward(f"D:{what}", x)
            terms[what], dlogits = bernoulli(logits, np.full(logits.shape, label))
            if backward:
                model.D.backward(scale * dlogits, cache, need_dx=False)
        return terms, forward.made(self.updates)


class Discriminator(Model):
    def __init__(self, first: int = 20) -> None:
        layers = Linear(3, 6), Tanh(), Linear(6, 5), Tanh(), Linear(5, 1)
        for layer in layers[::2]:
            layer.compute("W", SpectralNorm(first=first))
        super().__init__(Key(3), np.float64, D=Sequential(*layers))
        self.objectives = (Real(),)
        self.optimize(sgd=SGD(self, rate=0.2))

    def step(self, batch, key):
        (real,) = self.objectives
        noise = real.draw(self, batch, key)
        self.zero_grads()
        terms, forwards = real(self, batch, noise)
        self.optimizers["sgd"].step()
        self.commit(noise, forwards)
        return terms

    def sigmas(self):
        """(sigma, the largest singular value) of every weight."""
        for layer in (self.D["0"], self.D["2"], self.D["4"]):
            W, state = layer.params["W"], layer.computed["W"].state
            yield state["u"] @ W @ state["v"], np.linalg.svd(W, compute_uv=False)[0]


BATCH = Key(30).normal((5, 3), np.float64), Key(31).normal((5, 3), np.float64)


@pytest.mark.parametrize("first", [1, 20])
def test_exact_at_any_u_and_v(first):
    prove(Discriminator(first), BATCH, Key(32))


def test_forward_changes_no_state_and_commit_does():
    model = Discriminator(first=1)
    (real,), hook = model.objectives, model.D["0"].computed["W"]
    u, v = hook.state["u"], hook.state["v"]
    kept = u.copy()
    _, forwards = real(model, BATCH, None)
    assert hook.state["u"] is u
    model.commit(None, forwards)
    assert not np.array_equal(hook.state["u"], kept)
    assert not np.array_equal(hook.state["v"], v)
    assert np.array_equal(u, kept)  # replaced, not written into


def test_sigma_becomes_the_largest_singular_value():
    model = Discriminator(first=1)
    _, cache = model.D.forward(BATCH[0])
    for _ in range(300):
        model.D.commit(cache)
    for sigma, largest in model.sigmas():
        assert sigma == pytest.approx(largest, rel=1e-9)


def test_one_iteration_a_step_is_enough_to_follow_the_weights():
    model = Discriminator()
    start = model.D["0"].params["W"].copy()
    for i in range(200):
        model.step(BATCH, Key(33).at(i))
    assert np.linalg.norm(model.D["0"].params["W"] - start) > 0.1 * np.linalg.norm(start)
    for sigma, largest in model.sigmas():
        assert sigma == pytest.approx(largest, rel=1e-2)


def test_the_network_stretches_nothing():
    """Every weight has norm 1 and tanh slope at most 1: the slope of the logit is at most 1 in every direction."""
    model = Discriminator(first=500)
    x = 0.1 * Key(34).normal((200, 3), np.float64)
    y, cache = model.D.forward(x)
    slope = np.linalg.norm(model.D.backward(np.ones_like(y), cache, param_grads=False), axis=1)
    assert 0.05 < slope.max() <= 1 + 1e-9


def test_a_stale_cache_is_refused_but_committed():
    model = Discriminator()
    logits, cache = model.D.forward(BATCH[0])
    model.optimizers["sgd"].step()
    with pytest.raises(StaleCacheError, match="Run forward again after an optimiser's step"):
        model.D.backward(logits, cache)
    model.D.commit(cache)


def test_a_twin_has_vectors_of_its_own_and_real_ones():
    model = Discriminator()
    twin = model.astype(np.complex128)
    state = twin.D["0"].computed["W"].state
    assert state["u"].dtype == np.float64
    state["u"] += 1
    assert not np.array_equal(state["u"], model.D["0"].computed["W"].state["u"])

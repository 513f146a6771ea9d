"""User 10: a restricted Boltzmann machine and persistent contrastive divergence (Tieleman 2008).

p(v) = e^-F(v) / Z over binary v, with the hidden units summed out:

    F(v) = -v b - sum_j softplus(v W + c)_j             (the free energy: a layer like any other, proved like any other)

    d(-log p(v))/dtheta = dF(v)/dtheta - E_p[dF/dtheta]

The expectation is estimated with samples of a Markov chain that lives as long as the training, in `model.state`. So the
objective is a contrast, F(data) - F(samples), in which the samples are constants: they are drawn, and stand in the noise.

F's passes, with h = sigmoid(v W + c) and dF (N,):

    dv = -dF (b + h W')      dW = -v' (dF h)      db = -v' dF      dc = -h' dF
"""

from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Layer, Spec
from minigen.layers.elementwise import sigmoid, softplus
from minigen.layers.initialisers import normal, zeros
from minigen.layers.layer import Weights
from minigen.models import Model, Objective
from minigen.models.objective import Forwarder
from minigen.optim import SGD
from minigen.random import Key


class FreeEnergyCache(NamedTuple):
    v: np.ndarray  # (N, V)
    h: np.ndarray  # (N, H)
    w: Weights | None  # W (V, H), b (V,), c (H,)


class FreeEnergy(Layer):
    """(N, V) -> (N,)."""

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__(
            W=Spec((visible, hidden), normal(0.1)), b=Spec((visible,), zeros), c=Spec((hidden,), zeros)
        )  # fmt: skip

    def forward(self, x, *, train=False, key=None):
        w = self.weights()
        a = x @ w.W + w.c  # (N, H)
        return -x @ w.b - softplus(a).sum(1), FreeEnergyCache(x, sigmoid(a), w)

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        w, v, h = self.weights(cache), cache.v, cache.h
        dF = dy[:, None]  # (N, 1)
        if param_grads and self.learns:
            self.learn(w, W=-v.T @ (dF * h), b=-(dF * v).sum(0), c=-(dF * h).sum(0))
        return -dF * (w.b + h @ w.W.T) if need_dx else None

    def jvp(self, x_dot, cache, *, move_params=False):
        w, v, h = self.weights(cache), cache.v, cache.h
        w_dot = self.weights_dot(w, move_params)
        a_dot, F_dot = x_dot @ w.W, -x_dot @ w.b
        if w_dot:
            a_dot, F_dot = a_dot + v @ w_dot.W + w_dot.c, F_dot - v @ w_dot.b
        return F_dot - (h * a_dot).sum(1), FreeEnergyCache(x_dot, h * (1 - h) * a_dot, w_dot)

    def backward_jvp(self, dy, dy_dot, cache, tangents, *, need_dx=True, param_grads=True):
        (v, h, w), (v_dot, h_dot, w_dot) = cache, tangents
        dF, dF_dot = dy[:, None], dy_dot[:, None]
        g, g_dot = dF * h, dF_dot * h + dF * h_dot  # (N, H)
        if param_grads and self.learns:
            b_dot = -(dF_dot * v + dF * v_dot).sum(0)
            self.learn_dot(
                w, w_dot, W=(-v.T @ g, -v_dot.T @ g - v.T @ g_dot), b=(-(dF * v).sum(0), b_dot), c=(-g.sum(0), -g_dot.sum(0))
            )
        if not need_dx:
            return None, None
        dx_dot = -dF_dot * w.b - g_dot @ w.W.T
        if w_dot:
            dx_dot = dx_dot - dF * w_dot.b - g @ w_dot.W.T
        return -dF * w.b - g @ w.W.T, dx_dot

    def gibbs(self, v, key):
        """One step of the chain: h ~ p(h|v), then v ~ p(v|h)."""
        W, b, c = self.params["W"], self.params["b"], self.params["c"]
        h = key.at("h").bernoulli(sigmoid(v @ W + c)).astype(v.dtype)
        return key.at("v").bernoulli(sigmoid(h @ W.T + b)).astype(v.dtype)


class Samples(NamedTuple):
    chain: np.ndarray  # (M, V)


class Contrast(Objective):
    """mean F(data) - mean F(samples), nats: its gradient estimates that of -log p(data)."""

    name, updates = "contrast", ("energy",)

    def draw(self, model, batch, key, forwards=None):
        return Samples(model.energy.gibbs(model.state["chain"], key))

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        forward, terms = Forwarder(model, forwards, train=train), {}
        for what, v, sign in (("data", batch, 1), ("samples", noise.chain, -1)):
            F, cache = forward(f"energy:{what}", v)
            terms[what] = sign * F.mean()
            if backward:
                model.energy.backward(np.full(len(F), sign * scale / len(F)), cache, need_dx=False)
        return terms, forward.made(self.updates)


class RBM(Model):
    def __init__(self, visible: int, hidden: int, chains: int) -> None:
        super().__init__(Key(10), np.float64, energy=FreeEnergy(visible, hidden))
        self.state["chain"] = Key(11).bernoulli(0.5, (chains, visible)).astype(np.float64)
        self.objectives = (Contrast(),)
        self.optimize(sgd=SGD(self, rate=0.1))

    def step(self, batch, key):
        (contrast,) = self.objectives
        noise = contrast.draw(self, batch, key)
        self.zero_grads()
        terms, forwards = contrast(self, batch, noise)
        self.optimizers["sgd"].step()
        self.commit(noise, forwards)
        return terms

    def commit(self, noise, forwards):
        super().commit(noise, forwards)
        self.state["chain"] = noise.chain


# ---- proof


def binary(n: int) -> np.ndarray:
    """Every vector of n bits, (2^n, n)."""
    return np.array([[i >> j & 1 for j in range(n)] for i in range(1 << n)], np.float64)


def nll(model: RBM, v: np.ndarray):
    """-log p(v) exactly, by enumeration."""
    F = model.energy.forward(binary(v.shape[1]))[0]
    return model.energy.forward(v)[0].mean() + np.log(np.exp(-F).sum())


def stirred(visible: int = 4, hidden: int = 3, chains: int = 50) -> RBM:
    model = RBM(visible, hidden, chains)
    model.theta[...] = Key(12).normal(model.theta.shape, np.float64)
    return model


V = Key(13).bernoulli(0.4, (20, 4)).astype(np.float64)


def test_the_contrast_is_proved_and_moves_nothing_but_gradients():
    prove(RBM(4, 3, 50), V, Key(14))


def test_energy_is_a_layer_second_order_too():
    model = stirred()
    net, key, h = model.energy, Key(15), 1e-30
    v, v_dot = key.at("v").normal((5, 4), np.float64), key.at("v_dot").normal((5, 4), np.float64)
    dy, dy_dot = key.at("dy").normal(5, np.float64), key.at("dy_dot").normal(5, np.float64)
    model.vector.theta_dot[...] = key.normal(model.theta.shape, np.float64)
    _, cache = net.forward(v)
    dx, dx_dot = net.backward_jvp(dy, dy_dot, cache, net.jvp(v_dot, cache, move_params=True)[1])

    twin = model.astype(np.complex128)
    twin.theta += 1j * h * model.vector.theta_dot
    moved = twin.energy.backward(dy + 1j * h * dy_dot, twin.energy.forward(v + 1j * h * v_dot)[1])
    np.testing.assert_allclose(dx, moved.real, rtol=1e-12)
    np.testing.assert_allclose(dx_dot, moved.imag / h, rtol=1e-9)
    np.testing.assert_allclose(model.grad, twin.grad.imag / h, rtol=1e-9, atol=1e-13)


def contrast_gradient(model: RBM, samples: np.ndarray) -> np.ndarray:
    model.zero_grads()
    model.objectives[0](model, V, Samples(samples))
    return model.grad.copy()


def test_with_samples_of_the_model_the_contrast_is_the_gradient_of_the_likelihood():
    """The expectation over p(v), enumerated, against the complex step of the exact -log p."""
    model, every = stirred(), binary(4)
    F = model.energy.forward(every)[0]
    p = np.exp(-F) / np.exp(-F).sum()
    expected = sum(p_v * contrast_gradient(model, v[None]) for p_v, v in zip(p, every, strict=True))
    for i in np.flatnonzero(expected):
        twin = model.astype(np.complex128)
        twin.theta[i] += 1e-30j
        assert not (abs(nll(twin, V).imag / 1e-30 - expected[i]) > 1e-12)


def test_contrastive_divergence_has_the_expectation_of_its_chain():
    """CD-1 over 40 000 chains that start at the data, against T, the enumerated table of p(v'|v) = sum_h p(v'|h) p(h|v)."""
    model, every, hidden = stirred(), binary(4), binary(3)
    W, b, c = (model.energy.params[name] for name in "Wbc")
    p_h, p_v = sigmoid(every @ W + c), sigmoid(hidden @ W.T + b)
    h_given_v = np.prod(np.where(hidden == 1, p_h[:, None], 1 - p_h[:, None]), -1)  # (16, 8)
    v_given_h = np.prod(np.where(every == 1, p_v[:, None], 1 - p_v[:, None]), -1)  # (8, 16)
    T = h_given_v @ v_given_h
    start = np.tile(every[9], (40_000, 1))
    each = np.stack([contrast_gradient(model, v[None]) for v in every])  # (16, P)
    expected, spread = T[9] @ each, np.sqrt(T[9] @ each**2 - (T[9] @ each) ** 2)
    sampled = contrast_gradient(model, model.energy.gibbs(start, Key(16)))
    assert (np.abs(sampled - expected) <= 5 * spread / 200 + 1e-12).all()
    F = model.energy.forward(every)[0]
    p = np.exp(-F) / np.exp(-F).sum()
    np.testing.assert_allclose(p @ T, p, rtol=1e-12)  # and the model's distribution is what the chain settles in


def test_commit_replaces_the_chain_and_nothing_else_does():
    model = stirred()
    (contrast,), before = model.objectives, model.state["chain"]
    kept = before.copy()
    noise = contrast.draw(model, V, Key(17))
    _, forwards = contrast(model, V, noise)
    assert model.state["chain"] is before
    assert np.array_equal(before, kept)
    model.commit(noise, forwards)
    assert model.state["chain"] is noise.chain
    assert np.array_equal(before, kept)  # replaced, not written into


def test_training_lowers_the_exact_negative_log_likelihood():
    """Data whose two halves are equal: 2 ln 2 nats, where independent bits would need 4 ln 2."""
    model, half = RBM(4, 6, 100), Key(18).bernoulli(0.5, (400, 2)).astype(np.float64)
    data = np.concatenate((half, half), 1)
    assert nll(model, data) == pytest.approx(4 * np.log(2), abs=0.1)
    for i in range(1500):
        model.step(data[i % 4 :: 4], Key(19).at(i))
    assert nll(model, data) < 2.5 * np.log(2)

"""User 6: a flow of affine couplings (Dinh et al. 2017, "RealNVP"), trained without stored activations.

    (a, b) -> (b e^s + t, a),   (s, t) = net(a)          logdet = sum s           a = z_2,  b = (z_1 - t) e^-s

A coupling can be undone, so its input need not be kept: backward walks from the chain's output, inverts one coupling, runs it
forward, then backward (Gomez et al. 2017). Memory no longer grows with depth. With e = e^s, and dlogdet on every row:

    db = dz e        ds = dz b e + dlogdet        dt = dz

The two halves are a tuple all the way through: x is a tree, so nothing is split and nothing joined.
"""

import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Bijection, Chain, Composite, Dropout, Layer, Linear, Sequential, StaleCacheError, Tanh
from minigen.layers.bijection import ReversedCache
from minigen.layers.tree import leaves, map_tree
from minigen.models import Model, Objective
from minigen.random import Key


class AffineCache(NamedTuple):
    b: np.ndarray  # (N, D)
    e: np.ndarray  # (N, D)


class Affine(Layer):
    """(b, (s, t)) -> b e^s + t, and sum s."""

    def forward(self, x, *, train=False, key=None):
        b, h = x
        s, t = np.split(h, 2, -1)
        e = np.exp(s)
        return (b * e + t, s.sum(-1)), AffineCache(b, e)

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        (dz, dlogdet), (b, e) = dy, cache
        return dz * e, np.concatenate((dz * b * e + dlogdet[:, None], dz), -1)

    def jvp(self, x_dot, cache, *, move_params=False):
        (b_dot, h_dot), (b, e) = x_dot, cache
        s_dot, t_dot = np.split(h_dot, 2, -1)
        e_dot = e * s_dot
        return (b_dot * e + b * e_dot + t_dot, s_dot.sum(-1)), AffineCache(b_dot, e_dot)

    def backward_jvp(self, dy, dy_dot, cache, tangents, *, need_dx=True, param_grads=True):
        (dz, _), (dz_dot, dlogdet_dot), (b, e), (b_dot, e_dot) = dy, dy_dot, cache, tangents
        ds_dot = dz_dot * b * e + dz * b_dot * e + dz * b * e_dot + dlogdet_dot[:, None]
        return self.backward(dy, cache), (dz_dot * e + dz * e_dot, np.concatenate((ds_dot, dz_dot), -1))


class Coupling(Composite, Bijection):
    """(a, b) -> (b e^s + t, a): the next coupling moves the other half."""

    def __init__(self, net: Layer) -> None:
        super().__init__()
        self.net, self.affine = net, Affine()

    def wire(self, f, x):
        a, b = x
        z, logdet = f.affine((b, f.net(a)))
        return (z, a), logdet

    def unwire(self, b, dy):
        (dz, da), dlogdet = dy
        db, dh = b.affine((dz, dlogdet))
        return da + b.net(dh), db

    def inverse(self, z):
        z, a = z
        s, t = np.split(self.net.forward(a)[0], 2, -1)
        return (a, (z - t) * np.exp(-s)), -s.sum(-1)


class NegativeLogLikelihood(Objective):
    """-log p(x) = sum (z^2 + log 2 pi) / 2 - logdet, nats per row."""

    name, updates = "nll", ("flow",)

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        called = (forwards or {}).get("flow") or model.flow.forward(batch, train=train)
        (z, logdet), cache = called
        N = len(logdet)
        if backward:
            dz = map_tree(lambda z: scale * z / N, z)
            model.flow.backward((dz, np.full(N, -scale / N)), cache, need_dx=False)
        prior = sum((part**2 + np.log(2 * np.pi)).sum() for part in z) / (2 * N)
        return {"prior": prior, "logdet": -logdet.mean()}, {"flow": called}


class Flow(Model):
    def __init__(self, depth: int, store: bool, D: int = 2, width: int = 6) -> None:
        couplings = [Coupling(Sequential(Linear(D, width), Tanh(), Linear(width, 2 * D))) for _ in range(depth)]
        super().__init__(Key(6), np.float64, flow=Chain(*couplings, store=store))
        self.objectives = (NegativeLogLikelihood(),)


X = tuple(Key(60).at(half).normal((5, 2), np.float64) for half in "ab")


def gradient(model, x=X):
    model.zero_grads()
    model.objectives[0](model, x, None)
    return model.grad.copy()


@pytest.mark.parametrize("store", [True, False])
def test_gradient(store):
    prove(Flow(4, store), X, Key(61))


def test_the_gradient_is_the_stored_one_and_the_cache_is_the_output():
    stored, reversed_ = gradient(Flow(6, True)), gradient(Flow(6, False))
    assert not (np.abs(reversed_ - stored).max() > 1e-12 * np.abs(stored).max())
    (z, _), cache = Flow(6, False).flow.forward(X)
    assert isinstance(cache, ReversedCache)
    assert cache.z is z


def test_second_order_is_the_stored_one_too():
    """As x, theta and dy all move: dx, dx_dot and what is added to the gradients."""
    key, results = Key(62), []
    y_dot, y_dot2 = (tuple(key.at(name, half).normal((5, 2), np.float64) for half in "ab") for name in ("dy", "dy_dot"))
    logdet_dot = key.at("logdet").normal((2, 5), np.float64)
    for model in (Flow(4, True), Flow(4, False)):
        model.vector.theta_dot[...] = key.at("theta").normal(model.theta.shape, np.float64)
        _, cache = model.flow.forward(X)
        _, tangents = model.flow.jvp(X, cache, move_params=True)
        back = model.flow.backward_jvp((y_dot, logdet_dot[0]), (y_dot2, logdet_dot[1]), cache, tangents)
        results.append([*leaves(back), model.grad])
    for stored, reversed_ in zip(*results, strict=True):
        assert not (np.abs(reversed_ - stored).max() > 1e-11 * np.abs(stored).max())


@pytest.mark.parametrize(("store", "grows"), [(True, True), (False, False)])
def test_memory_does_not_grow_with_depth(store, grows):
    x = tuple(Key(63).at(half).normal((4000, 2), np.float64) for half in "ab")

    def peak(depth):
        model = Flow(depth, store)
        tracemalloc.start()
        gradient(model, x)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    assert (peak(24) > 1.5 * peak(4)) == grows


def test_logdet_and_inverse():
    """logdet is log |det| of the Jacobian, column by column from the complex step; the inverse undoes both."""
    flow, h = Flow(3, False).flow, 1e-30
    (z, logdet), _ = flow.forward(X)
    twin, J = flow.clone(np.complex128), []
    for i in range(4):
        step = [1j * h * (np.arange(2) + 2 * half == i) for half in (0, 1)]
        (moved, _), _ = twin.forward(tuple(x + s for x, s in zip(X, step, strict=True)))
        J.append(np.concatenate(moved, -1).imag / h)
    np.testing.assert_allclose(np.linalg.slogdet(np.stack(J, -1))[1], logdet, rtol=1e-12)
    back, backward_logdet = flow.inverse(z)
    np.testing.assert_allclose(np.stack(back), np.stack(X), rtol=1e-12)
    np.testing.assert_allclose(backward_logdet, -logdet, rtol=1e-12)


def test_what_would_be_read_after_it_has_moved_is_refused():
    class Centred(Linear):
        def begin_state(self, key):
            super().begin_state(key)
            self.state["mean"] = np.zeros(2)

    flow = Chain(Coupling(Centred(2, 4)), store=False).initialise(Key(64), np.float64)
    with pytest.raises(TypeError, match=r"0.net \(Centred\) has state"):
        flow.forward(X)


def test_noise_that_no_inverse_could_know_is_refused():
    """In evaluation, where nothing is drawn, such a chain is as good as any."""
    flow = Chain(Coupling(Sequential(Linear(2, 4), Dropout())), store=False).initialise(Key(65), np.float64)
    with pytest.raises(TypeError, match="draws noise, which its inverse would not know"):
        flow.forward(X, train=True, key=Key(66))
    flow.forward(X, key=Key(66))


@pytest.mark.parametrize("second_order", [False, True])
def test_a_stale_cache_is_refused(second_order):
    flow = Flow(2, False).flow
    y, cache = flow.forward(X)
    flow.sub("1").sub("net.2").version += 1
    with pytest.raises(StaleCacheError, match="parameters have moved"):
        flow.jvp(X, cache) if second_order else flow.backward(y, cache)

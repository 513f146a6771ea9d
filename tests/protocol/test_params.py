"""Params: the tree, gradients and freezing, and weights that are computed by a layer of their own."""

from typing import NamedTuple

import numpy as np
import pytest

from minigen.layers.composite import Residual, Sequential
from minigen.layers.elementwise import Tanh
from minigen.layers.initialisers import normal
from minigen.layers.layer import Layer, StaleCacheError, Weights
from minigen.layers.linear import Linear
from minigen.layers.params import Params
from minigen.layers.vector import Spec
from minigen.random import Key


class Tree(Params):
    def __init__(self) -> None:
        super().__init__(g=Spec((2,), normal(1.0)))
        self.first = Linear(2, 2)
        self.blocks = [Linear(2, 2, bias=False), Tanh()]
        self.by_name = {"a": Linear(2, 1)}
        self.again = self.first
        self.not_a_layer = ["text", 3, None]


def test_paths_follow_the_attributes():
    tree = Tree().initialise(Key(0))
    assert [path for path, _ in tree.walk()] == ["", "first", "blocks.0", "blocks.1", "by_name.a", "again"]
    assert [path for path, _ in tree.walk("net")][:2] == ["net", "net.first"]
    assert [path for path, _ in tree.named()] == [
        *("g", "first.W", "first.b", "blocks.0.W", "by_name.a.W", "by_name.a.b", "again.W", "again.b")
    ]


def test_a_shared_child_is_laid_once():
    tree = Tree().initialise(Key(0), np.float64)
    assert tree.vector.size == 2 + 6 + 4 + 3
    assert tree.vector.places["first.W"] == tree.vector.places["again.W"]
    tree.vector.raised(tree.vector.spans("again"))
    assert tree.first.version == 1
    twin = tree.clone()
    assert twin.first is twin.again is not tree.first


def test_zero_grads_is_local():
    net = Sequential(one=Linear(2, 2), two=Linear(2, 2)).initialise(Key(0))
    net.vector.grad[...] = 1
    net["one"].zero_grads()
    assert not net["one"].grads["W"].any()
    assert net["two"].grads["W"].all()
    net.zero_grads()
    assert not net["two"].grads["W"].any()


def test_begin_state_comes_once_and_after_the_values():
    seen = []

    class Watching(Linear):
        def begin_state(self, key):
            super().begin_state(key)
            seen.append((self.params["W"].copy(), key))

    one = Watching(2, 2)
    net = Sequential(one=one, two=Watching(2, 2), again=one).initialise(Key(0), np.float64)
    assert len(seen) == 2
    assert np.array_equal(seen[0][0], net["one"].params["W"])
    assert seen[0][1] != seen[1][1]
    net.clone()
    net.initialise(Key(1))
    assert len(seen) == 2


# ---- freezing


def test_freeze_reaches_everything_below_and_can_be_taken_back():
    net = Sequential(body=Sequential(Linear(2, 2), Tanh()), head=Linear(2, 2)).initialise(Key(0), np.float64)
    assert net.freeze() is net
    assert not net.can_learn
    net["head"].freeze(False)
    assert net.can_learn
    assert not net["body"].can_learn

    y, cache = net.forward(np.ones((3, 2)))
    dx = net.backward(np.ones_like(y), cache)
    assert dx.any()
    assert not net["body"][0].grads["W"].any()
    assert net["head"].grads["W"].any()


def test_what_has_no_parameters_cannot_learn():
    assert not Tanh().can_learn
    assert not Sequential(Tanh(), Residual(Tanh())).can_learn


def test_a_frozen_layer_sends_the_same_dx_and_keeps_second_order_quiet_too():
    x = Key(1).normal((3, 2), np.float64)
    free = Linear(2, 4).initialise(Key(0), np.float64)
    frozen = free.clone().freeze()
    results = []
    for layer in (free, frozen):
        y, cache = layer.forward(x)
        _, tangents = layer.jvp(x, cache)
        dx, dx_dot = layer.backward_jvp(y, y, cache, tangents)
        results.append((layer.backward(y, cache), dx, dx_dot))
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    assert free.vector.grad.any()
    assert not frozen.vector.grad.any()


# ---- computed weights: the chain rule through a layer between the parameter and its use


class UnitCache(NamedTuple):
    V: np.ndarray  # (D, M)
    norm: np.ndarray  # (1, M)
    w: Weights | None  # g (M,)


class WeightNorm(Layer):
    """W = g V / |V|, column by column (Salimans and Kingma 2016): a computed weight with a parameter and a state of its own."""

    def __init__(self, outputs: int) -> None:
        super().__init__(g=Spec((outputs,), normal(0.3, mean=1.0)))
        self.state["commits"] = np.zeros((), np.int64)

    def begin_weight(self, W, key):
        self.state["first"] = W.copy()

    def forward(self, x, *, train=False, key=None):
        w, norm = self.weights(), np.sqrt((x * x).sum(0, keepdims=True))
        return w.g * x / norm, UnitCache(x, norm, w)

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        (V, norm, _), w = cache, self.weights(cache)
        unit = V / norm
        along = (dy * unit).sum(0)  # (M,)
        if param_grads and self.learns:
            self.learn(w, g=along)
        return w.g / norm * (dy - unit * along)

    def jvp(self, x_dot, cache, *, move_params=False):
        (V, norm, _), w = cache, self.weights(cache)
        w_dot, norm_dot = self.weights_dot(w, move_params), (V * x_dot).sum(0, keepdims=True) / norm
        y_dot = w.g * (x_dot / norm - V * norm_dot / norm**2)
        return y_dot + w_dot.g * V / norm if w_dot else y_dot, UnitCache(x_dot, norm_dot, w_dot)

    def backward_jvp(self, dy, dy_dot, cache, tangents, *, need_dx=True, param_grads=True):
        (V, norm, w), (V_dot, norm_dot, w_dot) = cache, tangents
        unit, unit_dot = V / norm, V_dot / norm - V * norm_dot / norm**2
        along, along_dot = (dy * unit).sum(0), (dy_dot * unit + dy * unit_dot).sum(0)
        if param_grads and self.learns:
            self.learn_dot(w, w_dot, g=(along, along_dot))
        scale, rest = w.g / norm, dy - unit * along
        scale_dot = -w.g * norm_dot / norm**2 + (w_dot.g / norm if w_dot else 0)
        return scale * rest, scale_dot * rest + scale * (dy_dot - unit_dot * along - unit * along_dot)

    def commit(self, cache):
        self.state["commits"] = self.state["commits"] + 1


def normed() -> Linear:
    return Linear(3, 4).compute("W", WeightNorm(4)).initialise(Key(2), np.float64)


X, DY, X_DOT, DY_DOT = (Key(3).at(name).normal((5, size), np.float64) for name, size in zip("abcd", (3, 4, 3, 4), strict=True))


def test_the_effective_weight_is_what_the_layer_computes():
    layer = normed()
    y, cache = layer.forward(X)
    V, g = layer.params["W"], layer.computed["W"].params["g"]
    np.testing.assert_allclose(cache.w.W, g * V / np.linalg.norm(V, axis=0), rtol=1e-14)
    np.testing.assert_allclose(y, X @ cache.w.W + layer.params["b"], rtol=1e-13)
    assert list(layer.vector.places) == ["W", "b", "computed.W.g"]
    assert np.array_equal(layer.computed["W"].state["first"], V)


def test_gradients_reach_the_parameter_and_the_hooks_own_parameter():
    layer, h = normed(), 1e-30
    _, cache = layer.forward(X)
    dx = layer.backward(DY, cache)
    v, twin = Key(4).normal(layer.vector.theta.shape, np.float64), layer.clone(np.complex128)
    twin.vector.theta += 1j * h * v
    moved, _ = twin.forward(X + 1j * h * X_DOT)
    slope = (moved.imag * DY).sum() / h
    assert slope == pytest.approx(layer.vector.grad @ v + (dx * X_DOT).sum(), rel=1e-12)
    assert all(grad.any() for _, node in layer.walk() for grad in node.grads.values())


@pytest.mark.parametrize("move_params", [False, True])
def test_second_order_through_a_computed_weight(move_params):
    layer, h = normed(), 1e-30
    if move_params:
        layer.vector.theta_dot[...] = Key(5).normal(layer.vector.theta.shape, np.float64)
    _, cache = layer.forward(X)
    y_dot, tangents = layer.jvp(X_DOT, cache, move_params=move_params)
    dx, dx_dot = layer.backward_jvp(DY, DY_DOT, cache, tangents)

    twin = layer.clone(np.complex128)
    if move_params:
        twin.vector.theta += 1j * h * layer.vector.theta_dot
    y, cache = twin.forward(X + 1j * h * X_DOT)
    moved = twin.backward(DY + 1j * h * DY_DOT, cache)
    np.testing.assert_allclose(y_dot, y.imag / h, rtol=1e-9)
    np.testing.assert_allclose(dx, moved.real, rtol=1e-12)
    np.testing.assert_allclose(dx_dot, moved.imag / h, rtol=1e-9)
    np.testing.assert_allclose(layer.vector.grad, twin.vector.grad.imag / h, rtol=1e-9, atol=1e-12)


def test_the_hook_is_frozen_with_its_layer_or_alone():
    layer = normed()
    layer.computed["W"].freeze()
    _, cache = layer.forward(X)
    layer.backward(DY, cache)
    assert layer.grads["W"].any()
    assert not layer.computed["W"].grads["g"].any()
    layer.freeze().zero_grads()
    layer.backward(DY, cache)
    assert not layer.vector.grad.any()


def test_a_cache_is_stale_when_the_hooks_parameter_alone_has_moved():
    layer = normed()
    _, cache = layer.forward(X)
    layer.vector.raised(layer.vector.spans("computed.W.g"))
    with pytest.raises(StaleCacheError, match="made with parameters of version 0, and they are at version 1"):
        layer.backward(DY, cache)
    layer.commit(cache)  # in a step, commit always gets stale caches
    assert layer.computed["W"].state["commits"] == 1


def test_compute_comes_before_the_layout_and_names_what_is_there():
    with pytest.raises(KeyError, match="Linear has no parameter 'V'; it has W, b"):
        Linear(2, 2).compute("V", WeightNorm(2))
    with pytest.raises(RuntimeError, match="compute its weights before initialise"):
        Linear(2, 2).initialise(Key(0)).compute("W", WeightNorm(2))

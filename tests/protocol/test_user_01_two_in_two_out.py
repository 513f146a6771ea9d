"""User 1: two inputs and two outputs. A regression whose mean and log-variance depend on x, steered by a code.

    h = tanh(x A + a) * (code C + c)           mean = h M,  logvar = h V

x and y of a layer are trees, so nothing special is needed: the leaf takes a pair and returns a pair of gradients, the composite
hands a pair out. The product's derivative is the product rule, and its second order the product rule once more:

    y = a b        da = dy b               y_dot = a_dot b + a b_dot
                   db = dy a               da_dot = dy_dot b + dy b_dot,   db_dot = dy_dot a + dy a_dot
"""

from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Composite, Layer, Linear, Sequential, Tanh
from minigen.layers.tree import map_tree
from minigen.losses import gaussian
from minigen.models import Model, Objective
from minigen.random import Key


class ProductCache(NamedTuple):
    a: np.ndarray  # (N, D)
    b: np.ndarray  # (N, D)


class Product(Layer):
    """(a, b) -> a b."""

    def forward(self, x, *, train=False, key=None):
        a, b = x
        return a * b, ProductCache(a, b)

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        a, b = cache
        return (dy * b, dy * a) if need_dx else None

    def jvp(self, x_dot, cache, *, move_params=False):
        (a, b), (a_dot, b_dot) = cache, x_dot
        return a_dot * b + a * b_dot, ProductCache(a_dot, b_dot)

    def backward_jvp(self, dy, dy_dot, cache, tangents, *, need_dx=True, param_grads=True):
        (a, b), (a_dot, b_dot) = cache, tangents
        if not need_dx:
            return None, None
        return (dy * b, dy * a), (dy_dot * b + dy * b_dot, dy_dot * a + dy * a_dot)


class Steered(Composite):
    """(x, code) -> (mean, logvar)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.code, self.product = Sequential(Linear(3, 5), Tanh()), Linear(2, 5), Product()
        self.mean, self.logvar = Linear(5, 4), Linear(5, 4)

    def wire(self, f, x):
        x, code = x
        h = f.product((f.trunk(x), f.code(code)))
        return f.mean(h), f.logvar(h)

    def unwire(self, b, dy):
        dmean, dlogvar = dy
        dtrunk, dgate = b.product(b.logvar(dlogvar) + b.mean(dmean))
        return b.trunk(dtrunk, need_dx=b.need_dx), b.code(dgate, need_dx=b.need_dx)


class NegativeLogLikelihood(Objective):
    """-log N(y; mean(x, code), e^logvar(x, code)), nats per row."""

    name, updates = "nll", ("net",)

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        x, code, y = batch
        called = (forwards or {}).get("net") or model.net.forward((x, code), train=train)
        (mean, logvar), cache = called
        loss, dmean, dlogvar = gaussian(mean, logvar, y)
        if backward:
            model.net.backward((scale * dmean, scale * dlogvar), cache, need_dx=False)
        return {"nll": loss}, {"net": called}


class Regression(Model):
    def __init__(self) -> None:
        super().__init__(Key(1), np.float64, net=Steered())
        self.objectives = (NegativeLogLikelihood(),)


X, CODE, Y = (Key(10).at(name).normal((6, size), np.float64) for name, size in (("x", 3), ("code", 2), ("y", 4)))


def test_every_parameter_of_both_branches_and_both_heads():
    prove(Regression(), (X, CODE, Y), Key(11))


@pytest.fixture
def net() -> Steered:
    return Steered().initialise(Key(12), np.float64)


def normal_like(tree, name):
    return map_tree(lambda x: Key(13).at(name, *x.shape).normal(x.shape, np.float64), tree)


def inner(a, b):
    return sum((one * two).sum() for one, two in zip(a, b, strict=True))


def test_dx_has_the_structure_of_x_and_is_right_in_both(net):
    y, cache = net.forward((X, CODE))
    dy, x_dot = normal_like(y, "dy"), normal_like((X, CODE), "x_dot")
    dx = net.backward(dy, cache)
    assert [g.shape for g in dx] == [X.shape, CODE.shape]
    h = 1e-30
    moved, _ = net.clone(np.complex128).forward(map_tree(lambda x, v: x + 1j * h * v, (X, CODE), x_dot))
    assert inner(dx, x_dot) == pytest.approx(inner(dy, map_tree(lambda m: m.imag / h, moved)), rel=1e-12)


def test_second_order_needs_no_line_in_the_composite(net):
    """d/dt of backward, with x, theta and dy all moving: the complex step through the hand-written backward is the judge."""
    y, cache = net.forward((X, CODE))
    x_dot, dy, dy_dot = normal_like((X, CODE), "x_dot"), normal_like(y, "dy"), normal_like(y, "dy_dot")
    net.vector.theta_dot[...] = Key(14).normal(net.vector.theta.shape, np.float64)
    _, tangents = net.jvp(x_dot, cache, move_params=True)
    dx, dx_dot = net.backward_jvp(dy, dy_dot, cache, tangents)

    h, twin = 1e-30, net.clone(np.complex128)
    twin.vector.theta += 1j * h * net.vector.theta_dot
    _, cache = twin.forward(map_tree(lambda x, v: x + 1j * h * v, (X, CODE), x_dot))
    moved = twin.backward(map_tree(lambda g, v: g + 1j * h * v, dy, dy_dot), cache)
    for ours, ours_dot, theirs in zip(dx, dx_dot, moved, strict=True):
        np.testing.assert_allclose(ours, theirs.real, rtol=1e-12)
        np.testing.assert_allclose(ours_dot, theirs.imag / h, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(net.vector.grad, twin.vector.grad.imag / h, rtol=1e-9, atol=1e-12)


def test_an_output_that_nobody_used_has_no_gradient_and_costs_nothing(net):
    """dy = (dmean, None): the other head is not run backward, and the rest is what a gradient of zero would have given."""
    (mean, logvar), cache = net.forward((X, CODE))
    dmean = normal_like(mean, "dmean")
    dx = net.backward((dmean, None), cache)
    grad = net.vector.grad.copy()
    net.zero_grads()
    with_zeros = net.backward((dmean, np.zeros_like(logvar)), cache)
    assert np.array_equal(grad, net.vector.grad)
    assert all(np.array_equal(a, b) for a, b in zip(dx, with_zeros, strict=True))

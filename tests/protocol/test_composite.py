"""Composites: the wiring there and back, and everything that follows from the two."""

from typing import NamedTuple

import numpy as np
import pytest

from minigen.layers.composite import Composite, NotFiniteError, Residual, Sequential, watch
from minigen.layers.dropout import Dropout
from minigen.layers.elementwise import ReLU, Tanh
from minigen.layers.initialisers import zeros
from minigen.layers.layer import Layer, StaleCacheError
from minigen.layers.linear import Linear
from minigen.layers.tree import NOTHING, leaves, map_tree, replace
from minigen.layers.vector import Spec
from minigen.random import Key

X = Key(0).normal((4, 3), np.float64)
H = 1e-30


def normal(name, like):
    return Key(1).at(name).normal(like.shape, np.float64)


class LastTwo(Layer):
    """(N, 3) -> (N, 2), the last two columns."""

    def forward(self, x, *, train=False, key=None):
        return x[:, 1:], None

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        return np.pad(dy, ((0, 0), (1, 0)))

    def jvp(self, x_dot, cache, *, move_params=False):
        return x_dot[:, 1:], None

    def backward_jvp(self, dy, dy_dot, cache, tangents, *, need_dx=True, param_grads=True):
        return self.backward(dy, cache), self.backward(dy_dot, cache)


class Mixed(Composite):
    """Every kind of linear wiring: a layer that is called three times, sums, differences, multiples; a dict and a list."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.act, self.part = Linear(3, 3), Tanh(), LastTwo()
        self.heads = {"a": Linear(3, 2), "b": Linear(2, 2)}
        self.blocks = [Residual(Sequential(Linear(3, 3), Tanh())), Linear(3, 3)]

    def wire(self, f, x):
        h1 = f.act(f.shared(x))
        h2 = f.act(f.shared(h1 - 0.5 * x))
        h3 = f.shared(f.blocks[0](h2) / 2 + h1)
        return f.heads["a"](h3), f.heads["b"](-f.part(f.blocks[1](h2)))

    def unwire(self, b, dy):
        da, db = dy
        dh2 = b.blocks[1](b.part(-b.heads["b"](db)))
        dsum = b.shared(b.heads["a"](da))
        dh2 = dh2 + b.blocks[0](dsum / 2)
        dmix = b.shared(b.act(dh2))
        dh1 = dsum + dmix
        return b.shared(b.act(dh1)) - 0.5 * dmix


def check(net, x=X):
    """First and second order of `net` against the complex step, through all four passes."""
    y, cache = net.forward(x)
    net.vector.theta_dot[...] = normal("theta", net.vector.theta)
    x_dot, dy, dy_dot = normal("x", x), map_tree(lambda a: normal("dy", a), y), map_tree(lambda a: normal("dy_dot", a), y)
    y_dot, tangents = net.jvp(x_dot, cache, move_params=True)
    net.zero_grads()
    dx, dx_dot = net.backward_jvp(dy, dy_dot, cache, tangents)
    grad_dot = net.vector.grad.copy()
    net.zero_grads()
    assert np.array_equal(net.backward(dy, cache), dx)

    twin = net.clone(np.complex128)
    twin.vector.theta += 1j * H * net.vector.theta_dot
    moved_y, cache = twin.forward(x + 1j * H * x_dot)
    moved = twin.backward(map_tree(lambda u, v: u + 1j * H * v, dy, dy_dot), cache)
    slope = sum((a * b.imag).sum() for a, b in zip(leaves(dy), leaves(moved_y), strict=True)) / H
    assert slope == pytest.approx(net.vector.grad @ net.vector.theta_dot + (dx * x_dot).sum(), rel=1e-12)
    for ours, theirs in (*zip(leaves(y_dot), leaves(moved_y), strict=True), (dx_dot, moved), (grad_dot, twin.vector.grad)):
        np.testing.assert_allclose(ours, theirs.imag / H, rtol=1e-8, atol=1e-12)


# ---- the two bodies


def test_all_four_passes_follow_from_the_wiring():
    check(Mixed().initialise(Key(2), np.float64))


def test_the_library_composites():
    check(Sequential(Linear(3, 4), Residual(Sequential(Linear(4, 4), Tanh())), out=Linear(4, 2)).initialise(Key(3), np.float64))


def test_a_way_back_that_forgets_a_call_is_an_error():
    class Forgets(Composite):
        def __init__(self):
            super().__init__()
            self.one, self.two = Linear(3, 3), Linear(3, 3)

        def wire(self, f, x):
            return f.one(x) + f.two(x)

        def unwire(self, b, dy):
            return b.one(dy)

    net = Forgets().initialise(Key(0), np.float64)
    y, cache = net.forward(X)
    with pytest.raises(RuntimeError, match=r"Forgets\.unwire does not go back through two: a gradient would be lost"):
        net.backward(y, cache)
    with pytest.raises(RuntimeError, match="does not go back through two"):
        net.backward_jvp(y, y, cache, net.jvp(X, cache)[1])


def test_a_way_back_that_goes_too_often_is_an_error():
    class TooOften(Residual):
        def unwire(self, b, dy):
            return b.f(dy) + b.f(dy)

    net = TooOften(Linear(3, 3)).initialise(Key(0), np.float64)
    y, cache = net.forward(X)
    with pytest.raises(RuntimeError, match="goes back through 'f' more often than wire went there"):
        net.backward(y, cache)


def test_wiring_that_is_not_linear_is_found_in_second_order():
    class Affine(Residual):
        def unwire(self, b, dy):
            return b.f(dy) + dy + np.ones_like(X)

    net = Affine(Linear(3, 3)).initialise(Key(0), np.float64)
    y, cache = net.forward(X)
    with pytest.raises(TypeError, match="between its calls there is linear wiring alone"):
        net.backward_jvp(y, y, cache, net.jvp(X, cache)[1])


def test_calls_return_latest_first():
    """f(f(x)): the gradient is that of the composition only if the second call goes back first."""

    class Twice(Composite):
        def __init__(self):
            super().__init__()
            self.f = Sequential(Linear(3, 3), Tanh())

        def wire(self, f, x):
            return f.f(f.f(x))

        def unwire(self, b, dy):
            return b.f(b.f(dy))

    check(Twice().initialise(Key(4), np.float64))


def test_two_forwards_then_two_backwards_in_either_order():
    net = Sequential(Linear(3, 4), Tanh(), Linear(4, 2)).initialise(Key(5), np.float64)
    other, grads = Key(6).normal((4, 3), np.float64), []
    for order in ((0, 1), (1, 0)):
        net.zero_grads()
        calls = [net.forward(x) for x in (X, other)]
        for i in order:
            net.backward(*calls[i])
        grads.append(net.vector.grad.copy())
    np.testing.assert_allclose(*grads, rtol=1e-12)


# ---- no work for gradients that nobody uses


class Spy(Linear):
    """Remembers how it was asked to go back."""

    def __init__(self, asked: list[tuple[str, bool]], name: str) -> None:
        super().__init__(3, 3)
        self.asked, self.name = asked, name

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        self.asked.append((self.name, need_dx))
        return super().backward(dy, cache, need_dx=need_dx, param_grads=param_grads)


def asked_in_backward(frozen=(), **options):
    asked = []
    net = Sequential(**{name: Spy(asked, name) for name in "abc"}).initialise(Key(0), np.float64)
    for name in frozen:
        net[name].freeze()
    y, cache = net.forward(X)
    dx = net.backward(y, cache, **options)
    assert (dx is None) == (not options.get("need_dx", True))
    return asked


def test_need_dx_spares_the_first_layer_its_dx_and_frozen_layers_their_backward():
    assert asked_in_backward() == [("c", True), ("b", True), ("a", True)]
    assert asked_in_backward(need_dx=False) == [("c", True), ("b", True), ("a", False)]
    assert asked_in_backward(frozen="a", need_dx=False) == [("c", True), ("b", False)]
    assert asked_in_backward(frozen="ab", need_dx=False) == [("c", False)]
    assert asked_in_backward(frozen="abc", need_dx=False) == []
    assert asked_in_backward(frozen="bc", need_dx=False) == [("c", True), ("b", True), ("a", False)]
    assert asked_in_backward(param_grads=False, need_dx=False) == []


def test_param_grads_false_sends_a_gradient_through_and_leaves_none():
    net = Mixed().initialise(Key(7), np.float64)
    y, cache = net.forward(X)
    dy, (y_dot, tangents) = tuple(normal("dy", part) for part in y), net.jvp(X, cache)
    dx = net.backward(dy, cache, param_grads=False)
    net.backward_jvp(dy, y_dot, cache, tangents, param_grads=False)
    assert not net.vector.grad.any()
    assert np.array_equal(dx, net.backward(dy, cache))
    assert net.vector.grad.any()


# ---- gradients that are not there


def test_nothing_is_a_zero_of_any_shape():
    x = X.copy()
    for total in (x + NOTHING, NOTHING + x, x - NOTHING):
        assert total is x
    assert np.array_equal(NOTHING - x, -x)
    with pytest.raises(TypeError):
        x += NOTHING  # loud: what is added to in place may belong to somebody else
    for same in (NOTHING + NOTHING, -NOTHING, 2 * NOTHING, NOTHING * X, NOTHING / 2, NOTHING[:, 1:]):
        assert same is NOTHING
    assert replace(((X, None), None), None, NOTHING) == ((X, NOTHING), NOTHING)


class Heads(Composite):
    """x -> (one head, another)."""

    def __init__(self, layer=lambda name: Linear(3, 3)) -> None:
        super().__init__()
        self.trunk, self.a, self.b = (layer(name) for name in ("trunk", "a", "b"))

    def wire(self, f, x):
        h = f.trunk(x)
        return h + f.a(h), f.b(h) - h

    def unwire(self, b, dy):
        da, db = dy
        return b.trunk(da - db + b.b(db) + b.a(da))


@pytest.mark.parametrize("unused", [0, 1])
def test_an_output_that_nobody_used_counts_as_zero_in_both_orders(unused):
    net = Heads().initialise(Key(8), np.float64)
    _, cache = net.forward(X)
    _, tangents = net.jvp(normal("x", X), cache)
    grads, backs = [], []
    for nothing in (None, np.zeros_like(X)):
        dy, dy_dot = [normal("dy", X)] * 2, [normal("dy_dot", X)] * 2
        dy[unused] = dy_dot[unused] = nothing
        net.zero_grads()
        backs.append((net.backward(tuple(dy), cache), *net.backward_jvp(tuple(dy), tuple(dy_dot), cache, tangents)))
        grads.append(net.vector.grad.copy())
    for one, other in (*zip(*backs, strict=True), grads):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_a_call_that_would_carry_nothing_back_is_not_made():
    asked = []
    net = Heads(lambda name: Spy(asked, name)).initialise(Key(8), np.float64)
    y, cache = net.forward(X)
    net.backward((y[0], None), cache)
    assert asked == [("a", True), ("trunk", True)]
    assert net.backward((None, None), cache) is None
    assert len(asked) == 2


# ---- noise, state, streaming and data follow the wiring


def test_noise_goes_by_name_and_by_call():
    net = Sequential(one=Dropout(), two=Dropout())
    longer = Sequential(new=Tanh(), one=Dropout(), two=Dropout())
    ones, key = np.ones((50, 3)), Key(9)
    _, cache = net.forward(ones, train=True, key=key)
    _, cache2 = longer.forward(ones, train=True, key=key)
    for name in ("one", "two"):
        assert np.array_equal(cache[name][0].mask, cache2[name][0].mask)
    assert not np.array_equal(cache.one[0].mask, cache.two[0].mask)

    class Twice(Residual):
        def wire(self, f, x):
            return f.f(f.f(x))

    _, cache = Twice(Dropout()).forward(ones, train=True, key=key)
    assert not np.array_equal(cache.f[0].mask, cache.f[1].mask)


def test_commit_reaches_every_call_in_order():
    class Last(NamedTuple):
        x: np.ndarray

    class Remembers(Layer):
        def __init__(self):
            super().__init__()
            self.state["seen"] = np.zeros(0)

        def forward(self, x, *, train=False, key=None):
            return x + 1, Last(x)

        def commit(self, cache):
            self.state["seen"] = np.append(self.state["seen"], cache.x)

    class Thrice(Residual):
        def wire(self, f, x):
            return f.f(f.f(f.f(x)))

    net = Sequential(Thrice(Remembers()))
    _, cache = net.forward(np.zeros(1))
    assert net[0].f.state["seen"].size == 0
    net.commit(cache)
    assert net[0].f.state["seen"].tolist() == [0, 1, 2]


def test_data_dependent_start_runs_through_the_wiring():
    class Standardise(Layer):
        def __init__(self):
            super().__init__(b=Spec((3,), zeros))

        def forward(self, x, *, train=False, key=None):
            return x + self.params["b"], None

        def data_init(self, x, key):
            self.params["b"][...] = -x.mean(0)
            return self.forward(x)[0]

    net = Sequential(Linear(3, 3), Standardise(), Residual(Tanh()), Standardise()).initialise(Key(10), np.float64)
    y = net.data_init(X, Key(11))
    np.testing.assert_allclose(y, net.forward(X)[0], rtol=1e-13)
    assert np.abs(y.mean(0)).max() < 1e-15


def test_streaming_keeps_a_memory_for_every_call():
    class Delay(Layer):
        def stream(self, batch, width=None):
            return [np.zeros((batch, 1))]

        def advance(self, x_t, memory):
            memory.append(x_t)
            return memory.pop(0)

    class Twice(Composite):
        def __init__(self):
            super().__init__()
            self.delay = Delay()

        def wire(self, f, x):
            return x + 10 * f.delay(f.delay(x))

    net = Sequential(Twice(), ReLU())
    memory = net.stream(2)
    out = [net.advance(np.full((2, 1), float(t)), memory)[0, 0] for t in range(1, 6)]
    assert out == [1, 2, 13, 24, 35]


# ---- what it says


def test_watch_names_the_innermost_layer():
    class Blows(Tanh):
        def f(self, x):
            return x / 0.0

    bad = Blows()
    net = Sequential(Linear(3, 3), body=Residual(Sequential(Tanh(), bad))).initialise(Key(12), np.float64)
    with np.errstate(all="ignore"):
        net.forward(X)  # without watching, nothing is looked at
        with pytest.raises(NotFiniteError, match="Blows put out a value that is not finite") as caught, watch():
            net.forward(X)
        assert caught.value.layer is bad
        net.forward(X)


def test_a_composite_has_no_parameters_and_names_its_sub_layers():
    with pytest.raises(TypeError, match="a composite has no parameters of its own: give W to a layer"):
        Composite(W=Spec((2,), zeros))
    net = Mixed()
    assert net.sub("blocks.1") is net.blocks[1]
    assert net.sub("heads.b") is net.heads["b"]
    with pytest.raises(
        AttributeError, match=r"Mixed has no sub-layer 'hed'; it has shared, act, part, heads\.a, heads\.b, blocks\.0"
    ):
        net.sub("hed")
    with pytest.raises(AttributeError, match=r"Mixed\.heads is a dict, not a layer"):
        net.sub("heads")


def test_sequential_by_position_and_by_name():
    a, b, c = Tanh(), ReLU(), Linear(2, 2)
    net = Sequential(a, b, out=c)
    assert (net[0], net["1"], net[-1], net["out"], len(net)) == (a, b, c, c, 3)
    assert [name for name, _ in net.children()] == ["0", "1", "out"]


def test_a_stale_cache_inside_is_found():
    net = Sequential(Linear(3, 3), Tanh(), Linear(3, 3)).initialise(Key(13), np.float64)
    y, cache = net.forward(X)
    net.vector.theta += 0.1
    with pytest.raises(StaleCacheError, match="Run forward again"):
        net.backward(y, cache)
    with pytest.raises(StaleCacheError):
        net.jvp(X, cache)

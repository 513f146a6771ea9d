"""The four passes of every leaf layer, against the complex step and against each other; and what is particular to each.

h = 1e-30 is the complex step: f(x + i h x_dot) = f(x) + i h f_dot, exact to rounding. All in float64.
"""

import numpy as np
import pytest

from minigen import layers as L
from minigen.layers.tree import leaves, map_tree
from minigen.random import Key

H, KEY, NOISE = 1e-30, Key(11), Key(12)
IDS = np.array([[0, 4, 2], [2, 2, 1]])


class Tied(L.Composite):
    """Integers to scores and back through one table."""

    def __init__(self):
        super().__init__()
        self.table, self.middle = L.Embedding(5, 3), L.Linear(3, 3)
        self.scores = L.Unembedding(self.table)

    def wire(self, f, x):
        return f.scores(f.middle(f.table(x)))

    def unwire(self, b, dy):
        return b.table(b.middle(b.scores(dy)), need_dx=b.need_dx)


CASES = {
    "linear": (lambda: L.Linear(4, 3), (5, 4)),
    "conv2d": (lambda: L.Conv2d(2, 3, padding="same"), (2, 4, 3, 2)),
    "conv2d_odd": (lambda: L.Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=False), (2, 5, 6, 2)),
    "conv_transpose2d": (lambda: L.ConvTranspose2d(3, 2, stride=2, padding=1), (2, 2, 3, 3)),
    "conv_transpose2d_odd": (
        lambda: L.ConvTranspose2d(3, 2, (3, 2), stride=(3, 2), padding=(0, 1), output_padding=(1, 0), dilation=2, bias=False),
        (2, 2, 3, 3),
    ),
    "batch_norm": (lambda: L.BatchNorm(3), (4, 2, 2, 3)),
    "layer_norm": (lambda: L.LayerNorm(4), (3, 2, 4)),
    "softmax": (L.Softmax, (3, 2, 5)),
    "dropout": (lambda: L.Dropout(0.4), (4, 5)),
    "dropout_0": (lambda: L.Dropout(0.0), (4, 5)),
    "embedding": (lambda: L.Embedding(5, 3), IDS),
    "unembedding": (lambda: L.Unembedding(L.Embedding(5, 3)), (2, 3, 3)),
    "tied": (Tied, IDS),
    "reshape": (lambda: L.Reshape(2, -1), (3, 4, 2)),
    "flatten": (L.Flatten, (3, 4, 2)),
    "sum": (L.Sum, ((3, 2), (3, 2), (3, 2))),
    "concatenate": (L.Concatenate, ((3, 2), (3, 1))),
    "concatenate_1": (lambda: L.Concatenate(1), ((3, 2, 2), (3, 1, 2))),
    "split": (lambda: L.Split((1, 2, 1), 1), (3, 4, 2)),
    "spectral_linear": (lambda: L.Linear(4, 3).compute("W", L.SpectralNorm()), (5, 4)),
    "spectral_conv2d": (lambda: L.Conv2d(2, 3).compute("W", L.SpectralNorm()), (2, 4, 3, 2)),
    "spectral_batch_norm": (lambda: L.BatchNorm(3).compute("gain", L.SpectralNorm()), (4, 2, 2, 3)),  # any computed weight
    "spectral_layer_norm": (lambda: L.LayerNorm(4).compute("gain", L.SpectralNorm()), (3, 2, 4)),
    "spectral_unembedding": (lambda: L.Unembedding(L.Embedding(5, 3)).compute("E", L.SpectralNorm()), (2, 3, 3)),
    "spectral_embedding": (lambda: L.Embedding(5, 3).compute("E", L.SpectralNorm()), IDS),
}


def drawn(like, name):
    """Random numbers in the shapes of `like`, a tree of shapes or arrays. Integers are themselves and have no tangent."""
    if isinstance(like, np.ndarray) and like.dtype.kind == "i":
        return like if name == "x" else None
    if isinstance(like, np.ndarray) or (isinstance(like, tuple) and isinstance(like[0], int)):
        return KEY.at(name).normal(like if isinstance(like, tuple) else like.shape, np.float64)
    return tuple(drawn(part, f"{name}{i}") for i, part in enumerate(like))


def inner(a, b):
    return sum((p * q).sum() for p, q in zip(leaves(a), leaves(b), strict=True))


def imag(tree):
    return map_tree(lambda leaf: leaf.imag / H, tree)


def agree(ours, true):
    for a, b in zip(leaves(ours), leaves(true), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max(initial=0) <= 1e-13 * np.abs(b).max(initial=1)


def step(value, dot):
    """value + i h dot, but integers stay what they are."""
    return tuple(map(step, value, dot)) if isinstance(value, tuple) else value if dot is None else value + 1j * H * dot


def check_passes(make, like, train):
    layer, x = make().initialise(KEY, np.float64), drawn(like, "x")
    vector = layer.vector
    vector.theta += KEY.at("theta").normal(vector.theta.shape, np.float64)  # no bias is 0, no gain is 1
    for i in range(2):  # a state that has moved
        layer.commit(layer.forward(x, train=True, key=NOISE.at(i))[1])
    vector.theta_dot[...] = KEY.at("theta_dot").normal(vector.theta.shape, np.float64)
    y, cache = layer.forward(x, train=train, key=NOISE)
    x_dot, dy, dy_dot = drawn(x, "x_dot"), drawn(y, "dy"), drawn(y, "dy_dot")

    twin = layer.clone(np.complex128)
    twin.vector.theta += 1j * H * vector.theta_dot
    moved, moved_cache = twin.forward(step(x, x_dot), train=train, key=NOISE)
    agree(map_tree(np.real, moved), y)
    y_dot, tangents = layer.jvp(x_dot, cache, move_params=True)
    agree(y_dot, imag(moved))

    dx = layer.backward(dy, cache)
    grad = vector.grad.copy()
    straight, _ = layer.jvp(x_dot, cache)
    assert (dx is None) == (x_dot is None)
    if dx is not None:
        assert inner(dy, straight) == pytest.approx(inner(dx, x_dot), rel=1e-12)  # adjoint in x
    assert inner(dy, y_dot) - inner(dy, straight) == pytest.approx(grad @ vector.theta_dot, rel=1e-12)  # and in the parameters
    assert all(g.any() for _, node in layer.walk() for g in node.grads.values())

    moved_dx = twin.backward(step(dy, dy_dot), moved_cache)
    layer.zero_grads()
    dx_again, dx_dot = layer.backward_jvp(dy, dy_dot, cache, tangents)
    agree(dx_again, dx)
    agree(dx_dot, imag(moved_dx))
    agree(vector.grad, imag(twin.vector.grad))

    small, x32 = layer.clone(np.float32), map_tree(lambda leaf: leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf, x)
    y32, cache32 = small.forward(x32, train=train, key=NOISE)
    dx32 = small.backward(map_tree(lambda leaf: leaf.astype(np.float32), dy), cache32)
    small.commit(cache32)
    state = [value for _, node in small.walk() for value in node.state.values()]
    assert {leaf.dtype for leaf in (*leaves(y32), *leaves(dx32), *state)} == {np.dtype(np.float32)}

    layer.zero_grads()
    layer.freeze()
    agree(layer.backward(dy, cache), dx)
    assert layer.backward(dy, cache, need_dx=False) is None
    assert layer.backward_jvp(dy, dy_dot, cache, tangents, need_dx=False) == (None, None)
    assert not vector.grad.any()

    vector.theta += 0  # as an optimiser's step
    if vector.size:
        for stale in (lambda: layer.backward(dy, cache), lambda: layer.jvp(x_dot, cache)):
            with pytest.raises(L.StaleCacheError, match="Run forward again"):
                stale()


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_passes(name, train):
    check_passes(*CASES[name], train)


def test_convolution_sizes():
    key = Key(0)
    for size in (4, 5, 6):  # the convolution and its transpose: output_padding chooses among the sizes that lead to one
        there = L.Conv2d(1, 1, 3, stride=2, padding=1).initialise(key)
        small, _ = there.forward(np.zeros((1, size, size, 1), np.float32))
        back = L.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=(size + 1) % 2).initialise(key)
        assert back.forward(small)[0].shape == (1, size, size, 1)
    for bad in ({"kernel": 4}, {"stride": 2}):
        with pytest.raises(ValueError, match="odd kernel and stride 1"):
            L.Conv2d(1, 1, **bad, padding="same")
    with pytest.raises(ValueError, match=r"output_padding \(2, 2\) must be smaller than stride \(2, 2\)"):
        L.ConvTranspose2d(1, 1, stride=2, output_padding=2)
    with pytest.raises(ValueError, match="padding is too large"):
        L.ConvTranspose2d(1, 1, 1, padding=1).initialise(key).forward(np.zeros((1, 2, 2, 1), np.float32))


@pytest.mark.parametrize(
    ("make", "shape", "words"),
    [
        (lambda: L.Conv2d(3, 2), (1, 3, 4, 4), r"Conv2d\(3, 2\) got x of shape \(1, 3, 4, 4\)"),
        (lambda: L.ConvTranspose2d(3, 2), (1, 4, 3), r"ConvTranspose2d\(3, 2\) got x of shape \(1, 4, 3\)"),
        (lambda: L.BatchNorm(3), (5, 4), r"BatchNorm\(3\) got x of shape \(5, 4\)"),
        (lambda: L.BatchNorm(3), (0, 3), "two values or more"),
        (lambda: L.BatchNorm(3), (1, 3), "two values or more"),
        (lambda: L.LayerNorm(3), (5, 4), r"LayerNorm\(3\) got x of shape \(5, 4\)"),
        (lambda: L.Unembedding(L.Embedding(5, 3)), (2, 4), r"Unembedding of E \(5, 3\) got x of shape \(2, 4\)"),
        (lambda: L.Reshape(5, -1), (2, 8), r"Reshape\(5, -1\) got x of shape \(2, 8\), with 8 elements"),
        (lambda: L.Reshape(3, 2), (2, 7), r"Reshape\(3, 2\) got x of shape \(2, 7\), with 7 elements"),
        (L.Sum, ((2, 3), (2, 1)), r"Sum got arrays of shapes \(2, 3\), \(2, 1\)"),
        (L.Concatenate, ((2, 3), (1, 3)), r"Concatenate\(axis=-1\) got arrays of shapes \(2, 3\), \(1, 3\)"),
        (lambda: L.Split((2, 2)), (2, 3), r"Split\(\(2, 2\), axis=-1\) got x of shape \(2, 3\): that axis must be 4"),
    ],
)
def test_shapes_that_do_not_fit(make, shape, words):
    layer = make().initialise(KEY, np.float64)
    with pytest.raises(ValueError, match=words):
        layer.forward(drawn(shape, "x"), train=True)


def test_batch_norm_keeps_running_estimates():
    layer = L.BatchNorm(3, momentum=0.25, eps=0.0).initialise(KEY, np.float64)
    first, second = KEY.at(1).normal((6, 3), np.float64), 5 + 2 * KEY.at(2).normal((4, 2, 3), np.float64)
    caches = [layer.forward(x, train=True)[1] for x in (first, second)]
    assert not layer.state["mean"].any()  # forward changes nothing
    before = layer.state["mean"]
    for cache in caches:
        layer.commit(cache)
    assert not before.any()  # commit replaces
    mean = 0.25 * (0.75 * first.mean(0) + second.mean((0, 1)))
    var = 0.75 * (0.75 + 0.25 * first.var(0, ddof=1)) + 0.25 * second.var((0, 1), ddof=1)
    np.testing.assert_allclose(layer.state["mean"], mean)
    np.testing.assert_allclose(layer.state["var"], var)
    y, cache = layer.forward(first)
    np.testing.assert_allclose(y, (first - mean) / np.sqrt(var))
    layer.commit(cache)  # of an evaluation: nothing moves
    np.testing.assert_allclose(layer.state["mean"], mean)


def test_spectral_norm_finds_the_largest_singular_value():
    layer = L.Conv2d(3, 4).compute("W", L.SpectralNorm()).initialise(KEY, np.float64)
    x = KEY.normal((1, 3, 3, 3), np.float64)
    layer.params["W"] += KEY.at("step").normal((3, 3, 3, 4), np.float64)  # the vectors no longer fit
    effective = []
    for _ in range(200):
        cache = layer.forward(x)[1]
        effective.append(np.linalg.norm(cache.w.W.reshape(-1, 4), 2))
        layer.commit(cache)
    assert effective[0] > 1.01
    assert effective[-1] == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(cache.w.computed["W"].sigma, np.linalg.norm(layer.params["W"].reshape(-1, 4), 2))
    stale = layer.forward(x)[1]
    layer.params["W"][...] = np.eye(27, 4).reshape(3, 3, 3, 4) * [1, 2, 9, 3]
    for _ in range(30):
        layer.commit(stale)  # its cache holds the live view: commit iterates on today's weights
    assert layer.forward(x)[1].w.computed["W"].sigma == pytest.approx(9)
    with pytest.raises(ValueError, match="all zero"):
        L.Linear(2, 2, initialiser=lambda key, shape: np.zeros(shape)).compute("W", L.SpectralNorm()).initialise(KEY)


def test_dropout():
    layer = L.Dropout(0.3)
    x = np.ones((200, 500), np.float32)
    y, cache = layer.forward(x, train=True, key=KEY)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert y.mean() == pytest.approx(1, abs=5 * np.sqrt(0.3 / 0.7 / x.size))
    assert layer.backward(x, cache).sum() == y.sum()
    assert layer.forward(x)[0] is x
    with pytest.raises(ValueError, match="Dropout draws noise"):
        layer.forward(x, train=True)
    for p in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="p is the probability to drop"):
            L.Dropout(p)


def test_embedding_refuses_what_is_not_a_row():
    layer = L.Embedding(5, 3).initialise(KEY)
    for bad in (5, -1):
        with pytest.raises(ValueError, match=rf"id {bad} in x of shape \(2,\): it has 5 rows"):
            layer.forward(np.array([0, bad]))
    with pytest.raises(TypeError, match="takes integers"):
        layer.forward(np.zeros(2))


def test_a_tied_table_is_one_parameter():
    net = Tied().initialise(KEY, np.float64)
    assert net.vector.size == 5 * 3 + 3 * 3 + 3
    assert np.shares_memory(net.table.params["E"], net.scores.params["E"])
    y, cache = net.forward(IDS)
    net.backward(np.ones_like(y), cache)
    both = net.table.grads["E"].copy()
    parts = []
    for frozen in (net.table, net.scores):
        net.zero_grads()
        frozen.learns = False
        net.backward(np.ones_like(y), cache)
        frozen.learns = True
        parts.append(net.table.grads["E"].copy())
    np.testing.assert_allclose(both, parts[0] + parts[1])
    twin = net.clone()
    assert np.shares_memory(twin.table.params["E"], twin.scores.params["E"])
    assert not np.shares_memory(twin.table.params["E"], net.table.params["E"])


def test_split_takes_none_for_what_nobody_used():
    layer, x = L.Split((1, 2, 1)), KEY.normal((3, 4), np.float64)
    (_, part, _), cache = layer.forward(x)
    dx = layer.backward((None, 2 * part, None), cache)
    np.testing.assert_array_equal(dx, x * [0, 2, 2, 0])
    assert layer.backward((None, None, None), cache) is None

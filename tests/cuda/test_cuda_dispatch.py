"""Arrays on a GPU take the CUDA rungs: the choice, the arguments and the grids, on an array that stands for CuPy's."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cuda_cases import close

from minigen import backend
from minigen.check.device_array import DeviceArray, running_cuda, to_host, to_test_device
from minigen.kernels import (
    act_norm,
    activation,
    adam,
    affine,
    attention,
    average,
    bernoulli,
    categorical,
    clip,
    combine,
    conv2d,
    epilogue,
    flow,
    games,
    gated,
    gaussian,
    langevin,
    layer_norm,
    logit,
    masked_conv2d,
    matmul,
    normalise,
    pairs,
    philox,
    plu,
    reparameterize,
    resample,
    rungs,
    sgd,
    slopes,
    softmax,
    spline,
    squares,
    sums,
    units,
    window,
)
from minigen.kernels.conv2d.geometry import geometry
from minigen.kernels.cuda import on_gpu, source
from minigen.kernels.cuda.launch import launch
from minigen.kernels.tally import tally
from minigen.random import Key

LADDERS = {
    "act_norm": ("forward", "inverse", "gradient"),
    "activation": ("forward", "gradient"),
    "adam": ("step", "imagined", "imagined_back"),
    "attention": ("forward", "gradient"),
    "average": ("step",),
    "affine": ("forward", "inverse", "gradient"),
    "bernoulli": ("loss", "rows", "rows_gradient"),
    "categorical": ("loss",),
    "clip": ("to_norm", "to_range"),
    "combine": ("add", "concatenate", "split"),
    "conv2d": ("forward", "input_gradient", "weight_gradient"),
    "epilogue": ("finish", "back"),
    "flow": ("loss",),
    "games": ("loss",),
    "gated": ("forward", "gradient"),
    "gaussian": ("loss", "divergence"),
    "layer_norm": ("forward", "gradient"),
    "langevin": ("move",),
    "masked_conv2d": ("forward", "input_gradient", "weight_gradient"),
    "matmul": ("matmul",),
    "normalise": ("statistics", "scale", "sums", "gradient", "forward", "backward"),
    "philox": ("words", "uniform", "normal", "bernoulli", "integers", "order"),
    "logit": ("forward", "of_pixels", "inverse", "gradient"),
    "plu": ("forward", "inverse", "gradient"),
    "pairs": ("forward", "gradient", "tangent", "gradient_dot"),
    "reparameterize": ("sample", "gradient", "log_ratio"),
    "resample": (
        *("upsample", "upsample_transposed", "average", "average_transposed"),
        *("largest", "picked", "largest_transposed"),
    ),
    "rows": ("take", "put", "add_up"),
    "sgd": ("step",),
    "slopes": ("paid",),
    "softmax": ("forward", "gradient"),
    "spline": ("forward", "inverse", "gradient"),
    "squares": ("loss",),
    "sums": ("over_rows", "products", "inner"),
    "units": ("probabilities", "free_energy"),
    "window": ("cut",),
}


@pytest.fixture
def cuda():
    with running_cuda():
        yield


def normal(name, *shape):
    return Key(1).at(name).normal(shape)


@pytest.mark.needs_no_compiler
@pytest.mark.parametrize("operation", LADDERS)
def test_the_cuda_rung_has_the_signatures_of_the_others(operation):
    wrapper = importlib.import_module(f"minigen.kernels.{operation}")
    rung = wrapper.LADDER.load(wrapper.LADDER.cuda)
    for function in LADDERS[operation]:
        assert inspect.signature(getattr(rung, function)) == inspect.signature(getattr(wrapper, function))
    assert "Legend: " in rung.__doc__
    assert "Against the definition: " in rung.__doc__


def chosen(x, mode="auto", *more):
    with rungs(mode):
        return matmul.LADDER.choose(1, x, *more).__name__.rpartition(".")[2]


@pytest.mark.needs_no_compiler
def test_the_choice():
    x = to_test_device(np.zeros((3, 3), np.float32))
    assert chosen(x) == "definition"  # the device runs no CUDA C
    with running_cuda():
        assert backend.runs_cuda(x)
        assert chosen(x) == chosen(x, "numba") == "cuda"
        assert chosen(x, "definition") == "definition"
        assert chosen(x.astype(np.float64)) == chosen(x, "auto", x.astype(np.float64)) == "definition"
        assert chosen(x[:0]) == "definition"
        assert chosen(np.zeros((3, 3), np.float32)) == "definition"
        assert philox._rung(3, x, np.dtype(np.float32)).__name__.endswith("cuda")
        assert philox._rung(3, x, np.dtype(np.float64)).__name__.endswith("definition")
        assert philox._rung(0, x, np.dtype(np.float32)).__name__.endswith("definition")
        assert type(Key(1).permutation(0, like=x)) is DeviceArray
    assert not backend.runs_cuda(x)


def operations():
    """(name, function of arrays, its arrays): every operation through its public wrapper."""
    a, b, bias = normal("a", 20, 33), normal("b", 33, 7), normal("bias", 7)
    x, w, dy = normal("x", 2, 7, 6, 4), normal("w", 3, 3, 4, 5), normal("dy", 2, 4, 3, 5)
    rows, gain, small = normal("rows", 2, 40, 6), normal("gain", 6), [normal(n, 2, 6) for n in "mrt"]
    options = {"stride": 2, "padding": 1}
    yield "matmul", matmul.matmul, (a, b)
    yield "matmul of views", lambda a, b: matmul.matmul(a[::2].T, b[::2]), (normal("c", 40, 9), normal("d", 40, 7))
    yield "matmul, transposed", lambda a, b: matmul.matmul(a, b, transpose_a=True), (a.T.copy(), b)
    yield "conv2d", lambda x, w: conv2d.forward(x, w, **options), (x, w)
    yield "conv2d back", lambda dy, w: conv2d.input_gradient(dy, w, x.shape, **options), (dy, w)
    yield "conv2d learning", lambda x, dy: conv2d.weight_gradient(x, dy, (3, 3), **options), (x, dy)
    taps = ((-1, 0), (-1, 1), (0, -1))
    dense, same = normal("w", 3, 4, 5), normal("dy", 2, 7, 6, 5)
    yield "masked conv2d", lambda x, w: masked_conv2d.forward(x, w, taps), (x, dense)
    yield "masked conv2d back", lambda dy, w: masked_conv2d.input_gradient(dy, w, taps), (same, dense)
    yield "masked conv2d learning", lambda x, dy: masked_conv2d.weight_gradient(x, dy, taps), (x, same)
    yield "activation", lambda x: activation.forward("silu", x), (x,)
    yield "activation of a view", lambda x: activation.forward("tanh", x.transpose(3, 0, 1, 2)), (x,)
    yield "activation back", lambda dy, x: activation.gradient("leaky", dy, x, leak=0.1), (a, a + 1)
    yield "epilogue back", lambda dy, y: epilogue.back(dy, y, leak=0.2), (a, a[::-1].copy())
    yield "statistics", lambda x: normalise.statistics(x, eps=1e-3, groups=3), (rows,)
    yield "scale", lambda *v: normalise.scale(*v, kind="silu"), (rows, *small[:2], gain, gain)
    yield "sums", lambda *v: normalise.sums(*v, leak=0.0), (rows, rows + 1, gain, gain)
    yield "sums over rows", sums.over_rows, (rows,)
    yield "sums over all rows", sums.over_rows, (a,)
    yield "inner product of all", sums.inner, (rows, rows[:, ::-1] + 1)
    yield "inner products", sums.products, (a, a[::-1].copy() + 1)
    yield "gradient", lambda *v: normalise.gradient(*v, groups=2), (rows, rows + 1, gain, gain, *small)
    for more in (1, 40):
        some, few = normal("x", more, 3, 4), normal("x", 3, 4)
        there = lambda *given: normalise.forward(*given, eps=1e-3, groups=2, leak=0.1)
        back = lambda *given: normalise.backward(*given, groups=2)
        yield f"all there, {more}", there, (some, few[0], few[1])
        yield f"all back, {more}", back, (some, some + 1, few[0], few[1], some[:, 2] ** 2)
    yield "bernoulli", bernoulli.loss, (a, np.abs(a) / 5)
    yield "bernoulli rows", bernoulli.rows, (rows, normal("t", 2, 6) ** 2 / 9)
    yield "bernoulli rows back", bernoulli.rows_gradient, (rows, normal("t", 2, 6) ** 2 / 9, normal("u", 2, 40))
    g = geometry((7, 6), (3, 2), stride=2, padding=(1, 0))
    for kind in resample.KINDS:
        yield f"upsample {kind}", lambda x, k=kind: resample.upsample(k, x, 3), (x,)
        yield f"upsample {kind} back", lambda x, k=kind: resample.upsample_transposed(k, x[:, :6], 3), (x,)
    yield "average of windows", lambda x: resample.average(x, g), (x,)
    yield "average of windows back", lambda dy: resample.average_transposed(dy, x.shape, g), (normal("dy", 2, 4, 3, 4),)
    yield "largest", lambda x: resample.largest(x, g)[0], (x,)
    yield "largest, picked", lambda x, z: resample.picked(z, resample.largest(x, g)[1], g), (x, x**2)
    yield (
        "largest back",
        lambda x, dy: resample.largest_transposed(dy, resample.largest(x, g)[1], x.shape, g),
        (
            x,
            normal("dy", 2, 4, 3, 4),
        ),
    )
    q, k, v = normal("q", 3, 21, 5), normal("k", 3, 21, 5), normal("v", 3, 21, 5)
    for causal in (False, True):
        kept = attention.forward(q, k, v, causal=causal)
        ahead = lambda q, k, v, c=causal: attention.forward(q, k, v, causal=c)
        back = lambda *given, c=causal: attention.gradient(*given, causal=c)
        yield f"attention{', causal' * causal}", ahead, (q, k, v)
        yield f"attention back{', causal' * causal}", back, (normal("dy", 3, 21, 5), q, k, v, *kept)
    yield "softmax", softmax.forward, (rows,)
    yield "softmax of a view", softmax.forward, (rows.swapaxes(0, 2),)
    yield "softmax back", softmax.gradient, (rows, rows**2)
    yield "layer norm", lambda *v: layer_norm.forward(*v, eps=1e-3), (rows, rows[0, 0], rows[0, 1])
    yield "layer norm of a view", lambda *v: layer_norm.forward(*v, eps=1e-3), (rows[:, ::2], rows[0, 0], rows[0, 1])
    yield "layer norm back", layer_norm.gradient, (rows, rows + 1, rows[0, 0], rows[..., :1])
    yield "squares", lambda *given: squares.loss(*given, scale=0.7), (rows, rows.swapaxes(0, 2).copy().swapaxes(0, 2) / 3)
    for rule in slopes.RULES:
        yield f"slopes, {rule}", lambda g, r=rule: slopes.paid(r, g, weight=3.0, scale=0.7), (rows.swapaxes(0, 1),)
    labels = Key(1).at("labels").integers(6, 80).reshape(2, 40)

    def told_apart(logits):
        of = to_test_device(labels) if isinstance(logits, DeviceArray) else labels
        return categorical.loss(logits, of, scale=0.7)

    yield "categorical", told_apart, (rows,)
    yield "categorical of a view", told_apart, (rows[:, ::-1],)
    for kind in games.KINDS:
        yield f"game, {kind}", lambda l, k=kind: games.loss(k, l, -1.0, scale=0.7), (a[:, :1],)

    def clipped(limit):
        def run(*vectors):
            copies = [x.copy() for x in vectors]
            return clip.to_norm(*copies, limit=limit), *copies

        return run

    def bounded(x):
        x = x.copy()
        clip.to_range(x, 0.5)
        return x

    for limit in (1.0, 1e3):
        yield f"clipped to the norm {limit}", clipped(limit), (normal("one", 300), normal("other", 5001))
    yield "clipped to a range", bounded, (normal("one", 300),)
    yield "combine", lambda x, z, s: combine.add((2.0, x), (-0.5, s, z)), (rows, rows**2, rows[:, :1, :1])
    yield "combine: a copy", lambda x: combine.contiguous(x.swapaxes(0, 2)), (rows,)
    yield "combine: side by side", lambda *parts: combine.concatenate(parts, -1), (rows, rows[..., :3], rows[..., 1:])
    yield "combine: taken apart", lambda x: combine.split(x, (2, 0, 1, x.shape[-1] - 3)), (rows,)
    yield "gaussian", lambda *given: gaussian.loss(*given, scale=0.7), (rows, rows + 1, rows - 1)
    yield "divergence", gaussian.divergence, (rows, rows / 3)
    points, moves, of_each, pulls = normal("m", 9, 2, 5) / 3, normal("t", 9, 2, 5), normal("do", 9, 2), normal("u", 9, 2)
    yield "pairs", pairs.forward, (points,)
    yield "pairs back", pairs.gradient, (of_each, points)
    yield "pairs, moved", pairs.tangent, (moves, points)
    yield "pairs back, moved", pairs.gradient_dot, (of_each, pulls, moves, points)
    mu, logvar, eps, dz = normal("mu", 3, 5), normal("logvar", 3, 5), normal("eps", 3, 4, 5), normal("dz", 3, 4, 5)
    moved, h, dlogdet = normal("moved", 3, 2, 5), normal("h", 3, 2, 10), normal("dlogdet", 3)
    back = moved + 1, dlogdet, moved, moved / 3, moved**2
    yield "affine coupling", lambda b, h: affine.forward(b, h, 1.5), (moved, h)
    yield "affine coupling, inverse", lambda z, h: affine.inverse(z, h, 1.5), (moved, h)
    yield "affine coupling back", lambda *given: affine.gradient(*given, None), back
    chances = Key(1).at("chances").uniform((3, 2, 5))
    yield "logit", lambda x: logit.forward(x, 0.05), (chances,)
    yield "logit of pixels", lambda x, u: logit.of_pixels(x, u, 0.05), (np.rint(255 * chances) / np.float32(255), chances[::-1])
    yield "logit, inverse", lambda z: logit.inverse(z, 0.05), (moved,)
    yield "logit back", lambda *given: logit.gradient(*given, 0.05), (moved, dlogdet, chances)
    packed, order, sign = (
        normal("packed", 5, 5) / 2,
        np.eye(5, dtype=np.float32)[[3, 0, 4, 1, 2]],
        np.float32([1, -1, 1, 1, -1]),
    )
    mixed = plu.forward(packed, order, sign, 1, 1)[0]
    yield "mixture", lambda *given: plu.forward(*given, 6, 3), (packed, order, sign)
    yield "mixture, inverse", plu.inverse, (mixed, packed, order, sign)
    yield "mixture back", lambda *given: plu.gradient(*given, 6), (mixed + 1, dlogdet, packed, order, sign)
    yield "likelihood of a flow", lambda *given: flow.loss(*given, scale=0.7), (dlogdet, moved, moved[..., :2])
    yield "act norm", act_norm.forward, (rows, gain, gain + 1)
    yield "act norm, inverse", act_norm.inverse, (rows, gain, gain + 1)
    yield "act norm back", act_norm.gradient, (rows + 1, small[0][:, 0], rows, gain)
    chain = {"step": 0.3, "noise": 0.1, "clip": 0.5}
    for bound in (1.0, math.inf):
        walk = lambda *given, c=bound: langevin.move(*given, **chain, bound=c)
        yield f"a chain's move within {bound}", walk, (rows, rows - 1, rows[::-1])
    yield "gated unit", gated.forward, (moved[..., :4],)
    yield "gated unit back", gated.gradient, (moved, h)
    knotted, numbers = normal("b", 3, 2, 5) * 2, normal("h", 3, 2, 40)
    bent = {"bins": 3, "reach": 3.0, "least": 1e-2}
    yield "spline", lambda b, h: spline.forward(b, h, **bent), (knotted, numbers)
    yield "spline, inverse", lambda z, h: spline.inverse(z, h, **bent), (knotted, numbers)
    yield "spline back", lambda *given: spline.gradient(*given, **bent), (moved, dlogdet, knotted, numbers)
    at = np.array([[-9, 2], [1, -3]])  # the top and the left of the two images
    for sign in (1, -1):

        def windows(x, sign=sign):
            top, left = map(to_test_device, at) if isinstance(x, DeviceArray) else at
            return window.cut(x, top, left, 4, 9, sign=sign)

        yield f"windows, sign {sign}", windows, (normal("x", 2, 5, 6, 3),)
    yield "units", units.probabilities, (a, a[0].copy())
    yield "units summed out", units.free_energy, (a[:, :5].copy(), a[0, :5].copy(), a, a[0].copy())
    yield "samples of a Gaussian", reparameterize.sample, (mu, logvar, eps)
    yield "samples of a Gaussian back", reparameterize.gradient, (dz, logvar, eps)
    yield "weights of samples", reparameterize.log_ratio, (logvar, eps, dz)

    follows = {"leak": 0.2}
    yield "a product, finished", lambda a, b, c: matmul.matmul(a, b, bias=c, **follows), (a, b, normal("c", b.shape[1]))
    for groups in (1, 2):
        w = normal("w", 3, 3, 4 // groups, 6)
        conv = lambda x, w, b, g=groups: conv2d.forward(x, w, padding=1, groups=g, bias=b, **follows)
        yield f"convolution in {groups}, finished", conv, (normal("x", 2, 5, 4, 4), w, normal("b", 6))
        back = lambda y, w, b, g=groups: conv2d.input_gradient(y, w, (2, 7, 9, 4), stride=2, groups=g, bias=b, **follows)
        yield f"transposed convolution in {groups}, finished", back, (normal("y", 2, 3, 4, 6), w, normal("b", 4))
    taps = ((-1, 0), (0, -1), (0, 0))
    seen = lambda x, w, b: masked_conv2d.forward(x, w, taps, bias=b, **follows)
    yield "masked convolution, finished", seen, (normal("x", 2, 5, 4, 4), normal("w", 3, 4, 6), normal("b", 6))

    def averaged(held, theta):
        held = held.copy()
        average.step(held, theta, 0.25)
        return held

    def finished(y, b):
        y = y.copy()
        epilogue.finish(y, b, leak=0.1)
        return y

    def stepped(theta, grad):
        theta, m, v = theta.copy(), grad * 0, grad * 0
        adam.step(theta, grad, m, v, rate=0.1, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1, t=1)
        return theta, m, v

    def descended(theta, grad, v, momentum):
        theta, v = theta.copy(), v.copy()
        sgd.step(theta, grad, v if momentum else None, rate=0.1, momentum=momentum)
        return theta, v

    for momentum in (0.0, 0.9):
        down = lambda *vectors, m=momentum: descended(*vectors, m)
        yield f"descent, momentum {momentum}", down, (normal("theta", 300), normal("grad", 300), normal("v", 300))
    yield "softplus", lambda x: activation.forward("softplus", x), (x,)
    yield "softplus back", lambda dy, x: activation.gradient("softplus", dy, x), (x + 1, x)
    yield "average", averaged, (normal("held", 300), normal("theta", 300))
    yield "epilogue", finished, (normal("y", 9, 7), bias)
    yield "adam", stepped, (normal("theta", 300), normal("grad", 300))
    vectors, ahead = [normal(name, 300) for name in "abcgm"], {"rate": 0.1, "beta1": 0.5, "beta2": 0.99, "eps": 1e-8, "k": 2}
    kept = np.array([0.25], np.float32), np.array([0.98], np.float32)
    grown = vectors[0] ** 2 + np.float32(0.1)
    yield "an imagined step", lambda *given: adam.imagined(*given, **ahead), (*vectors[2:], grown, *kept)
    yield "an imagined step back", lambda *given: adam.imagined_back(*given, **ahead), (*vectors, grown, *kept)
    after_it = lambda a, *given: adam.imagined_back(a, None, None, *given, **ahead)
    yield "the last imagined step back", after_it, (*vectors[2:], grown, *kept)


OPERATIONS = {name: (function, arrays) for name, function, arrays in operations()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_the_device(cuda, name, monkeypatch):
    launched = launches(monkeypatch)
    function, arrays = OPERATIONS[name]
    got = function(*map(to_test_device, arrays))
    assert launched, "no kernel ran"
    with rungs("definition"):
        expected = function(*(x.astype(np.float64) for x in arrays))
    for part, exact in zip(*(v if isinstance(v, tuple) else (v,) for v in (got, expected)), strict=True):
        if isinstance(exact, float):
            assert type(part) is DeviceArray
            assert part.shape == ()
            assert abs(to_host(part) - exact) <= 1e-6 * abs(exact)
            continue
        assert type(part) is DeviceArray
        assert part.dtype == np.float32
        close(to_host(part), exact, 3e-6)


@pytest.mark.parametrize("name", ["Linear", "Conv2d", "ConvTranspose2d", "Conv1d", "MaskedConv2d"])
@pytest.mark.parametrize("leak", [None, 0.0, 0.2])
def test_a_layer_writes_its_output_once(cuda, name, leak, monkeypatch):
    """Product, bias and (leaky) ReLU are one launch."""
    from minigen import layers
    from minigen.layers.masked_conv2d import raster

    activation = None if leak is None else layers.LeakyReLU(leak)
    made, shape = {
        "Linear": (layers.Linear(7, 5, activation=activation), (6, 7)),
        "Conv2d": (layers.Conv2d(3, 4, 3, stride=2, activation=activation), (2, 7, 6, 3)),
        "ConvTranspose2d": (layers.ConvTranspose2d(3, 4, 4, stride=2, activation=activation), (2, 3, 4, 3)),
        "Conv1d": (layers.Conv1d(3, 4, 2, causal=True, activation=activation), (2, 9, 3)),
        "MaskedConv2d": (layers.MaskedConv2d(3, 4, raster("A", 3), activation=activation), (2, 5, 4, 3)),
    }[name]
    host = made.initialise(Key(1))
    host.params["b"][...] = Key(2).normal(host.params["b"].shape)
    layer = host.clone(np.float32, like=to_test_device(np.zeros(0, np.float32)))
    x = Key(3).normal(shape)
    launched = launches(monkeypatch)
    y, _ = layer.forward(to_test_device(x))
    framed = ["combine_beside"] if name == "Conv1d" else []  # a causal one stands behind zeros
    assert launched[: len(framed)] == framed
    assert len(launched) == len(framed) + 1, launched
    close(to_host(y), host.clone(np.float64).forward(x.astype(np.float64))[0], 1e-6)


def launches(monkeypatch):
    """The kernels that are launched from now on, by name."""
    names = []
    library = backend.array_module(to_test_device(np.zeros(1)))
    run = library.launch
    monkeypatch.setattr(library, "launch", lambda *arguments: (names.append(arguments[1]), run(*arguments)))
    return names


def test_a_network_learns_on_the_device_as_on_the_cpu(cuda):
    """Kernel after kernel, there and back: equal to the CPU's within rounding."""
    from minigen.layers.batch_norm import BatchNorm
    from minigen.layers.composite import Sequential
    from minigen.layers.conv2d import Conv2d
    from minigen.layers.elementwise import LeakyReLU
    from minigen.layers.linear import Linear
    from minigen.layers.shape import Flatten

    net = Sequential(
        Conv2d(2, 4, 3, padding=1), BatchNorm(4, activation=LeakyReLU(0.2)), Flatten(), Linear(4 * 6 * 5, 3)
    ).initialise(Key(4))
    x, dy = normal("x", 3, 6, 5, 2), normal("dy", 3, 3)
    found = []
    for move in (lambda v: v, to_test_device):
        layer = net.clone(np.float32, like=move(np.zeros(0, np.float32)))
        y, cache = layer.forward(move(x), train=True, key=Key(0))
        dx = layer.backward(move(dy), cache)
        found.append([to_host(v) for v in (y, dx, layer.vector.grad)])
    for host, device in zip(*found, strict=True):
        close(device, host.astype(np.float64), 1e-5)


def models():
    """(name, model, batch, operations that its step must reach)."""
    from minigen.models.autoencoder import Autoencoder
    from minigen.models.ddpm import DDPM
    from minigen.models.gan import GAN
    from minigen.models.gated_pixelcnn import GatedPixelCNN
    from minigen.models.glow import Glow
    from minigen.models.neural_spline_flow import NeuralSplineFlow
    from minigen.models.pixelcnn import PixelCNN
    from minigen.models.realnvp import RealNVP
    from minigen.models.vae import VAE

    pixels, images = Key(2).uniform((3, 6, 5, 1)), Key(3).uniform((2, 8, 8, 1))
    yield (
        "ddpm",
        DDPM((8, 8, 1), Key(0), width=16, T=40),
        images,
        {"matmul", "conv2d", "normalise", "attention", "resample", "average"},
    )
    yield "gated_pixelcnn", GatedPixelCNN((6, 5, 1), Key(0), width=8, layers=2), pixels, {"gated", "masked_conv2d", "bernoulli"}
    glow = Glow((4, 4, 1), Key(0), levels=1, steps=2, width=8)
    yield "glow", glow, Key(5).uniform((3, 4, 4, 1)), {"act_norm", "affine", "conv2d", "flow", "logit", "plu"}
    points = Key(4).normal((9, 2))
    for store in (True, False):
        flow = NeuralSplineFlow((2,), Key(0), hidden=8, bins=5, store=store)
        yield f"neural_spline_flow, store={store}", flow, points, {"matmul", "spline", "adam"}
    yield "pixelcnn", PixelCNN((6, 5, 1), Key(0), width=8, layers=2), pixels, {"masked_conv2d", "epilogue", "bernoulli", "adam"}
    yield "pixelcnn, 4 levels", PixelCNN((6, 5, 1), Key(0), width=8, layers=2, levels=4), pixels, {"categorical"}
    yield "autoencoder", Autoencoder((6, 5, 1), Key(0)), pixels, {"squares"}
    yield "gan", GAN((2,), Key(0), hidden=9, latents=3), normal("points", 7, 2), {"games", "epilogue"}
    yield "realnvp", RealNVP((2,), Key(0), hidden=9, depth=2, clip=0.5), normal("points", 7, 2), {"affine", "clip", "flow"}
    yield (
        "vae",
        VAE((6, 5, 1), Key(0), hidden=9, latents=3),
        pixels,
        {"matmul", "epilogue", "bernoulli", "gaussian", "reparameterize", "adam"},
    )


MODELS = {name: rest for name, *rest in models()}


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_a_whole_model_runs_our_kernels_alone(cuda, name):
    """Every operation on arrays takes its CUDA rung, and the loss and the gradient are those of the CPU."""
    model, batch, operations = MODELS[name]
    found = []
    for device, move in (("cpu", np.copy), ("test", to_test_device)):
        twin = model.to(device)
        twin.start(1e-3, 1)
        with tally() as seen:
            log = twin.step(move(batch), Key(7))
        found.append(([float(to_host(value)) for value in log.values()], to_host(twin.grad)))
    of_arrays = {(one.name.partition(".")[0], one.rung) for one in seen if one.name != "philox.words"}  # keys are the host's
    assert {rung for _, rung in of_arrays} == {"cuda"}
    assert operations <= {operation for operation, _ in of_arrays}
    (losses, grad), (of_device, grad_of_device) = found
    np.testing.assert_allclose(of_device, losses, rtol=1e-5)
    close(grad_of_device, grad.astype(np.float64), 1e-5)


def test_words_are_the_same_integers_on_the_device(cuda):
    like = to_test_device(np.zeros(1, np.float32))
    words = philox.words(Key(3).words, 1001, like=like)
    assert type(words) is DeviceArray
    assert np.array_equal(to_host(words), philox.words(Key(3).words, 1001))
    assert np.array_equal(to_host(philox.uniform(Key(3).words, 9, np.dtype(np.float32), like=like)), Key(3).uniform(9))
    p = Key(4).uniform(1001)
    with tally() as seen:
        happens, drawn = Key(3).bernoulli(to_test_device(p)), Key(3).integers(7, (11, 91), start=-3, like=like)
    assert [(one.name, one.rung) for one in seen] == [("philox.bernoulli", "cuda"), ("philox.integers", "cuda")]
    assert type(happens) is type(drawn) is DeviceArray
    assert np.array_equal(to_host(happens), Key(3).bernoulli(p))
    assert np.array_equal(to_host(drawn), Key(3).integers(7, (11, 91), start=-3))
    of_host = Key(3).bernoulli(p, dtype=np.float64)
    for wide in (Key(3).bernoulli(to_test_device(p), dtype=np.float64), Key(3).bernoulli(to_test_device(p.astype(np.float64)))):
        assert type(wide) is DeviceArray
        assert np.array_equal(to_host(wide), of_host)  # by the definition
    with tally() as seen:
        order = Key(3).permutation(1001, like=like)
    assert [(one.name, one.rung) for one in seen] == [("philox.words", "cuda"), ("philox.order", "cuda")]
    assert np.array_equal(to_host(order), Key(3).permutation(1001))


@pytest.mark.needs_no_compiler
def test_arrays_on_two_devices_are_refused():
    x = np.zeros(3, np.float32)
    with pytest.raises(TypeError, match="activation_forward: its arrays must lie on one device"):
        launch("activation/elementwise.cu", "activation_forward", (1,), (256,), x, to_test_device(x), 3, 0.0)


@pytest.mark.needs_no_compiler
def test_what_a_gpu_is_handed(monkeypatch):
    """A stand-in for CuPy takes down what it is called with."""
    calls, made = [], []

    class Function:
        max_dynamic_shared_size_bytes = 0

        def __call__(self, grid, block, values, shared_mem):
            calls.append((grid, block, values, shared_mem, self.max_dynamic_shared_size_bytes))

    class RawModule:
        def __init__(self, **options):
            made.append(options)

        def get_function(self, name):
            return Function()

    stand_in = SimpleNamespace(RawModule=RawModule, cuda=SimpleNamespace(Device=lambda: SimpleNamespace(id=97)))
    monkeypatch.setattr(on_gpu, "cupy", lambda: stand_in)
    a = np.zeros((64, 64), np.float32)
    arguments = (a, a, a, None, 64, 64, 64, 1.0, 0)
    for _ in range(2):
        on_gpu.launch(source.read("matmul/float32.cu"), "matmul_float32", (1, 1, 1), (128,), arguments, 60000)
    grid, block, values, shared, granted = calls[1]
    assert (grid, block, shared, granted) == ((1, 1, 1), (128,), 60000, 60000)
    assert values[0] is a
    assert [type(v) for v in values[3:]] == [np.uint64, np.int32, np.int32, np.int32, np.float32, np.int32]
    assert len(made) == 1  # compiled once
    assert made[0]["backend"] == "nvrtc"
    assert "#include" not in made[0]["code"]  # what CuPy's cache on disk hashes is all there is
    on_gpu._function.cache_clear()
    on_gpu._module.cache_clear()


@pytest.mark.needs_no_compiler
def test_without_cupy_or_a_gpu_there_is_one_message(monkeypatch):
    x = np.zeros(1, np.float32)
    adam_step = (source.read("activation/elementwise.cu"), "activation_forward", (1,), (256,), (x, x, 1, 0.0))
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError, match=r"needs CuPy: pip install 'minigen\[gpu\]', or use device 'cpu'"):
        on_gpu.launch(*adam_step)
    nothing = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "cupy", nothing)
    with pytest.raises(RuntimeError, match="needs an NVIDIA GPU and its driver, and none was found: use device 'cpu'"):
        on_gpu.launch(*adam_step)

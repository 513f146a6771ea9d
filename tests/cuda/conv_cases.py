"""What every kernel of a convolution is asked: strides, paddings, dilations, one channel, one row, more taps than pixels."""

from __future__ import annotations

from itertools import product

import numpy as np
from cuda_cases import BOUNDS, Case, close

from minigen.backend import empty
from minigen.kernels import rounding
from minigen.kernels.conv2d import cuda as conv2d
from minigen.kernels.conv2d import definition
from minigen.kernels.conv2d.geometry import geometry
from minigen.kernels.cuda import tiling
from minigen.kernels.masked_conv2d import cuda as masked_conv2d
from minigen.kernels.masked_conv2d import definition as plain_masked
from minigen.layers.masked_conv2d import horizontal, raster, spread, vertical
from minigen.random import Key

SHAPES = {  # (N, H, W, C), (kh, kw), M, stride, padding, dilation, groups
    "3 x 3": ((2, 9, 8, 8), (3, 3), 12, 1, 1, 1, 1),
    "one channel": ((3, 11, 7, 1), (5, 5), 3, 1, 2, 1, 1),
    "three channels, stride 2": ((2, 10, 9, 3), (4, 4), 8, 2, 1, 1, 1),
    "stride 2 down to one pixel": ((1, 4, 4, 4), (4, 4), 5, 2, 0, 1, 1),
    "kernel below the stride": ((2, 7, 8, 4), (1, 2), 4, (3, 3), 0, 1, 1),
    "rows unlike columns": ((1, 6, 13, 6), (2, 5), 4, (2, 1), (0, 3), (1, 2), 1),
    "dilated": ((1, 9, 10, 4), (3, 3), 8, 2, 2, 2, 1),
    "one row": ((1, 1, 20, 5), (1, 3), 7, 1, (0, 1), 1, 1),
    "1 x 1, one number": ((1, 1, 1, 1), (1, 1), 1, 1, 0, 1, 1),
    "several tiles": ((3, 12, 11, 16), (3, 3), 70, 1, 1, 1, 1),
    "groups": ((2, 7, 6, 6), (3, 2), 9, 2, 1, 1, 3),
    "depthwise": ((1, 5, 6, 8), (3, 3), 8, 1, 1, 1, 8),
}
PASSES = ("forward", "input_gradient", "weight_gradient")
MASKS = {  # (N, H, W, C), taps, M
    "raster A, one channel": ((2, 9, 8, 1), raster("A", 7), 5),
    "raster B": ((2, 7, 6, 8), raster("B", 3), 12),
    "raster B, ragged": ((3, 5, 7, 6), raster("B", 5), 7),
    "the pixel alone": ((1, 5, 9, 4), raster("B", 1), 3),
    "vertical, dilated": ((1, 9, 7, 4), spread(vertical("A", 3), 2), 8),
    "horizontal, one row": ((2, 1, 20, 5), horizontal("A", 5), 4),
    "beyond the image": ((2, 2, 3, 4), ((-3, 0), (0, 4), (1, -1), (0, 0)), 4),
    "below and to the right": ((1, 6, 5, 3), ((0, 1), (2, 2)), 9),
    "one number": ((1, 1, 1, 1), ((0, 0),), 1),
    "several tiles": ((3, 12, 11, 16), raster("B", 3), 70),
}


def problem(name, shape):
    """(arguments, options, exact result) of a pass."""
    x_shape, kernel, outputs, stride, padding, dilation, groups = shape
    g = geometry(x_shape[1:3], kernel, stride=stride, padding=padding, dilation=dilation)
    key = Key(sum(x_shape) + outputs)
    x = key.at("x").normal(x_shape)
    w = key.at("w").normal((*kernel, x_shape[3] // groups, outputs))
    dy = key.at("dy").normal((x_shape[0], *g.output, outputs))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    arguments = {"forward": (x, w), "input_gradient": (dy, w, x_shape), "weight_gradient": (x, dy, kernel)}[name]
    wide = [v.astype(np.float64) if isinstance(v, np.ndarray) else v for v in arguments]
    return arguments, options, getattr(definition, name)(*wide, **options), g


def implicit(name, shape, precision="float32", large=None, parts=None, accumulate=False, leak=None):
    arguments, options, expected, _ = problem(name, shape)
    if accumulate:
        options["accumulate"], options["out"] = True, Key(8).normal(expected.shape)
        expected = expected + options["out"]
    expected = finished(expected, leak, options)
    natural = tiling.tiling
    if large is not None or parts is not None:
        conv2d.tiling = lambda r, c, d, beside=1: tiling.Tiling(r, c, d, bool(large), parts or 1, beside)
    try:
        with rounding.precision(precision):
            close(getattr(conv2d, name)(*arguments, **options), expected, BOUNDS[precision])
    finally:
        conv2d.tiling = natural


def finished(expected, leak, options):
    """With a leak: what the product becomes with a bias and a leaky ReLU after it, for which `options` then asks."""
    if leak is None:
        return expected
    options["bias"], options["leak"] = Key(9).normal(expected.shape[-1]), leak
    u = expected + options["bias"]
    return np.where(u > 0, u, leak * u)


def on_the_way(rung, name, shape):
    arguments, options, expected, g = problem(name, shape)
    result = empty(expected.shape)
    x_shape, outputs, groups = shape[0], shape[2], options["groups"]
    if rung == "direct":
        conv2d.direct(name, *arguments[:2], result, g, x_shape, outputs, groups)
    else:
        conv2d.im2col(name, *arguments[:2], result, g, x_shape)
    close(result, expected, BOUNDS["float32"])


def masked(name, shape, precision="float32", large=None, parts=None, accumulate=False, leak=None):
    x_shape, taps, outputs = shape
    key = Key(sum(x_shape) + outputs)
    x, dy = key.at("x").normal(x_shape), key.at("dy").normal((*x_shape[:3], outputs))
    w = key.at("w").normal((len(taps), x_shape[3], outputs))
    first, second = {"forward": (x, w), "input_gradient": (dy, w), "weight_gradient": (x, dy)}[name]
    expected, options = getattr(plain_masked, name)(first.astype(np.float64), second.astype(np.float64), taps), {}
    if accumulate:
        options = {"out": Key(8).normal(expected.shape), "accumulate": True}
        expected = expected + options["out"]
    expected = finished(expected, leak, options)
    natural = tiling.tiling
    if large is not None or parts is not None:
        masked_conv2d.tiling = lambda r, c, d: tiling.Tiling(r, c, d, bool(large), parts or 1)
    try:
        with rounding.precision(precision):
            close(getattr(masked_conv2d, name)(first, second, taps, **options), expected, BOUNDS[precision])
    finally:
        masked_conv2d.tiling = natural


def _masked_cases():
    for name, (title, shape) in product(PASSES, MASKS.items()):
        tiny = title in ("beyond the image", "one number", "raster B")
        yield Case(f"masked_conv2d {name}, {title}", lambda n=name, s=shape: masked(n, s), tiny)
        for precision in ("tf32", "bf16"):
            run = lambda n=name, s=shape, p=precision: masked(n, s, p)
            yield Case(f"masked_conv2d {name}, {precision}, {title}", run, tiny, own_addresses=False)
    for name in PASSES:
        for title in ("several tiles", "raster B, ragged"):
            run = lambda n=name, s=MASKS[title]: masked(n, s, large=True)
            yield Case(f"masked_conv2d {name}, large blocks, {title}", run)
        for parts in (2, 7):
            run = lambda n=name, p=parts: masked(n, MASKS["raster B"], parts=p, accumulate=n == "weight_gradient")
            yield Case(f"masked_conv2d {name} in {parts} parts", run)
    for title, shape in MASKS.items():
        parts = 2 if title == "raster B" else None
        run = lambda s=shape, p=parts: masked("forward", s, parts=p, leak=0.2)
        yield Case(f"masked_conv2d forward, finished, {title}", run, title == "one number")


def cases():
    """The table."""
    yield from _masked_cases()
    for name, (title, shape) in product(PASSES, SHAPES.items()):
        tiny = title in ("stride 2 down to one pixel", "1 x 1, one number", "rows unlike columns")
        yield Case(f"conv2d {name}, {title}", lambda n=name, s=shape: implicit(n, s), tiny)
        yield Case(f"conv2d {name}, direct, {title}", lambda n=name, s=shape: on_the_way("direct", n, s), tiny)
        if shape[-1] > 1:
            continue
        yield Case(f"conv2d {name}, im2col, {title}", lambda n=name, s=shape: on_the_way("im2col", n, s), tiny)
        for precision in ("tf32", "bf16"):
            run = lambda n=name, s=shape, p=precision: implicit(n, s, p)
            yield Case(f"conv2d {name}, {precision}, {title}", run, tiny, own_addresses=False)
    for name, precision in product(PASSES, BOUNDS):
        for title in ("several tiles", "three channels, stride 2"):
            run = lambda n=name, s=SHAPES[title], p=precision: implicit(n, s, p, large=True)
            yield Case(f"conv2d {name}, {precision}, large blocks, {title}", run, own_addresses=precision == "float32")
    for parts in (2, 7):
        run = lambda n=parts: implicit("weight_gradient", SHAPES["3 x 3"], parts=n, accumulate=True)
        yield Case(f"conv2d weight_gradient in {parts} parts, added to", run)
        for name in ("forward", "input_gradient"):
            for title in ("several tiles", "three channels, stride 2", "kernel below the stride", "dilated"):
                run = lambda n=name, s=SHAPES[title], p=parts: implicit(n, s, parts=p, leak=0.1)
                yield Case(f"conv2d {name} in {parts} parts, {title}, finished", run)
    for name, (title, shape) in product(PASSES[:2], SHAPES.items()):
        tiny = title in ("stride 2 down to one pixel", "1 x 1, one number")
        for leak in (0.0, 1.0):  # with a ReLU, and with a bias alone
            run = lambda n=name, s=shape, l=leak: implicit(n, s, leak=l)
            yield Case(f"conv2d {name}, finished with leak {leak:g}, {title}", run, tiny)

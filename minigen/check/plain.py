"""Plain definitions of layers, (layer, x) -> y: one loop, one formula, or another function of NumPy.

They are what a layer's forward is compared with, for a backward may be right and its forward another function than its name
says.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from ..backend import Array


def softmax(_: Any, x: Array) -> Array:
    """e^x / sum e^x, without shifting."""
    y: Array = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return y


def layer_norm(layer: Any, x: Array) -> Array:
    """(x - mean) / sqrt(var + eps)."""
    y: Array = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return y * layer.params["gain"] + layer.params["b"]


def batch_norm(layer: Any, x: Array) -> Array:
    """In evaluation: by the running estimates."""
    y: Array = (x - layer.state["mean"]) / np.sqrt(layer.state["var"] + layer.eps)
    return y * layer.params["gain"] + layer.params["b"]


def conv2d(layer: Any, x: Array) -> Array:
    """Every output pixel by itself: the sum over the kernel's taps that lie in the image."""
    W, b = layer.params["W"], layer.params.get("b", 0)
    (sy, sx), (py, px), (dy, dx) = (layer.at[name] for name in ("stride", "padding", "dilation"))
    kh, kw, _, M = W.shape
    N, H, Wd, _ = x.shape
    y = np.zeros((N, (H + 2 * py - dy * (kh - 1) - 1) // sy + 1, (Wd + 2 * px - dx * (kw - 1) - 1) // sx + 1, M))
    for i, j, k, l in product(range(y.shape[1]), range(y.shape[2]), range(kh), range(kw)):
        row, column = i * sy + k * dy - py, j * sx + l * dx - px
        if 0 <= row < H and 0 <= column < Wd:
            y[:, i, j] += x[:, row, column] @ W[k, l]
    return y + b


def conv_transpose2d(layer: Any, x: Array) -> Array:
    """Every input pixel paints its kernel into the output."""
    W, b = layer.params["W"], layer.params.get("b", 0)
    (sy, sx), (py, px), (dy, dx) = (layer.at[name] for name in ("stride", "padding", "dilation"))
    kh, kw, M, _ = W.shape
    N, H, Wd, _ = x.shape
    (ey, ex) = layer.output_padding
    height, width = (H - 1) * sy - 2 * py + dy * (kh - 1) + 1 + ey, (Wd - 1) * sx - 2 * px + dx * (kw - 1) + 1 + ex
    y = np.zeros((N, height, width, M))
    for i, j, k, l in product(range(H), range(Wd), range(kh), range(kw)):
        row, column = i * sy + k * dy - py, j * sx + l * dx - px
        if 0 <= row < height and 0 <= column < width:
            y[:, row, column] += x[:, i, j] @ W[k, l].T
    return y + b


def pool(reduce: Callable[..., Any], frame: float) -> Callable[[Any, Array], Array]:
    """Every window by itself, on an image framed by `frame`."""

    def y(layer: Any, x: Array) -> Array:
        (kh, kw), (sy, sx), (py, px) = layer.size, layer.stride, layer.padding
        framed = np.pad(x, ((0, 0), (py, py), (px, px), (0, 0)), constant_values=frame)
        rows, columns = range(0, framed.shape[1] - kh + 1, sy), range(0, framed.shape[2] - kw + 1, sx)
        return np.stack([np.stack([reduce(framed[:, i : i + kh, j : j + kw], (1, 2)) for j in columns], 1) for i in rows], 1)

    return y


def nearest(layer: Any, x: Array) -> Array:
    """Every pixel repeated."""
    return x.repeat(layer.factor, 1).repeat(layer.factor, 2)


def bilinear(layer: Any, x: Array) -> Array:
    """Interpolation between pixel centres, row by row and column by column."""

    def along(axis: int, x: Array) -> Array:
        n, f = x.shape[axis], layer.factor
        centres = (np.arange(f * n) + 0.5) / f - 0.5
        return np.apply_along_axis(lambda line: np.interp(centres, np.arange(n), line), axis, x)

    return along(2, along(1, x))


def space_to_depth(layer: Any, x: Array) -> Array:
    """The pixels of a block side by side."""
    f = layer.factor
    return np.concatenate([x[:, a::f, b::f] for a in range(f) for b in range(f)], -1)


def depth_to_space(layer: Any, x: Array) -> Array:
    """Every pixel spread over a block."""
    f = layer.factor
    N, H, W, C = x.shape
    y = np.zeros((N, f * H, f * W, C // (f * f)))
    for (a, b), part in zip(product(range(f), range(f)), np.split(x, f * f, -1), strict=True):
        y[:, a::f, b::f] = part
    return y

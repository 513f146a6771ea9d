"""Plain definitions of layers, (layer, x) -> y: one loop, one formula, or another function of NumPy.

They are what a layer's forward is compared with, for a backward may be right and its forward another function than its name
says.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from itertools import product
from typing import Any

import numpy as np

from ..backend import Array


def same(_: Any, x: Array) -> Array:
    """x: what an augmentation does outside training."""
    return x


def middle(layer: Any, x: Array) -> Array:
    """The window in the middle of the framed image."""
    p, size = layer.padding, layer.size
    framed = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    top, left = (framed.shape[1] - size) // 2, (framed.shape[2] - size) // 2
    return framed[:, top : top + size, left : left + size]


def flipped(_: Any, x: Array, cache: Any) -> Array:
    """Those images mirrored whose mask is set."""
    return np.stack([one[:, ::-1] if flip else one for one, flip in zip(x, cache.mask.reshape(-1), strict=True)])


def contrast(layer: Any, x: Array, cache: Any) -> Array:
    """Image by image: nearer to the mean or farther from it."""
    axes = tuple(axis - 1 for axis in layer.axes)
    means = [one.mean(axes, keepdims=True) for one in x]
    changed = [m + c * (one - m) for one, m, c in zip(x, means, cache.amount.reshape(-1), strict=True)]
    return np.stack(changed)


def window(layer: Any, x: Array, cache: Any) -> Array:
    """Image by image: the window that begins at (top, left), 0 outside the image."""
    size = getattr(layer, "size", None)
    far = max(x.shape[1:3]) + 8
    framed = np.pad(x, ((0, 0), (far, far), (far, far), (0, 0)))
    h, w = (size, size) if size else x.shape[1:3]
    places = zip(framed, cache.top + far, cache.left + far, strict=True)
    return np.stack([one[top : top + h, left : left + w] for one, top, left in places])


def dropped(layer: Any, x: Array, cache: Any) -> Array:
    """What is kept, divided by the probability to be kept."""
    y: Array = np.where(cache.mask > 0, x / (1 - layer.p), 0)
    return y


def by_batch(layer: Any, x: Array, _: Any) -> Array:
    """Batch norm in training: channel by channel."""
    values = x.reshape(-1, x.shape[-1])
    y = (values - values.mean(0)) / np.sqrt(values.var(0) + layer.eps) * layer.params["gain"] + layer.params["b"]
    return y.reshape(x.shape)


def equalised(layer: Any, x: Array) -> Array:
    """A convolution whose weight is scaled as He's first value."""
    shape, layer = layer.params["W"].shape, copy(layer)
    layer.params = {**layer.params, "W": layer.params["W"] * np.sqrt(2 / np.prod(shape[:-1]))}
    return conv2d(layer, x)


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


def running(layer: Any, x: Array) -> dict[str, Array]:
    """The running estimates after a batch: nine tenths of the old, one of the new, the variance with R - 1."""
    values = x.reshape(-1, x.shape[-1])
    new = {"mean": values.mean(0), "var": values.var(0, ddof=1)}
    return {name: 0.9 * layer.state[name] + 0.1 * new[name] for name in new}


def group_norm(layer: Any, x: Array) -> Array:
    """Every row and every group of channels by itself."""
    groups = np.split(x, layer.groups, -1)
    axes = tuple(range(1, x.ndim))
    normal = [(g - g.mean(axes, keepdims=True)) / np.sqrt(g.var(axes, keepdims=True) + layer.eps) for g in groups]
    return np.concatenate(normal, -1) * layer.params["gain"] + layer.params["b"]


def minibatch_std(layer: Any, x: Array) -> Array:
    """One more channel: the mean standard deviation of a group of rows."""
    groups = np.split(x, len(x) // min(layer.group or len(x), len(x)))
    f = [np.full((*g.shape[:-1], 1), np.sqrt(g.var(0) + layer.eps).mean()) for g in groups]
    return np.concatenate((x, np.concatenate(f)), -1)


def minibatch_discrimination(layer: Any, x: Array) -> Array:
    """Row by row: how close the other rows' points are."""
    m = (x @ layer.params["W"]).reshape(len(x), layer.kernels, layer.dims)
    o = [sum(np.exp(-np.abs(one - other).sum(1)) for other in m) for one in m]
    return np.concatenate((x, o), 1)


def attention(layer: Any, x: tuple[Array, Array, Array]) -> Array:
    """Every row, head and query by itself."""
    q, k, v = (part.reshape(len(part), -1, part.shape[-1]) for part in x)
    d = q.shape[-1] // layer.heads
    y = np.zeros_like(q)
    for n, h, t in product(range(len(q)), range(layer.heads), range(q.shape[1])):
        part, seen = slice(h * d, (h + 1) * d), t + 1 if layer.causal else k.shape[1]
        weights = np.exp(k[n, :seen, part] @ q[n, t, part] / np.sqrt(d))
        y[n, t, part] = weights @ v[n, :seen, part] / weights.sum()
    return y.reshape(x[0].shape)


def weight_norm(layer: Any) -> Array:
    """The weight of a layer: columns of length g."""
    v, g = layer.params["W"], layer.computed["W"].params["g"]
    W: Array = g * v / np.linalg.norm(v, axis=0)
    return W


def spectral_norm(layer: Any, x: Array) -> Array:
    """W / u'Wv."""
    return x / (layer.state["u"] @ x @ layer.state["v"])


def power_iteration(layer: Any, x: Array) -> dict[str, Array]:
    """The vectors after one iteration."""
    v = x.T @ layer.state["u"]
    v = v / np.linalg.norm(v)
    return {"v": v, "u": x @ v / np.linalg.norm(x @ v)}


def conv1d(layer: Any, x: Array) -> Array:
    """Every output by itself: the sum over the taps that lie in the sequence."""
    W, b, stride, dilation = layer.params["W"], layer.params.get("b", 0), layer.at["stride"][1], layer.at["dilation"][1]
    k, T, ends = len(W), x.shape[1], 2 * layer.at["padding"][1]
    front = (k - 1) * dilation if layer.causal else ends // 2
    count = (T + (front if layer.causal else ends) - dilation * (k - 1) - 1) // stride + 1
    y = np.zeros((len(x), count, W.shape[2]))
    for t, i in product(range(count), range(k)):
        at = t * stride + i * dilation - front
        if 0 <= at < T:
            y[:, t] += x[:, at] @ W[i]
    return y + b


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


def in_groups(reference: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
    """Every group of a convolution by itself, as a layer without groups."""

    def y(layer: Any, x: Array) -> Array:
        parts = []
        for i, one in enumerate(np.split(x, layer.at["groups"], -1)):
            alone = copy(layer)
            alone.params = {name: np.split(p, layer.at["groups"], -1)[i] for name, p in layer.params.items()}
            parts.append(reference(alone, one))
        return np.concatenate(parts, -1)

    return y


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

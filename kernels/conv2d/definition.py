"""Two-dimensional convolution (cross-correlation, as in every deep learning library), channels last, plainly.

    y[n, p, q, m] = sum over r, s, c of  x[n, p stride + r dilation - padding, q stride + s dilation - padding, c] w[r, s, c, m]

where x is zero outside the image. One loop, over the taps (r, s) of the kernel: the input pixels that a tap meets are a strided
window of the padded input, and the tap's share of y is a matrix product over channels,

    y += window(r, s) @ w[r, s].

Each gradient is that line differentiated: the window receives dy @ w[r, s]', and w[r, s] receives window' @ dy.

With groups, the channels of x and of y are cut into as many equal runs, and each run of x makes its own run of y: `groups`
convolutions that know nothing of each other, side by side in one array. The loop over them is all there is to it. w holds the
kernels of all groups side by side: its last axis counts all channels of y, its third the channels of x that one group sees.
With as many groups as channels (depthwise) each channel is filtered by itself.

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels, i, o a group's
channels of x and of y. x (N, H, W, C), w (kh, kw, C / groups, M), y (N, Ho, Wo, M).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigen.backend import Array, Shape, empty, zeros

from ..arguments import output
from .geometry import Geometry, Pair, geometry


def forward(
    x: Array,
    w: Array,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
) -> Array:
    """x, w -> y (N, Ho, Wo, M)."""
    g = geometry(x.shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    y = output(out, (x.shape[0], *g.output, w.shape[3]), np.result_type(x.dtype, w.dtype), like=x)
    y[...] = 0
    padded = pad(x, g)
    for i, o in runs(groups, x.shape[3], w.shape[3]):
        for r, s, window in windows(g):
            y[..., o] += np.tensordot(padded[window][..., i], w[r, s, :, o], 1)
    return y


def input_gradient(
    dy: Array,
    w: Array,
    x_shape: Shape,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
) -> Array:
    """dy (N, Ho, Wo, M), w -> dx (N, H, W, C)."""
    g = geometry(x_shape[1:3], w.shape[:2], stride=stride, padding=padding, dilation=dilation)
    dtype = np.result_type(dy.dtype, w.dtype)
    padded = zeros((x_shape[0], *g.padded, x_shape[3]), dtype, like=dy)
    for i, o in runs(groups, x_shape[3], w.shape[3]):
        for r, s, window in windows(g):
            padded[window][..., i] += np.tensordot(dy[..., o], w[r, s, :, o].T, 1)
    dx = output(out, x_shape, dtype, like=dy)
    dx[...] = padded[inside(g)]
    return dx


def weight_gradient(
    x: Array,
    dy: Array,
    kernel_shape: Pair,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    out: Array | None = None,
    accumulate: bool = False,
) -> Array:
    """x, dy -> dw (kh, kw, C / groups, M), or out += dw."""
    g = geometry(x.shape[1:3], kernel_shape, stride=stride, padding=padding, dilation=dilation)
    dw = output(out, (*g.kernel, x.shape[3] // groups, dy.shape[3]), np.result_type(x.dtype, dy.dtype), like=x)
    if not accumulate:
        dw[...] = 0
    padded = pad(x, g)
    for i, o in runs(groups, x.shape[3], dy.shape[3]):
        for r, s, window in windows(g):
            dw[r, s, :, o] += np.tensordot(padded[window][..., i], dy[..., o], ((0, 1, 2), (0, 1, 2)))
    return dw


def runs(groups: int, c: int, m: int) -> Iterator[tuple[slice, slice]]:
    """For every group, its channels of x and its channels of y."""
    for g in range(groups):
        yield slice(g * c // groups, (g + 1) * c // groups), slice(g * m // groups, (g + 1) * m // groups)


def pad(x: Array, g: Geometry) -> Array:
    """x (N, H, W, C) in a frame of zeros: (N, H + 2 ph, W + 2 pw, C); x itself where there is no frame."""
    if g.padding == (0, 0):
        return x
    padded = empty((x.shape[0], *g.padded, x.shape[3]), x.dtype, like=x)
    padded[...] = 0
    padded[inside(g)] = x
    return padded


def inside(g: Geometry) -> tuple[slice, slice, slice]:
    """Where the image lies in the padded input."""
    (top, left), (rows, columns) = g.padding, g.image
    return slice(None), slice(top, top + rows), slice(left, left + columns)


def windows(g: Geometry) -> Iterator[tuple[int, int, tuple[slice, slice, slice]]]:
    """For every tap (r, s), the pixels of the padded input that it meets: (N, Ho, Wo, ...)."""
    for r in range(g.kernel[0]):
        for s in range(g.kernel[1]):
            yield r, s, (slice(None), _positions(g, 0, r), _positions(g, 1, s))


def _positions(g: Geometry, axis: int, tap: int) -> slice:
    first = tap * g.dilation[axis]
    return slice(first, first + (g.output[axis] - 1) * g.stride[axis] + 1, g.stride[axis])

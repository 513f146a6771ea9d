"""Upsampling and pooling in one pass. The formulas are in `definition.py`.

Against the definition: there, every tap of a window and every weight is a pass over the image, with arrays in between. Here an
image is read once and written once. Rows first: a row of the result is a mixture of few rows of x, W C numbers side by side,
summed in a line that stays in the nearest cache. Then the columns of that line are mixed into the result, C numbers at a time.
What is mixed with what says a table for each axis (axis.py), and one kernel serves both kinds of upsampling, the mean, and
their transposes: to sum up in the order of the result needs no number to be written by two threads.

The maximum and its two companions compare and choose C numbers at a time.

Error: sums of E products along each axis, with weights within u of theirs: (E + E' + 4) u of the sum of the absolute values,
u = 2^-24.

Legend: N images, H, W size, C channels, Ho, Wo output size, kh, kw window, f factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, Shape, empty

from ..combine import contiguous
from ..conv2d.geometry import Geometry
from ..jit import compiled
from ..pool import thread_count
from .axis import Axis, averaged, upsampled

ZERO, ONE = np.uint64(0), np.uint64(1)


def upsample(kind: str, x: Array, f: int) -> Array:
    """y (N, f H, f W, C)."""
    _, H, W, _ = x.shape
    return _mixed(x, *(upsampled(kind, n, f, False, x.dtype) for n in (H, W)))


def upsample_transposed(kind: str, dy: Array, f: int) -> Array:
    """dx (N, H, W, C)."""
    _, fH, fW, _ = dy.shape
    return _mixed(dy, *(upsampled(kind, n // f, f, True, dy.dtype) for n in (fH, fW)))


def average(x: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C)."""
    return _mixed(x, *(_averaged(g, axis, False, x.dtype) for axis in (0, 1)))


def average_transposed(dy: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C)."""
    return _mixed(dy, *(_averaged(g, axis, True, dy.dtype) for axis in (0, 1)))


def largest(x: Array, g: Geometry) -> tuple[Array, Array]:
    """y and winner (N, Ho, Wo, C)."""
    shape = (len(x), *g.output, x.shape[3])
    y, winner = empty(shape, x.dtype, like=x), empty(shape, np.int32, like=x)
    compare(contiguous(x), y, winner, *_sizes(g))
    return y, winner


def picked(x: Array, winner: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C)."""
    y = empty(winner.shape, x.dtype, like=x)
    pick(contiguous(x), contiguous(winner), y, *_sizes(g))
    return y


def largest_transposed(dy: Array, winner: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C)."""
    dx = empty(x_shape, dy.dtype, like=dy)
    send_back(contiguous(dy), contiguous(winner), dx, *_sizes(g))
    return dx


def _averaged(g: Geometry, axis: int, transposed: bool, dtype: Any) -> Axis:
    return averaged(*(pair[axis] for pair in (g.image, g.output, g.kernel, g.stride, g.padding)), transposed, dtype)


def _mixed(x: Array, rows: Axis, columns: Axis) -> Array:
    (N, H, W, C), (Ho, Wo) = x.shape, (len(axis.starts) - 1 for axis in (rows, columns))
    y = empty((N, Ho, Wo, C), x.dtype, like=x)
    lines = empty((min(thread_count(), N * Ho), W * C), x.dtype)
    mix(contiguous(x).reshape(N, H, W * C), y, lines, *rows, *columns)
    return y


def _sizes(g: Geometry) -> tuple[int, ...]:
    return (*g.kernel, *g.stride, *g.padding)


@compiled
def mix(
    x: Array,
    y: Array,
    lines: Array,
    row_starts: Array,
    rows: Array,
    row_weights: Array,
    column_starts: Array,
    columns: Array,
    column_weights: Array,
) -> None:
    """Fills y (N, Ho, Wo, C) from x (N, H, W C), with a line (W C,) for each thread."""
    high, wide, channels = np.uint64(y.shape[1]), np.uint64(y.shape[2]), np.uint64(y.shape[3])
    length, tasks, parts = np.uint64(x.shape[2]), np.uint64(y.shape[0] * y.shape[1]), np.uint64(lines.shape[0])
    for part in prange(lines.shape[0]):
        here = np.uint64(part)
        for task in range(tasks * here // parts, tasks * (here + ONE) // parts):
            n, i = task // high, task % high
            begin, end = row_starts[i], row_starts[i + ONE]
            if begin == end:  # a pixel that no window meets
                for e in range(length):
                    lines[here, e] = 0
            for a in range(begin, end):
                row, weight = rows[a], row_weights[a]
                if a == begin:  # written, not added to zeros: one row is all there is to nearest
                    for e in range(length):
                        lines[here, e] = weight * x[n, row, e]
                else:
                    for e in range(length):
                        lines[here, e] += weight * x[n, row, e]
            for j in range(wide):
                begin, end = column_starts[j], column_starts[j + ONE]
                if begin == end:
                    for c in range(channels):
                        y[n, i, j, c] = 0
                for b in range(begin, end):
                    first, share = columns[b] * channels, column_weights[b]
                    if b == begin:
                        for c in range(channels):
                            y[n, i, j, c] = share * lines[here, first + c]
                    else:
                        for c in range(channels):
                            y[n, i, j, c] += share * lines[here, first + c]


@compiled
def compare(
    x: Array, y: Array, winner: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, pad_h: int, pad_w: int
) -> None:
    """The largest of each window, and its tap."""
    channels, lowest = np.uint64(x.shape[3]), x.dtype.type(-np.inf)
    for task in prange(y.shape[0] * y.shape[1]):
        n, p = np.uint64(task // y.shape[1]), np.uint64(task % y.shape[1])
        for right in range(y.shape[2]):
            q = np.uint64(right)
            for c in range(channels):
                y[n, p, q, c] = lowest
                winner[n, p, q, c] = 0
            for r in range(kernel_h):
                h = task % y.shape[1] * stride_h + r - pad_h
                for s in range(kernel_w):
                    w = right * stride_w + s - pad_w
                    if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                        tap, row, column = np.int32(r * kernel_w + s), np.uint64(h), np.uint64(w)
                        for c in range(channels):
                            number, best = x[n, row, column, c], y[n, p, q, c]
                            better = (number > best) | (number != number)
                            y[n, p, q, c] = number if better else best
                            winner[n, p, q, c] = tap if better else winner[n, p, q, c]


@compiled
def pick(
    x: Array, winner: Array, y: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, pad_h: int, pad_w: int
) -> None:
    """Of each window the number at its winner; zero where that is in the frame."""
    channels, zero = np.uint64(x.shape[3]), x.dtype.type(0)
    for task in prange(y.shape[0] * y.shape[1]):
        n, p = np.uint64(task // y.shape[1]), np.uint64(task % y.shape[1])
        for right in range(y.shape[2]):
            q = np.uint64(right)
            for c in range(channels):
                tap = winner[n, p, q, c]
                h = task % y.shape[1] * stride_h + tap // kernel_w - pad_h
                w = right * stride_w + tap % kernel_w - pad_w
                met = 0 <= h < x.shape[1] and 0 <= w < x.shape[2]
                y[n, p, q, c] = x[n, np.uint64(h), np.uint64(w), c] if met else zero


@compiled
def send_back(
    dy: Array, winner: Array, dx: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, pad_h: int, pad_w: int
) -> None:
    """To each pixel the dy of the windows that it won."""
    channels, zero = np.uint64(dx.shape[3]), dx.dtype.type(0)
    for task in prange(dx.shape[0] * dx.shape[1]):
        n, h = np.uint64(task // dx.shape[1]), np.uint64(task % dx.shape[1])
        for across in range(dx.shape[2]):
            w = np.uint64(across)
            for c in range(channels):
                dx[n, h, w, c] = 0
            for r in range(kernel_h):
                below = task % dx.shape[1] + pad_h - r
                for s in range(kernel_w):
                    beside = across + pad_w - s
                    if below >= 0 and beside >= 0 and below % stride_h == 0 and beside % stride_w == 0:
                        p, q, tap = np.uint64(below // stride_h), np.uint64(beside // stride_w), np.int32(r * kernel_w + s)
                        if p < np.uint64(dy.shape[1]) and q < np.uint64(dy.shape[2]):
                            for c in range(channels):
                                dx[n, h, w, c] += dy[n, p, q, c] if winner[n, p, q, c] == tap else zero

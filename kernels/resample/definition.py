"""Upsampling and pooling, plainly. All are linear maps, the maximum too when its winner is fixed.

*Nearest* repeats each pixel f x f times. Its transpose adds up the f x f gradients that meet in a pixel.

*Bilinear*, along one axis: with half-pixel centres the output fk + p (p = 0 .. f-1) lies at k + d in the input,

    d = (p + 1/2) / f - 1/2,   -1/2 < d < 1/2,

between pixel k and its neighbour on the side of d (beyond the edge: the edge pixel itself):

    y_(fk+p) = (1 - |d|) x_k + |d| x_neighbour

Its transpose sends dy_(fk+p) to the same two pixels with the same two weights. For f = 2 the weights are 3/4 and 1/4.

*Pooling*: a window of size k begins every s pixels; a tap t is a place inside the window. With P_t the pixels that tap t meets,
one per output pixel,

    mean      y = sum_t x[P_t] / number of taps              dx[P_t] += dy / number of taps
    maximum   y = sum_t x[P_t] [t wins]                      dx[P_t] += dy [t wins]

Legend: N images, H, W size, C channels, f factor; Ho, Wo output size, kh, kw window; A, B all axes before and after the one
that grows, n its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigen.backend import Array, Shape, empty, zeros

from ..conv2d.definition import inside, pad, windows
from ..conv2d.geometry import Geometry

# ---- larger images


def upsample(kind: str, x: Array, f: int) -> Array:
    """y (N, f H, f W, C)."""
    N, H, W, C = x.shape
    if kind == "nearest":
        y = empty((N, H, f, W, f, C), x.dtype, like=x)
        y[...] = x[:, :, None, :, None]
        return y.reshape(N, f * H, f * W, C)
    tall = stretch(x.reshape(N, H, W * C), f)  # (N, fH, W C)
    return stretch(tall.reshape(N * f * H, W, C), f).reshape(N, f * H, f * W, C)


def upsample_transposed(kind: str, dy: Array, f: int) -> Array:
    """dx (N, H, W, C)."""
    N, fH, fW, C = dy.shape
    H, W = fH // f, fW // f
    if kind == "nearest":
        return dy.reshape(N, H, f, W, f, C).sum((2, 4))
    tall = stretch_transposed(dy.reshape(N * fH, fW, C), f)  # (N fH, W, C)
    return stretch_transposed(tall.reshape(N, fH, W * C), f).reshape(N, H, W, C)


def stretch(x: Array, f: int) -> Array:
    """x (A, n, B) -> (A, f n, B), linear between the centres."""
    A, n, B = x.shape
    y = empty((A, n, f, B), x.dtype, like=x)
    for p, weight, here, there, edge in neighbours(f):
        y[:, :, p] = (1 - weight) * x
        y[:, here, p] += weight * x[:, there]
        y[:, edge, p] += weight * x[:, edge]
    return y.reshape(A, n * f, B)


def stretch_transposed(dy: Array, f: int) -> Array:
    """dy (A, f n, B) -> (A, n, B): each line of `stretch` the other way."""
    A, fn, B = dy.shape
    dy = dy.reshape(A, fn // f, f, B)
    dx = zeros((A, fn // f, B), dy.dtype, like=dy)
    for p, weight, here, there, edge in neighbours(f):
        dx += (1 - weight) * dy[:, :, p]
        dx[:, there] += weight * dy[:, here, p]
        dx[:, edge] += weight * dy[:, edge, p]
    return dx


def neighbours(f: int) -> Iterator[tuple[int, float, slice, slice, int]]:
    """For every p: |d|, the pixels that have a neighbour on that side, those neighbours, and the edge pixel, which has none."""
    for p in range(f):
        d = (p + 0.5) / f - 0.5
        if d < 0:
            yield p, -d, slice(1, None), slice(None, -1), 0
        else:
            yield p, d, slice(None, -1), slice(1, None), -1


# ---- smaller images


def average(x: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C)."""
    y = zeros((len(x), *g.output, x.shape[3]), x.dtype, like=x)
    framed = pad(x, g)
    for _, _, window in windows(g):
        y += framed[window]
    y /= math.prod(g.kernel)
    return y


def average_transposed(dy: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C)."""
    dx = zeros((len(dy), *g.padded, x_shape[3]), dy.dtype, like=dy)
    share = dy / math.prod(g.kernel)
    for _, _, window in windows(g):
        dx[window] += share
    return dx[inside(g)]


def largest(x: Array, g: Geometry) -> tuple[Array, Array]:
    """y and winner (N, Ho, Wo, C)."""
    framed = empty((len(x), *g.padded, x.shape[3]), x.real.dtype, like=x)
    framed[...] = -math.inf
    framed[inside(g)] = x.real
    best = empty((len(x), *g.output, x.shape[3]), framed.dtype, like=x)
    best[...] = -math.inf
    winner = zeros(best.shape, np.int32, like=x)
    for t, (_, _, window) in enumerate(windows(g)):
        number = framed[window]
        better = (number > best) | (number != number)
        best = np.where(better, number, best)
        winner = np.where(better, np.int32(t), winner)
    return picked(x, winner, g), winner


def picked(x: Array, winner: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C)."""
    y = zeros(winner.shape, x.dtype, like=x)
    framed = pad(x, g)
    for t, (_, _, window) in enumerate(windows(g)):
        y += np.where(winner == t, framed[window], 0)
    return y


def largest_transposed(dy: Array, winner: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C)."""
    dx = zeros((len(dy), *g.padded, x_shape[3]), dy.dtype, like=dy)
    for t, (_, _, window) in enumerate(windows(g)):
        dx[window] += np.where(winner == t, dy, 0)
    return dx[inside(g)]

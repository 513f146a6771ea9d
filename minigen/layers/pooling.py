"""Pooling: the mean or the maximum of a window, or of the whole image.

A window of size k begins every s pixels; a tap t is a place inside the window. With P_t the pixels that tap t meets, one per
output pixel,

    mean      y = sum_t x[P_t] / number of taps              dx[P_t] += dy / number of taps
    maximum   y = sum_t x[P_t] [t wins]                      dx[P_t] += dy [t wins]

The winner is chosen in forward and then is a constant, as the branch of ReLU is: given it, the maximum is linear too.

N batch, H, W size, C channels, Ho, Wo output size, kh, kw window.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, Shape, empty, zeros
from ..kernels.conv2d.definition import inside, pad, windows
from ..kernels.conv2d.geometry import Geometry, Pair, geometry, pair
from .linear_map import LinearMap, LinearMapCache, check_images


class _Pool2d(LinearMap):
    """What both have in common: windows of `size`, `stride` apart (side by side without it), image framed by `padding`."""

    def __init__(self, size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        super().__init__()
        self.size = pair("size", size, 1)
        self.stride = self.size if stride is None else pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        if any(p >= k for p, k in zip(self.padding, self.size, strict=True)):
            raise ValueError(f"{self}: padding must be smaller than the window, or a window sees no pixel at all")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, stride={self.stride}, padding={self.padding})"

    def geometry(self, shape: Shape) -> Geometry:
        """Of an x of this shape."""
        return geometry(shape[1:3], self.size, stride=self.stride, padding=self.padding)

    def check(self, x: Array) -> None:
        """ValueError unless x is an image in which a window fits."""
        check_images(repr(self), x)
        if any(k > n + 2 * p for k, n, p in zip(self.size, x.shape[1:3], self.padding, strict=True)):
            raise ValueError(f"{self} got x of shape {x.shape}, which is smaller than a window: use a smaller size")


class AveragePool2d(_Pool2d):
    """(N, H, W, C) -> (N, Ho, Wo, C), the mean of each window; pixels of the frame count as zeros, as in PyTorch.

    Raises ValueError where x is no image or smaller than a window.
    """

    def fix(self, x: Array) -> LinearMapCache:
        self.check(x)
        return LinearMapCache(x.shape)

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        g = self.geometry(cache.shape)
        y = zeros((len(x), *g.output, x.shape[3]), x.dtype, like=x)
        framed = pad(x, g)
        for _, _, window in windows(g):
            y += framed[window]
        return y / math.prod(self.size)

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        g = self.geometry(cache.shape)
        dx = zeros((len(dy), *g.padded, dy.shape[3]), dy.dtype, like=dy)
        share = dy / math.prod(self.size)
        for _, _, window in windows(g):
            dx[window] += share
        return dx[inside(g)]


class MaxPoolCache(NamedTuple):
    shape: Shape  # of x
    winner: Array  # (N, Ho, Wo, C), the tap that holds the maximum


class MaxPool2d(_Pool2d):
    """(N, H, W, C) -> (N, Ho, Wo, C), the largest number of each window; of equal ones the first, row by row.

    The frame never wins. Complex numbers are compared by their real parts. Raises ValueError where x is no image or smaller
    than a window.
    """

    def fix(self, x: Array) -> MaxPoolCache:
        self.check(x)
        g = self.geometry(x.shape)
        framed = empty((len(x), *g.padded, x.shape[3]), x.real.dtype, like=x)
        framed[...] = -math.inf
        framed[inside(g)] = x.real
        best = empty((len(x), *g.output, x.shape[3]), framed.dtype, like=x)
        best[...] = -math.inf
        winner = zeros(best.shape, np.int32, like=x)
        for t, (_, _, window) in enumerate(windows(g)):
            number = framed[window]
            better = (number > best) | (number != number)  # a NaN wins, so that it is found
            best = np.where(better, number, best)
            winner = np.where(better, np.int32(t), winner)
        return MaxPoolCache(x.shape, winner)

    def there(self, x: Array, cache: MaxPoolCache) -> Array:
        g = self.geometry(cache.shape)
        y = zeros(cache.winner.shape, x.dtype, like=x)
        framed = pad(x, g)
        for t, (_, _, window) in enumerate(windows(g)):
            y += np.where(cache.winner == t, framed[window], 0)
        return y

    def back(self, dy: Array, cache: MaxPoolCache) -> Array:
        g = self.geometry(cache.shape)
        dx = zeros((len(dy), *g.padded, dy.shape[3]), dy.dtype, like=dy)
        for t, (_, _, window) in enumerate(windows(g)):
            dx[window] += np.where(cache.winner == t, dy, 0)
        return dx[inside(g)]


class GlobalAveragePool(LinearMap):
    """(N, ..., C) -> (N, C), the mean over all positions. Raises ValueError where x has none."""

    def fix(self, x: Array) -> LinearMapCache:
        if x.ndim < 3 or not math.prod(x.shape[1:-1]):
            raise ValueError(f"GlobalAveragePool got x of shape {x.shape}: it takes (N, ..., C) with positions in between")
        return LinearMapCache(x.shape)

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        return x.mean(tuple(range(1, x.ndim - 1)))

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        N, *positions, C = cache.shape
        dx = empty(cache.shape, dy.dtype, like=dy)
        dx[...] = (dy / math.prod(positions)).reshape(N, *(1 for _ in positions), C)
        return dx

"""Pooling: the mean or the maximum of a window, or of the whole image.

A window of size k begins every s pixels; a tap t is a place inside the window. With P_t the pixels that tap t meets, one per
output pixel,

    mean      y = sum_t x[P_t] / number of taps              dx[P_t] += dy / number of taps
    maximum   y = sum_t x[P_t] [t wins]                      dx[P_t] += dy [t wins]

The winner is chosen in forward and then is a constant, as the branch of ReLU is: given it, the maximum is linear too. The sums
over taps are in `kernels/resample`.

N batch, H, W size, C channels, Ho, Wo output size, kh, kw window.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..backend import Array, Shape, empty
from ..kernels import resample
from ..kernels.conv2d.geometry import Geometry, Pair, geometry, pair
from ..random import Key
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
        return resample.average(x, self.geometry(cache.shape))

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        return resample.average_transposed(dy, cache.shape, self.geometry(cache.shape))


class MaxPoolCache(NamedTuple):
    shape: Shape  # of x
    winner: Array  # (N, Ho, Wo, C), the tap that holds the maximum


class MaxPool2d(_Pool2d):
    """(N, H, W, C) -> (N, Ho, Wo, C), the largest number of each window; of equal ones the first, row by row.

    The frame never wins. Complex numbers are compared by their real parts. Raises ValueError where x is no image or smaller
    than a window.
    """

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, MaxPoolCache]:
        self.check(x)
        y, winner = resample.largest(x, self.geometry(x.shape))
        return y, MaxPoolCache(x.shape, winner)

    def there(self, x: Array, cache: MaxPoolCache) -> Array:
        return resample.picked(x, cache.winner, self.geometry(cache.shape))

    def back(self, dy: Array, cache: MaxPoolCache) -> Array:
        return resample.largest_transposed(dy, cache.winner, cache.shape, self.geometry(cache.shape))


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

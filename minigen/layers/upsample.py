"""Upsampling: every pixel becomes f x f pixels. Linear maps, one axis after the other.

Nearest repeats each pixel. Its transpose adds up the f x f gradients that meet in a pixel.

Bilinear, along one axis: with half-pixel centres the output fk + p (p = 0 .. f-1) lies at k + d in the input,

    d = (p + 1/2) / f - 1/2,   -1/2 < d < 1/2,

between pixel k and its neighbour on the side of d (beyond the edge: the edge pixel itself):

    y_(fk+p) = (1 - |d|) x_k + |d| x_neighbour

Its transpose sends dy_(fk+p) to the same two pixels with the same two weights. For f = 2 the weights are 3/4 and 1/4.

N batch, H, W size, C channels, f factor; A, B all axes before and after the one that grows, n its length.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..backend import Array, empty, zeros
from .linear_map import LinearMap, LinearMapCache, check_images


class _Upsample(LinearMap):
    """What both have in common: the factor and the check of x."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        if factor < 1:
            raise ValueError(f"{type(self).__name__}: factor must be a whole number of at least 1, got {factor}")
        self.factor = factor

    def fix(self, x: Array) -> LinearMapCache:
        check_images(f"{type(self).__name__}({self.factor})", x)
        return LinearMapCache(x.shape)


class NearestUpsample(_Upsample):
    """(N, H, W, C) -> (N, fH, fW, C), y_ij = x_(i // f)(j // f). Raises ValueError where x is no image."""

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        N, H, W, C = x.shape
        f = self.factor
        y = empty((N, H, f, W, f, C), x.dtype, like=x)
        y[...] = x[:, :, None, :, None]
        return y.reshape(N, f * H, f * W, C)

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        N, H, W, C = cache.shape
        f = self.factor
        return dy.reshape(N, H, f, W, f, C).sum((2, 4))


class BilinearUpsample(_Upsample):
    """(N, H, W, C) -> (N, fH, fW, C), linear between pixel centres, constant beyond the outermost ones.

    Half-pixel centres: what PyTorch calls align_corners=False, and most image libraries do. Raises ValueError where x is no
    image.
    """

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        N, H, W, C = x.shape
        f = self.factor
        y = stretch(x.reshape(N, H, W * C), f)  # (N, fH, W C)
        return stretch(y.reshape(N * f * H, W, C), f).reshape(N, f * H, f * W, C)

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        N, H, W, C = cache.shape
        f = self.factor
        dx = stretch_transposed(dy.reshape(N * f * H, f * W, C), f)  # (N f H, W, C)
        return stretch_transposed(dx.reshape(N, f * H, W * C), f).reshape(N, H, W, C)


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

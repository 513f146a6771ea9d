"""Upsampling: every pixel becomes f x f pixels. Linear maps, so that a layer is the map and its transpose.

Along one axis output i = fk + p (p = 0 .. f-1) looks at the pixels of x around it,

    nearest     y_i = x_k                                         dx_k = sum_p dy_(fk+p)
    bilinear    y_i = (1 - |d|) x_k + |d| x_neighbour             dx: every dy_i to the same two pixels, weighted so

with d = (p + 1/2) / f - 1/2 where output i lies, counted from pixel k. Both are derived in `kernels/resample/definition.py`.

N batch, H, W size, C channels, f factor.
"""

from __future__ import annotations

from ..backend import Array
from ..kernels import resample
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
        return resample.upsample("nearest", x, self.factor)

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        return resample.upsample_transposed("nearest", dy, self.factor)


class BilinearUpsample(_Upsample):
    """(N, H, W, C) -> (N, fH, fW, C), linear between pixel centres, constant beyond the outermost ones.

    Half-pixel centres: what PyTorch calls align_corners=False, and most image libraries do. Raises ValueError where x is no
    image.
    """

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        return resample.upsample("bilinear", x, self.factor)

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        return resample.upsample_transposed("bilinear", dy, self.factor)

"""Space to depth: every f x f block of pixels becomes one pixel with f f C channels, and back. The numbers only move.

    y[n, i, j, (a f + b) C + c] = x[n, i f + a, j f + b, c]          a, b = 0 .. f-1, the place inside a block

A permutation P: its transpose is its inverse, so the way back of the one is the way there of the other, and log |det P| = 0.

N batch, H, W size, C channels, f factor.
"""

from __future__ import annotations

from ..backend import Array
from ..kernels.combine import contiguous
from .linear_map import LinearMap, LinearMapCache, check_images
from .rearrange import Rearrangement


def space_to_depth(x: Array, f: int) -> Array:
    """x (N, fH, fW, C) -> (N, H, W, f f C)."""
    N, H, W, C = x.shape
    blocks = x.reshape(N, H // f, f, W // f, f, C)  # n, i, a, j, b, c
    return contiguous(blocks.transpose(0, 1, 3, 2, 4, 5)).reshape(N, H // f, W // f, f * f * C)


def depth_to_space(y: Array, f: int) -> Array:
    """y (N, H, W, f f C) -> (N, fH, fW, C)."""
    N, H, W, C = y.shape
    blocks = y.reshape(N, H, W, f, f, C // (f * f))  # n, i, j, a, b, c
    return contiguous(blocks.transpose(0, 1, 3, 2, 4, 5)).reshape(N, H * f, W * f, C // (f * f))


def check_blocks(layer: str, x: Array, f: int) -> None:
    """ValueError unless x is an image that divides into blocks."""
    check_images(layer, x)
    if x.shape[1] % f or x.shape[2] % f:
        raise ValueError(f"{layer} got x of shape {x.shape}: height and width must be multiples of {f}: pad or crop it")


def check_depth(layer: str, x: Array, f: int) -> None:
    """ValueError unless x is an image whose channels divide into blocks."""
    check_images(layer, x)
    if x.shape[3] % (f * f):
        raise ValueError(f"{layer} got x of shape {x.shape}: its channels must be a multiple of {f * f}")


class SpaceToDepth(LinearMap):
    """(N, fH, fW, C) -> (N, H, W, f f C). The place inside a block comes before c, as in TensorFlow; PyTorch's pixel_unshuffle
    has c first. Raises ValueError where the size is not a multiple of the factor."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor

    def fix(self, x: Array) -> LinearMapCache:
        check_blocks(f"SpaceToDepth({self.factor})", x, self.factor)
        return LinearMapCache(x.shape)

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        return space_to_depth(x, self.factor)

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        return depth_to_space(dy, self.factor)


class DepthToSpace(LinearMap):
    """(N, H, W, f f C) -> (N, fH, fW, C), the inverse of SpaceToDepth. Raises ValueError where f f does not divide the
    channels."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor

    def fix(self, x: Array) -> LinearMapCache:
        check_depth(f"DepthToSpace({self.factor})", x, self.factor)
        return LinearMapCache(x.shape)

    def there(self, x: Array, cache: LinearMapCache) -> Array:
        return depth_to_space(x, self.factor)

    def back(self, dy: Array, cache: LinearMapCache) -> Array:
        return space_to_depth(dy, self.factor)


class Squeeze(Rearrangement):
    """(N, fH, fW, C) -> z (N, H, W, f f C) and logdet 0 (Dinh et al. 2017, section 3.6), with its inverse.

    Raises ValueError where the size is not a multiple of the factor.
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor

    def there(self, x: Array) -> Array:
        check_blocks(f"Squeeze({self.factor})", x, self.factor)
        return space_to_depth(x, self.factor)

    def back(self, z: Array) -> Array:
        check_depth(f"Squeeze({self.factor}).inverse", z, self.factor)
        return depth_to_space(z, self.factor)

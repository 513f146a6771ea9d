"""Images of another size: upsampling, pooling and their transposes, one pass over memory each way.

Images are (N, H, W, C). `average` and `largest` take the geometry of a convolution (../conv2d/geometry.py) whose kernel is the
window. `largest` also says which tap of each window holds its maximum; `picked` and `largest_transposed` are the linear map
that this fixes, and its transpose.
"""

from __future__ import annotations

from minigen.backend import Array, Shape

from .. import arguments
from ..conv2d.geometry import Geometry
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 13)  # work: elements of the larger of both images

KINDS = ("nearest", "bilinear")


def upsample(kind: str, x: Array, f: int) -> Array:
    """y (N, f H, f W, C) of x (N, H, W, C), by one of KINDS. Raises ValueError on an unknown kind and where x is no image."""
    _check("upsample", x=x)
    y: Array = LADDER.choose(x.size * f * f, x).upsample(_known(kind), x, f)
    return y


def upsample_transposed(kind: str, dy: Array, f: int) -> Array:
    """dx (N, H, W, C) of dy (N, f H, f W, C). It raises as `upsample` does, and where f does not divide dy's sides."""
    _check("upsample_transposed", dy=dy)
    if dy.shape[1] % f or dy.shape[2] % f:
        raise ValueError(f"resample.upsample_transposed: {f} must divide height and width of dy {dy.shape}")
    dx: Array = LADDER.choose(dy.size, dy).upsample_transposed(_known(kind), dy, f)
    return dx


def average(x: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C), the mean of each window of x (N, H, W, C), in which pixels of the frame count as zeros."""
    _check("average", x=x)
    y: Array = LADDER.choose(x.size, x).average(x, g)
    return y


def average_transposed(dy: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C) = x_shape of dy (N, Ho, Wo, C)."""
    _check("average_transposed", dy=dy)
    dx: Array = LADDER.choose(dy.size * g.kernel[0] * g.kernel[1], dy).average_transposed(dy, x_shape, g)
    return dx


def largest(x: Array, g: Geometry) -> tuple[Array, Array]:
    """y and winner (N, Ho, Wo, C): the largest number of each window of x (N, H, W, C), and the tap r kw + s that holds it.

    Of equal numbers the first wins, row by row; the frame never does. A NaN wins over all, so that it is found. Complex numbers
    are compared by their real parts. winner is int32.
    """
    _check("largest", x=x)
    found: tuple[Array, Array] = LADDER.choose(x.size, x).largest(x, g)
    return found


def picked(x: Array, winner: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C), of each window of x (N, H, W, C) the number at the tap `winner`."""
    _check("picked", x=x)
    y: Array = LADDER.choose(x.size, x).picked(x, winner, g)
    return y


def largest_transposed(dy: Array, winner: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C) = x_shape of dy and winner (N, Ho, Wo, C): every dy to the pixel that won."""
    _check("largest_transposed", dy=dy)
    dx: Array = LADDER.choose(dy.size * g.kernel[0] * g.kernel[1], dy).largest_transposed(dy, winner, x_shape, g)
    return dx


def _check(function: str, **images: Array) -> None:
    arguments.check_ndim(f"resample.{function}", 4, **images)
    arguments.same_kind(f"resample.{function}", **images)


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"unknown kind of upsampling {kind!r}: choose one of {', '.join(KINDS)}")
    return kind

"""Upsampling, pooling and their transposes on a GPU, in CUDA C (`upsample.cu`, `pooling.cu`). The formulas are in
`definition.py`.

Against the definition: one kernel each way, a thread for each number of the result.

Error: sums of at most 9 f^2, or kh kw, products: that many times u of the sum of the absolute values, u = 2^-24.

Legend: N images, H, W size, C channels, f factor, Ho, Wo output size, kh, kw window.
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array, Shape, empty

from ..combine import contiguous
from ..conv2d.geometry import Geometry
from ..cuda.launch import each

KINDS = ("nearest", "bilinear")


def upsample(kind: str, x: Array, f: int) -> Array:
    """y (N, f H, f W, C) of x (N, H, W, C), by one of KINDS."""
    N, H, W, C = x.shape
    y = empty((N, f * H, f * W, C), x.dtype, like=x)
    each("resample/upsample.cu", kind, y.size, contiguous(x), y, y.size, H, W, C, f)
    return y


def upsample_transposed(kind: str, dy: Array, f: int) -> Array:
    """dx (N, H, W, C) of dy (N, f H, f W, C)."""
    N, fH, fW, C = dy.shape
    dx = empty((N, fH // f, fW // f, C), dy.dtype, like=dy)
    each("resample/upsample.cu", f"{kind}_transposed", dx.size, contiguous(dy), dx, dx.size, fH // f, fW // f, C, f)
    return dx


def average(x: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C), the mean of each window of x (N, H, W, C)."""
    y = empty((len(x), *g.output, x.shape[3]), x.dtype, like=x)
    each("resample/pooling.cu", "average_pool", y.size, contiguous(x), y, y.size, *_sizes(x.shape, g))
    return y


def average_transposed(dy: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C) = x_shape of dy (N, Ho, Wo, C)."""
    dx = empty(x_shape, dy.dtype, like=dy)
    each("resample/pooling.cu", "average_pool_transposed", dx.size, contiguous(dy), dx, dx.size, *_sizes(x_shape, g))
    return dx


def largest(x: Array, g: Geometry) -> tuple[Array, Array]:
    """y and winner (N, Ho, Wo, C): the largest number of each window of x (N, H, W, C), and the tap that holds it."""
    shape = (len(x), *g.output, x.shape[3])
    y, winner = empty(shape, x.dtype, like=x), empty(shape, np.int32, like=x)
    each("resample/pooling.cu", "max_pool", y.size, contiguous(x), y, winner, y.size, *_sizes(x.shape, g))
    return y, winner


def picked(x: Array, winner: Array, g: Geometry) -> Array:
    """y (N, Ho, Wo, C), of each window of x (N, H, W, C) the number at the tap `winner`."""
    y = empty(winner.shape, x.dtype, like=x)
    values = contiguous(x), contiguous(winner)
    each("resample/pooling.cu", "picked_pool", y.size, *values, y, y.size, *_sizes(x.shape, g))
    return y


def largest_transposed(dy: Array, winner: Array, x_shape: Shape, g: Geometry) -> Array:
    """dx (N, H, W, C) = x_shape of dy and winner (N, Ho, Wo, C)."""
    dx = empty(x_shape, dy.dtype, like=dy)
    values = contiguous(dy), contiguous(winner)
    each("resample/pooling.cu", "max_pool_transposed", dx.size, *values, dx, dx.size, *_sizes(x_shape, g))
    return dx


def _sizes(x_shape: Shape, g: Geometry) -> tuple[int, ...]:
    return (*x_shape[1:], *g.kernel, *g.output, *g.stride, *g.padding)

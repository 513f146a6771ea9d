"""Convolution as one matrix product, rung 3: the patches of x are copied out, side by side (im2col).

A patch is what one number of y reads of x: kh kw C numbers. Copied into the rows of a matrix, one for each pixel of y,

    patches (N Ho Wo, kh kw C)        y = patches w        dw = patches' dy        dpatches = dy w'

and dx receives dpatches where the patches were copied from: a number of x that lies in several patches gets the sum (col2im).

Against the definition: there a tap is a product of its own, which reads and writes all of y. Against loops.py: the product is
the library's (`matmul/register_tile.py`), which keeps a tile of results in registers and makes six multiplications for every
number that it loads. Predicted: the speed of that product, less the time to write and to read the patches, which are kh kw /
stride^2 times as many numbers as x. With 3 x 3 taps, 64 channels in and 64 out a number of the patches is moved twice for 128
operations: at 200 GFLOP/s and 30 GB/s that is a third of the time, and the rest is some sixty times as fast as the loops. The
patches take memory too. That neither need be is the idea of the next rung (direct.py). Nothing chooses this rung; it is for
readers.

Source: Chellapilla, Puri and Simard (2006), "High performance convolutional neural networks for document processing".

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels. Groups are products
of their own. x (N, H, W, C), w (kh, kw, C / groups, M), y (N, Ho, Wo, M).
"""

from __future__ import annotations

from numba import prange

from minigen.backend import Array, Shape, empty, zeros

from ..arguments import output
from ..combine import contiguous
from ..jit import compiled
from ..matmul.register_tile import matmul
from .definition import inside, runs
from .frame import framed
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
    y = output(out, (x.shape[0], *g.output, w.shape[3]), x.dtype, like=x)
    for i, o in runs(groups, x.shape[3], w.shape[3]):
        y[..., o] = matmul(patches_of(x[..., i], g), as_matrix(w[..., o])).reshape(*y.shape[:3], -1)
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
    dx = output(out, x_shape, dy.dtype, like=dy)
    for i, o in runs(groups, x_shape[3], w.shape[3]):
        patches = matmul(as_matrix(dy[..., o]), as_matrix(w[..., o]), transpose_b=True)
        whole = zeros((x_shape[0], *g.padded, x_shape[3] // groups), dy.dtype, like=dy)
        put_back(patches.reshape(x_shape[0], *g.output, *g.kernel, -1), whole, g.stride, g.dilation)
        dx[..., i] = whole[inside(g)]
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
    dw = output(out, (*g.kernel, x.shape[3] // groups, dy.shape[3]), x.dtype, like=x)
    if not accumulate:
        dw[...] = 0
    for i, o in runs(groups, x.shape[3], dy.shape[3]):
        product = matmul(patches_of(x[..., i], g), as_matrix(dy[..., o]), transpose_a=True)
        dw[..., o] += product.reshape(*dw.shape[:3], -1)
    return dw


def as_matrix(x: Array) -> Array:
    """All axes but the last as one."""
    return contiguous(x).reshape(-1, x.shape[-1])


def patches_of(x: Array, g: Geometry) -> Array:
    """x (N, H, W, C) -> patches (N Ho Wo, kh kw C)."""
    (rows, columns), channels = g.padding, x.shape[3]
    patches = empty((x.shape[0], *g.output, *g.kernel, channels), x.dtype, like=x)
    copy_out(framed(x, (rows, rows), (columns, columns)), patches, g.stride, g.dilation)
    return patches.reshape(-1, g.kernel[0] * g.kernel[1] * channels)


@compiled
def copy_out(x: Array, patches: Array, stride: Pair, dilation: Pair) -> None:
    """patches (N, Ho, Wo, kh, kw, C) of x in its frame; rows of y are shared out."""
    _, rows, columns, kh, kw, channels = patches.shape
    for line in prange(patches.shape[0] * rows):
        n, p = line // rows, line % rows
        for q in range(columns):
            for r in range(kh):
                row = p * stride[0] + r * dilation[0]
                for s in range(kw):
                    for c in range(channels):
                        patches[n, p, q, r, s, c] = x[n, row, q * stride[1] + s * dilation[1], c]


@compiled
def put_back(patches: Array, x: Array, stride: Pair, dilation: Pair) -> None:
    """x in its frame += patches (N, Ho, Wo, kh, kw, C), each where it came from. Patches of one image overlap: one thread."""
    images, rows, columns, kh, kw, channels = patches.shape
    for n in prange(images):
        for p in range(rows):
            for q in range(columns):
                for r in range(kh):
                    row = p * stride[0] + r * dilation[0]
                    for s in range(kw):
                        for c in range(channels):
                            x[n, row, q * stride[1] + s * dilation[1], c] += patches[n, p, q, r, s, c]

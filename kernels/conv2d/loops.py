"""Convolution by seven loops, rung 2: the formula as it stands, compiled.

    y[n, p, q, m] = sum over r, s, c of  x[n, p stride + r dilation, q stride + s dilation, c] w[r, s, c, m]

with x in its frame of zeros. Seven loops meet every product x w once, and the gradients are the same seven loops: in each line
two of the three arrays are read, and the third receives,

    y += x w        dx += dy w        dw += x dy

which is that product, differentiated. Against the definition: there a tap is a matrix product over all pixels; here everything
is in sight, and that is all. In forward each addition waits for the one before it to the same number, about 4 cycles for two
operations. In the gradients the sum is fetched and stored every time. Numbers of w and of dw lie a row apart, so that of every
line of the cache one is used. Predicted: some 2 GFLOP/s, one part in a hundred of a BLAS. Nothing chooses this rung; it is for
readers.

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels; with groups, m meets
the channels of its own group alone, of which there are C / groups. x (N, H, W, C), w (kh, kw, C / groups, M), y (N, Ho, Wo, M).
"""

from __future__ import annotations

from minigen.backend import Array, Shape, zeros

from ..arguments import output
from ..jit import compiled_for_one
from .definition import inside, pad
from .geometry import Pair, geometry


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
    convolve(pad(x, g), w, y, g.stride, g.dilation, groups)
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
    framed = zeros((x_shape[0], *g.padded, x_shape[3]), dy.dtype, like=dy)
    to_input(framed, w, dy, g.stride, g.dilation, groups)
    dx = output(out, x_shape, dy.dtype, like=dy)
    dx[...] = framed[inside(g)]
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
    to_weights(pad(x, g), dw, dy, g.stride, g.dilation, groups)
    return dw


@compiled_for_one
def convolve(x: Array, w: Array, y: Array, stride: Pair, dilation: Pair, groups: int) -> None:
    """y = the convolution of x, which has its frame."""
    kh, kw, channels, outputs = w.shape
    for n in range(y.shape[0]):
        for p in range(y.shape[1]):
            for q in range(y.shape[2]):
                for m in range(outputs):
                    left = m // (outputs // groups) * channels
                    total = x.dtype.type(0)
                    for r in range(kh):
                        row = p * stride[0] + r * dilation[0]
                        for s in range(kw):
                            column = q * stride[1] + s * dilation[1]
                            for c in range(channels):
                                total += x[n, row, column, left + c] * w[r, s, c, m]
                    y[n, p, q, m] = total


@compiled_for_one
def to_input(dx: Array, w: Array, dy: Array, stride: Pair, dilation: Pair, groups: int) -> None:
    """dx, which has the frame, += what each number of x did to y."""
    kh, kw, channels, outputs = w.shape
    for n in range(dy.shape[0]):
        for p in range(dy.shape[1]):
            for q in range(dy.shape[2]):
                for m in range(outputs):
                    left = m // (outputs // groups) * channels
                    for r in range(kh):
                        row = p * stride[0] + r * dilation[0]
                        for s in range(kw):
                            column = q * stride[1] + s * dilation[1]
                            for c in range(channels):
                                dx[n, row, column, left + c] += dy[n, p, q, m] * w[r, s, c, m]


@compiled_for_one
def to_weights(x: Array, dw: Array, dy: Array, stride: Pair, dilation: Pair, groups: int) -> None:
    """dw += what each weight did to y."""
    kh, kw, channels, outputs = dw.shape
    for n in range(dy.shape[0]):
        for p in range(dy.shape[1]):
            for q in range(dy.shape[2]):
                for m in range(outputs):
                    left = m // (outputs // groups) * channels
                    for r in range(kh):
                        row = p * stride[0] + r * dilation[0]
                        for s in range(kw):
                            column = q * stride[1] + s * dilation[1]
                            for c in range(channels):
                                dw[r, s, c, m] += x[n, row, column, left + c] * dy[n, p, q, m]

"""Convolution by a list of taps as a gathered matrix product: the kernels of `conv2d/direct.py`, with tables of their own.

There the number that pixel t meets at entry e lies at start[t] + offset[e]. A list of taps is a shorter table of offsets, and
that is the whole difference: the arithmetic of a masked convolution is that of its live taps. Against the definition: one pass
over x and y for all taps, with a tile of y in registers, where the definition makes a pass for each.

Legend: N images, H, W size, C input channels, M output channels, L taps, T = N H W pixels, E = L C.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from minigen.backend import Array

from ..arguments import output
from ..conv2d import direct, tables
from ..conv2d.frame import framed
from ..conv2d.geometry import Pair
from .definition import Frame, Taps, turned


def forward(x: Array, w: Array, taps: Taps, *, out: Array | None = None) -> Array:
    """x, w -> y (N, H, W, M)."""
    N, H, W, C = x.shape
    M = w.shape[2]
    y = output(out, (N, H, W, M), x.dtype, like=x)
    direct.product(around(x, taps), w.reshape(-1, M), y, 1, *table(N, (H, W), taps, C, M))
    return y


def input_gradient(dy: Array, w: Array, taps: Taps, *, out: Array | None = None) -> Array:
    """dy, w -> dx (N, H, W, C)."""
    return forward(dy, w.swapaxes(1, 2), turned(taps), out=out)


def weight_gradient(x: Array, dy: Array, taps: Taps, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """x, dy -> dw (L, C, M), or out += dw."""
    (N, H, W, C), M = x.shape, dy.shape[3]
    dw = output(out, (len(taps), C, M), x.dtype, like=x)
    start, offset, _ = table(N, (H, W), taps, C, M)
    direct.outer_product(around(x, taps).reshape(-1), dy, dw.reshape(-1, M), start, offset, C, accumulate)
    return dw


def around(x: Array, taps: Taps) -> Array:
    """x in the frame that these taps need, contiguous."""
    frame = Frame.of(taps)
    return framed(x, (frame.above, frame.below), (frame.left, frame.right))


@lru_cache(maxsize=64)
def table(n: int, size: Pair, taps: Taps, c: int, m: int) -> tables.Forward:
    """Where pixel t begins in the framed image (T,), what lies how far from there (E,), and where y of t begins (T,)."""
    frame, (H, W) = Frame.of(taps), size
    framed = frame.above + H + frame.below, frame.left + W + frame.right
    corners = np.array([r * framed[1] + s for r, s in frame.moved(taps)], np.uint64)[:, None]  # (L, 1)
    offset = corners * np.uint64(c) + np.arange(c, dtype=np.uint64)  # (L, C)
    return tables.Forward(tables.pixels(n, framed, c, size), offset.reshape(-1), tables.pixels(n, size, m, size))

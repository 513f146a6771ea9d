"""The input gradient towards a few channels: the image that a transposed convolution ends with.

    spread[n, p, q, (r, s, c)] = sum over m of dy[n, p, q, m] w[r, s, c, m]
    dx[n, h, v, c] = the sum of spread[n, p, q, (r, s, c)] where h = p stride + r dilation - padding, and v likewise

Against the definition: the same two steps, but there every tap is a product and a pass over dx. Against the phases of
`direct.py`: their tiles hold 16 channels of a result, and here there are one to four. What a pixel of dy spreads is kh kw C
numbers, 16 of a kernel of 4 x 4, and the first step is a product of matrices with that many columns. It moves them all through
memory, for M / stride^2 times as many multiplications; where they are more than those, it does not pay.

Legend: N images, H, W input size, C input channels, kh, kw kernel, Ho, Wo output size, M output channels. dy (N, Ho, Wo, M),
w (kh, kw, C, M), spread (N, Ho, Wo, kh, kw, C), dx (N, H, W, C).
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from minigen.backend import Array

from ..jit import CompiledTwice
from . import thin
from .geometry import Geometry


def pays(g: Geometry, c: int, m: int) -> bool:
    """Whether this is the faster way towards `c` channels from `m`."""
    return thin.fits(c, m) and math.prod(g.kernel) * c <= m * math.prod(g.stride)


def fold(spread: Array, dx: Array, g: Geometry) -> None:
    """Fills dx from spread (N, Ho, Wo, kh kw C)."""
    n, c = dx.shape[0], dx.shape[3]
    folded.of(spread.size)(spread.reshape(n, *g.output, *g.kernel, c), dx, *g.stride, *g.padding, *g.dilation)


@CompiledTwice
def folded(spread: Array, dx: Array, down: int, right: int, above: int, left: int, apart_down: int, apart_right: int) -> None:
    """dx, an image at a time. A position before the first is a large unsigned one, and so outside too."""
    H, W, C = np.uint64(dx.shape[1]), np.uint64(dx.shape[2]), np.uint64(dx.shape[3])
    rows, columns = np.uint64(spread.shape[1]), np.uint64(spread.shape[2])
    high, wide = np.uint64(spread.shape[3]), np.uint64(spread.shape[4])
    sh, sw, ph, pw = np.uint64(down), np.uint64(right), np.uint64(above), np.uint64(left)
    dh, dw = np.uint64(apart_down), np.uint64(apart_right)
    for image in prange(dx.shape[0]):
        n = np.uint64(image)
        dx[n] = 0
        for p in range(rows):
            for r in range(high):
                h = p * sh + r * dh - ph
                if h < H:
                    for q in range(columns):
                        for s in range(wide):
                            v = q * sw + s * dw - pw
                            if v < W:
                                for c in range(C):
                                    dx[n, h, v, c] += spread[n, p, q, r, s, c]

"""Windows cut out of images, in one pass. The formula is in `definition.py`.

Against the definition: it makes an index and a comparison for every pixel and gathers number by number. Here a row of a window
is zeros, a piece of a row of the image, and zeros again: pieces of memory.

Error: none.

Legend: N images, H, W size, C channels, h, w size of a window. x (N, H, W, C), y (N, h, w, C), top, left (N,) int64.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..combine import contiguous
from ..jit import CompiledTwice


def cut(x: Array, top: Array, left: Array, h: int, w: int, *, sign: int = 1) -> Array:
    """-> y (N, h, w, C)."""
    N, H, W, C = x.shape
    y = empty((N, h, w, C), x.dtype, like=x)
    rows, of_y = contiguous(x).reshape(N, H, W * C), y.reshape(N, h, w * C)
    move.of(y.size)(rows, contiguous(top), contiguous(left), C, np.int64(sign), of_y)
    return y


@CompiledTwice
def move(x: Array, top: Array, left: Array, channels: int, sign: int, y: Array) -> None:
    """Fills y (N, h, w C) from x (N, H, W C)."""
    height, width, zero = x.shape[1], x.shape[2], x.dtype.type(0)
    for n in prange(y.shape[0]):
        down, right = sign * top[n], sign * left[n] * channels
        begin = min(max(0, -right), y.shape[2])  # of what is inside, in a row of y
        end = max(begin, min(y.shape[2], width - right))
        for i in range(y.shape[1]):
            row = y[n, i]
            if i + down < 0 or i + down >= height:
                row[:] = zero
                continue
            row[:begin] = zero
            row[begin:end] = x[n, i + down, begin + right : end + right]
            row[end:] = zero

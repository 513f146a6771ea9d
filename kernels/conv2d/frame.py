"""An image in a frame of zeros, so that no tap needs to ask whether it still meets the image.

Against the definition, where NumPy fills the frame and then copies the image on one thread: one pass, shared out by images
where there is much to copy.

Legend: N images, H, W size, C channels, Hf, Wf size with the frame. x (N, H, W, C), framed (N, Hf, Wf, C).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..combine import contiguous
from ..jit import CompiledTwice
from .geometry import Pair


def framed(x: Array, vertical: Pair, horizontal: Pair) -> Array:
    """x with so many rows of zeros (above, below) and columns (left, right), contiguous; x itself where there are none."""
    x = contiguous(x)
    if vertical == horizontal == (0, 0):
        return x
    n, rows, columns, channels = x.shape
    made = empty((n, rows + sum(vertical), columns + sum(horizontal), channels), x.dtype)
    into = made.reshape(n, rows + sum(vertical), -1)
    surround.of(made.size)(x.reshape(n, rows, -1), into, vertical[0], horizontal[0] * channels)
    return made


@CompiledTwice
def surround(x: Array, framed: Array, above: int, left: int) -> None:
    """x (N, H, W C) into framed (N, Hf, Wf C), with its corner at row `above` and number `left` of a row."""
    rows, length, before = np.uint64(x.shape[1]), np.uint64(x.shape[2]), np.uint64(left)
    all_rows, whole, top = np.uint64(framed.shape[1]), np.uint64(framed.shape[2]), np.uint64(above)
    for image in prange(x.shape[0]):
        n = np.uint64(image)
        for row in range(all_rows):
            if row < top or row >= top + rows:
                for q in range(whole):
                    framed[n, row, q] = 0
            else:
                for q in range(before):
                    framed[n, row, q] = 0
                for q in range(length):
                    framed[n, row, before + q] = x[n, row - top, q]
                for q in range(before + length, whole):
                    framed[n, row, q] = 0

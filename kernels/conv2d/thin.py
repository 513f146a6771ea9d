"""The kernels of `direct.py` where the result has one to four channels: the last convolution of a U-Net, an energy's maps.

    y[t, m]  = sum over e of x[start[t] + offset[e]] w[e, m]            M <= FEW
    dw[e, m] = sum over t of x[start[t] + offset[e]] dy[t, m]           M <= FEW

The tiles of `tiles.py` hold COLUMNS channels of the result, and with one channel all but one of them would be thrown away.
Here the vectors lie along the input's channels instead: LANES neighbours of x are loaded at once and multiplied by LANES
weights (forward) or by one number of dy (weight gradient), and only at the end of the first sum are the lanes added up. That
needs runs of LANES numbers that are neighbours in x: its channels must be a multiple of LANES.

Legend: T pixels, E taps with their channels, M output channels, chunk (E / LANES,) the offset of every LANES-th of the E.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array

from ..jit import WIDE, compiled, registers

FEW = 4
LANES = 16
ROWS = 8 if WIDE else 4  # sums that run at once, since one addition must end before the next to the same register begins
GROUP = 8 * ROWS
CHUNK = 512  # pixels of a weight gradient that stay in the cache


def fits(columns: int, channels: int) -> bool:
    """Whether these kernels can and should make `columns` channels out of `channels`."""
    return columns <= FEW and channels % LANES == 0


@compiled
def product(x: Array, w: Array, y: Array, start: Array, chunk: Array, place: Array) -> None:
    """y[place[t] + m] for w (M, E)."""
    pixels = start.shape[0]
    for group in prange((pixels + GROUP - 1) // GROUP):
        first = group * GROUP
        last = min(pixels, first + GROUP) - 1
        tile = registers(ROWS, LANES, x.dtype)
        for t in range(first, last + 1, ROWS):
            for m in range(w.shape[0]):
                for r in range(ROWS):
                    for q in range(LANES):
                        tile[r, q] = 0
                for e in range(chunk.shape[0]):
                    for q in range(LANES):
                        b = w[m, e * LANES + q]
                        for r in range(ROWS):
                            tile[r, q] += x[start[min(t + r, last)] + chunk[e] + np.uint64(q)] * b
                for r in range(min(ROWS, last + 1 - t)):
                    total = tile[r, 0]
                    for q in range(1, LANES):
                        total += tile[r, q]
                    y[place[t + r] + np.uint64(m)] = total


@compiled
def outer_product(x: Array, dy: Array, parts: Array, start: Array, chunk: Array) -> None:
    """The parts (parts, M, E) of dw, each from its range of the pixels of dy (T, M)."""
    pixels, chunks = start.shape[0], chunk.shape[0]
    for part in prange(parts.shape[0]):
        parts[part] = 0
        end = pixels * (part + 1) // parts.shape[0]
        tile = registers(ROWS, LANES, x.dtype)
        for first in range(pixels * part // parts.shape[0], end, CHUNK):
            for m in range(dy.shape[1]):
                for block in range((chunks + ROWS - 1) // ROWS):
                    e = block * ROWS
                    for r in range(ROWS):
                        for q in range(LANES):
                            tile[r, q] = 0
                    for t in range(first, min(end, first + CHUNK)):
                        for q in range(LANES):
                            for r in range(ROWS):
                                tile[r, q] += x[start[t] + chunk[min(e + r, chunks - 1)] + np.uint64(q)] * dy[t, m]
                    for r in range(min(ROWS, chunks - e)):
                        for q in range(LANES):
                            parts[part, m, (e + r) * LANES + q] += tile[r, q]

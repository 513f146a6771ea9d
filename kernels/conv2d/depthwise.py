"""The kernels of `direct.py` where every channel is a group of its own: depthwise convolution.

    y[t, c]  = sum over e of x[start[t] + offset[e] + c] w[e, c]
    dw[e, c] = sum over t of x[start[t] + offset[e] + c] dy[t, c]

Nothing is summed over channels, so this is no matrix product: the tiles of `direct.py` would hold one useful column. Here the
vectors lie along the channels, LANES neighbours in x, w, y and dy alike, as memory is read. Each number loaded of x serves one
multiplication, not COLUMNS: the speed is that of the loads. The tile is there for w, which stays in a register for PIXELS
pixels, and for sums that need not wait for each other.

Where LANES does not divide C, the last block of channels begins at C - LANES and overlaps the one before: it writes some
numbers of y once more, and skips them in dw, where they would count twice. It takes LANES channels to begin with: fewer go
through `direct.py`, group by group.

Legend: T pixels, E taps, C channels, J blocks of LANES channels.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..jit import WIDE, compiled

LANES = 16 if WIDE else 8
PIXELS = 8
TAPS = 9  # a kernel of 3 x 3 in one tile
GROUP = 8 * PIXELS
CHUNK = 512  # pixels of a weight gradient that stay in the cache


def fits(groups: int, c: int, m: int) -> bool:
    """Whether these kernels can make `m` channels out of `c` in so many groups."""
    return groups == c == m and c >= LANES


def outer_product(x: Array, dy: Array, start: Array, offset: Array, threads: int) -> Array:
    """The parts of dw, (threads, E, C), from x flat and dy (T, C)."""
    parts = empty((threads, len(offset), dy.shape[1]), x.dtype)
    accumulate(x, dy, parts, start, offset)
    return parts


@compiled
def product(x: Array, w: Array, y: Array, start: Array, offset: Array, place: Array) -> None:
    """y[place[t] + c] for w (E, C)."""
    pixels, channels = start.shape[0], w.shape[1]
    for group in prange((pixels + GROUP - 1) // GROUP):
        first = group * GROUP
        last = min(pixels, first + GROUP) - 1
        tile = np.empty((PIXELS, LANES), x.dtype)
        for t in range(first, last + 1, PIXELS):
            for j in range((channels + LANES - 1) // LANES):
                left = np.uint64(min(j * LANES, channels - LANES))
                for m in range(PIXELS):
                    for q in range(LANES):
                        tile[m, q] = 0
                for e in range(offset.shape[0]):
                    for q in range(LANES):
                        b = w[e, left + np.uint64(q)]
                        for m in range(PIXELS):
                            tile[m, q] += x[start[min(t + m, last)] + offset[e] + left + np.uint64(q)] * b
                for m in range(min(PIXELS, last + 1 - t)):
                    for q in range(LANES):
                        y[place[t + m] + left + np.uint64(q)] = tile[m, q]


@compiled
def accumulate(x: Array, dy: Array, parts: Array, start: Array, offset: Array) -> None:
    """The parts (threads, E, C) of dw, each from its range of the pixels of dy (T, C)."""
    pixels, taps, channels = start.shape[0], offset.shape[0], dy.shape[1]
    for part in prange(parts.shape[0]):
        parts[part] = 0
        end = pixels * (part + 1) // parts.shape[0]
        tile = np.empty((TAPS, LANES), x.dtype)
        for first in range(pixels * part // parts.shape[0], end, CHUNK):
            for j in range((channels + LANES - 1) // LANES):
                left = min(j * LANES, channels - LANES)
                for block in range((taps + TAPS - 1) // TAPS):
                    e = block * TAPS
                    for m in range(TAPS):
                        for q in range(LANES):
                            tile[m, q] = 0
                    for t in range(first, min(end, first + CHUNK)):
                        for q in range(LANES):
                            b = dy[t, left + q]
                            for m in range(TAPS):
                                tile[m, q] += x[start[t] + offset[min(e + m, taps - 1)] + np.uint64(left + q)] * b
                    for m in range(min(TAPS, taps - e)):
                        for q in range(j * LANES - left, LANES):
                            parts[part, e + m, left + q] += tile[m, q]

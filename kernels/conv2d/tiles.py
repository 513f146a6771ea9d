"""The kernels of `direct.py`: two matrix products whose one factor is gathered through tables of positions (`tables.py`).

    y[place[t] + m]  = sum over e of x[start[t] + offset[e]] w[e, m]
    dw[e, m]         = sum over t of x[start[t] + offset[e]] dy[t, m]

A tile of the result stays in registers through the whole sum, as in `matmul/register_tile.py`, which explains the loop order,
the panels and why positions are unsigned. Both exist for tiles of several widths, since a panel that is half empty costs as
much as a full one: with one width for all, a gradient towards 16 channels took twice its time. A width must be known when the
kernel is compiled.

Legend: T pixels, E taps with their channels, M output channels, J panels of so many columns.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array

from ..jit import WIDE, compiled, registers

# The tiles of y, the widest first. With 8 x 2 registers of the 32 for a tile, too few are left where the compiler takes two
# steps at once: it put one sum into memory and out again at every step, a fifth slower than 7 x 2.
PIXELS, COLUMNS = (7, (32, 16)) if WIDE else (6, (16, 8))
GROUP = 8 * PIXELS  # pixels that one task takes through its panels
TAPS, WIDTHS = ((6, 8, 9), (64, 32, 16)) if WIDE else ((6, 9), (16, 8))  # the tiles of dw
CHUNK = 512  # pixels that stay in the cache while all tiles of dw pass over them


def best(m: int, widths: tuple[int, ...]) -> int:
    """Which tile makes `m` channels soonest: a panel costs its width, empty or not, and what does not grow with the width."""
    return min(range(len(widths)), key=lambda tile: -(-m // widths[tile]) * (widths[tile] + 8))


@lru_cache(maxsize=32)
def tasks(
    pixels: tuple[int, ...], depths: tuple[int, ...], columns: int, width: int, threads: int, packed: bool = True
) -> Array:
    """How the tiles of some products that run as one are shared out; each has its `pixels` and its `depths`, T and E.

    A row of the table, uint64: the first pixel and the one after the last; the first offset and their number; where in w the
    product's first panel begins, and how far it is from one to the next; the first panel and the one after the last. Where
    groups of pixels are too few for the threads, a task has one panel. Products of different depths are mixed evenly, since a
    thread takes neighbouring tasks.
    """
    panels = -(-columns // width)
    each = panels if sum(-(-count // GROUP) for count in pixels) >= 4 * threads else 1
    rows, order = [], []
    first = offset = 0
    for count, depth in zip(pixels, depths, strict=True):
        t, j = (part.reshape(-1) for part in np.meshgrid(np.arange(0, count, GROUP), np.arange(0, panels, each), indexing="ij"))
        begin, apart = (offset * panels * width, depth * width) if packed else (0, width)
        ends = first + t, first + np.minimum(t + GROUP, count)
        rows.append(np.stack(np.broadcast_arrays(*ends, offset, depth, begin, apart, j, j + each), -1))
        order.append((t + j / panels) / max(1, count))
        first, offset = first + count, offset + depth
    return np.concatenate(rows)[np.argsort(np.concatenate(order), kind="stable")].astype(np.uint64)


def product_kernel(COLUMNS: int) -> Any:
    """The first kernel with a tile of so many channels, which the compiler must know to keep it in registers."""
    C, P, ONE, ZERO = (np.uint64(n) for n in (COLUMNS, PIXELS, 1, 0))

    @compiled
    def gathered_product(
        x: Array, w: Array, y: Array, start: Array, offset: Any, place: Array, tasks: Any, columns: int, step: int
    ) -> None:
        """y[place[t] + m] = sum over e of x[start[t] + offset[e]] w[e, m] for m < columns; x, w and y flat.

        w[e, j COLUMNS + q] lies q numbers behind row e of panel j, and `step` numbers are from row to row: COLUMNS where w is
        laid out in panels, `columns` where it is read as it lies. Where panels begin, the tasks say.
        """
        for number in prange(tasks.shape[0]):
            task = tasks[np.uint64(number)]
            first, end, near, depth = task[0], task[1], task[2], task[3]
            S = np.uint64(step)
            tile = registers(PIXELS, COLUMNS, x.dtype)
            for j in range(task[6], task[7]):
                left, top = j * C, task[4] + j * task[5]
                width = min(C, np.uint64(columns) - left)
                for t in range(first, end, P):
                    for m in range(P):
                        for q in range(C):
                            tile[m, q] = 0
                    for e in range(ZERO, depth):
                        for q in range(C):
                            b = w[top + e * S + q]
                            for m in range(P):
                                tile[m, q] += x[start[min(t + m, end - ONE)] + offset[near + e]] * b
                    for m in range(min(P, end - t)):
                        at = place[t + m] + left
                        if width == C:  # a constant length is copied in whole registers
                            for q in range(C):
                                y[at + q] = tile[m, q]
                        else:
                            for q in range(width):
                                y[at + q] = tile[m, q]

    return gathered_product


def outer_product_kernel(TAPS: int, WIDTH: int) -> Any:
    """The second with a tile of so many taps and channels."""
    T, W, K, ONE = (np.uint64(n) for n in (TAPS, WIDTH, CHUNK, 1))

    @compiled
    def gathered_outer_product(x: Array, dy: Any, parts: Any, start: Any, offset: Any, shares: int, add: bool) -> None:
        """The parts (parts, E, M) of dw, or more on top of them, each from its range of the pixels of dy (T, J WIDTH).

        Of each part `shares` tasks make a range of taps.
        """
        pixels, taps, panels = np.uint64(start.shape[0]), np.uint64(offset.shape[0]), np.uint64(dy.shape[1]) // W
        M, zero = np.uint64(parts.shape[2]), x.dtype.type(0)
        for number in prange(parts.shape[0] * shares):
            count, each = np.uint64(parts.shape[0]), np.uint64(shares)
            part, share = np.uint64(number) // each, np.uint64(number) % each
            begin, end = pixels * part // count, pixels * (part + ONE) // count
            rows = (taps + T - ONE) // T  # of tiles
            above, below = rows * share // each * T, min(taps, rows * (share + ONE) // each * T)
            tile = registers(TAPS, WIDTH, x.dtype)
            for first in range(begin, max(end, begin + ONE), K):  # once at least: of no pixels the sum is 0
                for e in range(above, below, T):
                    for j in range(panels):
                        for m in range(T):
                            for q in range(W):
                                tile[m, q] = 0
                        for t in range(first, min(end, first + K)):
                            for q in range(W):
                                b = dy[t, j * W + q]
                                for m in range(T):
                                    tile[m, q] += x[start[t] + offset[min(e + m, taps - ONE)]] * b
                        width, more = min(W, M - j * W), add or first > begin
                        for m in range(min(T, taps - e)):
                            if width == W:
                                for q in range(W):
                                    b = parts[part, e + m, j * W + q] if more else zero
                                    parts[part, e + m, j * W + q] = tile[m, q] + b
                            else:
                                for q in range(width):
                                    b = parts[part, e + m, j * W + q] if more else zero
                                    parts[part, e + m, j * W + q] = tile[m, q] + b

    return gathered_outer_product


PRODUCT = tuple(product_kernel(columns) for columns in COLUMNS)  # by the tile that is `best`
OUTER_PRODUCT = tuple(outer_product_kernel(*tile) for tile in zip(TAPS, WIDTHS, strict=True))


@compiled
def turn(w: Array, taps: Any, tops: Any, panels: Array) -> None:
    """Fills panels[top + j depth + m, q] = w[tap, j width + q, m], and zeros where there is no such channel.

    w (kh kw, C, M); `tops` has (top, depth) for each of `taps`. NumPy's `take` and a copy need twice as long.
    """
    C, M, width, ONE = np.uint64(w.shape[1]), np.uint64(w.shape[2]), np.uint64(panels.shape[1]), np.uint64(1)
    for number in prange(taps.shape[0]):
        t = np.uint64(number)
        tap, top, depth = taps[t], tops[t, np.uint64(0)], tops[t, ONE]
        for j in range((C + width - ONE) // width):
            for q in range(width):
                c, row = j * width + q, top + j * depth
                if c < C:
                    for m in range(M):
                        panels[row + m, q] = w[tap, c, m]
                else:
                    for m in range(M):
                        panels[row + m, q] = 0

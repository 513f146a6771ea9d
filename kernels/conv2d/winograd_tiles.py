"""The kernels of `winograd.py`, which derives them: maps of tiles, and sixteen matrix products between the maps.

A block of tiles goes through all of it before the next one comes, so that V and P stay in the second-level cache of their
thread. Two things make the maps fast. Their sixteen arrays V[k] must not lie a power of two apart, or they fall on the same few
places of the cache: a block has one row more than it needs. And 16 loads, all sums and 16 stores (to the kernel's own stack)
are one loop over channels, which becomes whole vectors. Map by map the compiler made shuffles, five times as slow.
Results do not depend on the number of threads, but for dw, whose parts are added in order.

Legend: as in winograd.py; k one of the 16 numbers of a mapped tile, e a tile on its way, LANES channels side by side; `seen`,
`made` (above, left) the frames of the images that are read and written; `tiles` (down, across) of an image.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange

from minigen.backend import Array

from ..jit import ARITHMETIC, compiled, registers

ROWS, COLUMNS, LANES = 8, 32, 32  # the tile of results of a matrix product; channels that a map takes at once
R, K, L, ZERO, ONE, FOUR, SIXTEEN = (np.uint64(n) for n in (ROWS, COLUMNS, LANES, 0, 1, 4, 16))

inner = numba.njit(fastmath=ARITHMETIC, error_model="numpy")  # called by kernels of this file, and kept with them
opened = numba.njit(fastmath=ARITHMETIC, error_model="numpy", forceinline=True)  # where its constants are known


# ---- the maps along one axis


@opened
def windows(d0: Any, d1: Any, d2: Any, d3: Any) -> Any:
    """B' d."""
    return d0 - d2, d1 + d2, d2 - d1, d3 - d1


@opened
def points(count: int, a: Any, b: Any, c: Any) -> Any:
    """A d of `count` numbers, two or three: a polynomial's values at 0, 1, -1 and infinity. G d, with the middle two halved."""
    if count == 3:
        return a, a + b + c, a - b + c, c
    return a, a + b, a - b, b


@opened
def sums(count: int, p0: Any, p1: Any, p2: Any, p3: Any) -> Any:
    """A' p, `count` numbers, two or three (and one more that nobody reads); G' p, if the middle two are halved before."""
    if count == 3:
        return p0 + p1 + p2, p1 - p2, p1 + p2 + p3
    return p0 + p1 + p2, p1 - p2 + p3, p3


@opened
def place(number: Any, tiles: Any, count: int) -> Any:
    """The image of a tile, and the first row and column of y that it makes."""
    down, across = np.uint64(tiles[0]), np.uint64(tiles[1])
    line = number // across
    return line // down, line % down * np.uint64(count), (number - line * across) * np.uint64(count)


# ---- maps of tiles, there and back


@inner
def mapped(x: Array, base: Any, row: Any, pixel: Any, V: Array, here: Any, t: Any, first: Any, channels: Any) -> None:
    """V[here, :, t, first:] = B' d B, of the tile d at `base` of x flat, whose rows and pixels lie so far apart."""
    e = registers(16, LANES, x.dtype)
    row2, row3, pixel2, pixel3 = row + row, row + row + row, pixel + pixel, pixel + pixel + pixel
    for c in range(ZERO, channels, L):
        for q in range(L):
            a, b = base + c, base + pixel + c
            a0, a1, a2, a3 = windows(x[a + q], x[a + row + q], x[a + row2 + q], x[a + row3 + q])
            b0, b1, b2, b3 = windows(x[b + q], x[b + row + q], x[b + row2 + q], x[b + row3 + q])
            a, b = base + pixel2 + c, base + pixel3 + c
            c0, c1, c2, c3 = windows(x[a + q], x[a + row + q], x[a + row2 + q], x[a + row3 + q])
            d0, d1, d2, d3 = windows(x[b + q], x[b + row + q], x[b + row2 + q], x[b + row3 + q])
            e[0, q], e[1, q], e[2, q], e[3, q] = windows(a0, b0, c0, d0)
            e[4, q], e[5, q], e[6, q], e[7, q] = windows(a1, b1, c1, d1)
            e[8, q], e[9, q], e[10, q], e[11, q] = windows(a2, b2, c2, d2)
            e[12, q], e[13, q], e[14, q], e[15, q] = windows(a3, b3, c3, d3)
        for k in range(SIXTEEN):
            for q in range(L):
                V[here, k, t, first + c + q] = e[k, q]


@opened
def take(
    x: Array, flat: Array, patch: Array, V: Array, here: Any, t: Any, number: Any, tiles: Any, seen: Any, step: int, count: int
) -> None:
    """Tile `number` of all, with all its phases, into V[here, :, t]; outside the image there are zeros."""
    n, top, side = place(number, tiles, count)
    S, above, left, reach = np.uint64(step), np.uint64(seen[0]), np.uint64(seen[1]), np.uint64(3 * step)
    height, width, channels = np.uint64(x.shape[1]), np.uint64(x.shape[2]), np.uint64(x.shape[3])
    bottom, right = height + above, width + left  # rows and columns are counted from the frame
    for a in range(S):
        for b in range(S):
            r, s, first = S * top + a, S * side + b, (a * S + b) * channels
            if r >= above and r + reach < bottom and s >= left and s + reach < right:
                base = ((n * height + r - above) * width + s - left) * channels
                mapped(flat, base, S * width * channels, S * channels, V, here, t, first, channels)
                continue
            for i in range(FOUR):
                row = r + S * i
                line, at = (n * height + row - above) * width - left, FOUR * i * channels
                whole = row >= above and row < bottom
                for j in range(FOUR):
                    column = s + S * j
                    if whole and column >= left and column < right:
                        base = (line + column) * channels
                        for q in range(channels):
                            patch[at + q] = flat[base + q]
                    else:
                        for q in range(channels):
                            patch[at + q] = 0
                    at += channels
            mapped(patch, ZERO, FOUR * channels, channels, V, here, t, first, channels)


@opened
def give(P: Array, y: Array, here: Any, t: Any, number: Any, tiles: Any, made: Any, step: int, count: int) -> None:
    """A' P A of tile `number` into y, all its phases, where they lie in the image."""
    n, top, side = place(number, tiles, count)
    S, above, left = np.uint64(step), np.uint64(made[0]), np.uint64(made[1])
    height, width, columns = np.uint64(y.shape[1]), np.uint64(y.shape[2]), np.uint64(y.shape[3])
    e = registers(9, LANES, y.dtype)
    for a in range(S):
        for b in range(S):
            first = (a * S + b) * columns
            for c in range(ZERO, columns, L):
                for q in range(L):
                    m = first + c + q
                    a0, a1, a2 = sums(count, P[here, 0, t, m], P[here, 4, t, m], P[here, 8, t, m], P[here, 12, t, m])
                    b0, b1, b2 = sums(count, P[here, 1, t, m], P[here, 5, t, m], P[here, 9, t, m], P[here, 13, t, m])
                    c0, c1, c2 = sums(count, P[here, 2, t, m], P[here, 6, t, m], P[here, 10, t, m], P[here, 14, t, m])
                    d0, d1, d2 = sums(count, P[here, 3, t, m], P[here, 7, t, m], P[here, 11, t, m], P[here, 15, t, m])
                    e[0, q], e[1, q], e[2, q] = sums(count, a0, b0, c0, d0)
                    e[3, q], e[4, q], e[5, q] = sums(count, a1, b1, c1, d1)
                    e[6, q], e[7, q], e[8, q] = sums(count, a2, b2, c2, d2)
                for i in range(np.uint64(count)):
                    for j in range(np.uint64(count)):
                        row, column = S * (top + i) + a, S * (side + j) + b
                        if row >= above and row < height + above and column >= left and column < width + left:
                            for q in range(L):
                                y[n, row - above, column - left, c + q] = e[np.uint64(3) * i + j, q]


@opened
def take_dy(dy: Array, Z: Array, here: Any, t: Any, number: Any, tiles: Any, count: int) -> None:
    """Z[here, :, t] = A dy A' of tile `number`; outside the image there are zeros."""
    n, top, side = place(number, tiles, count)
    height, width, columns = np.uint64(dy.shape[1]), np.uint64(dy.shape[2]), np.uint64(dy.shape[3])
    g, e = registers(9, LANES, dy.dtype), registers(16, LANES, dy.dtype)
    for c in range(ZERO, columns, L):
        for i in range(np.uint64(3)):
            for j in range(np.uint64(3)):
                for q in range(L):
                    g[np.uint64(3) * i + j, q] = 0
                if max(i, j) < np.uint64(count) and top + i < height and side + j < width:
                    for q in range(L):
                        g[np.uint64(3) * i + j, q] = dy[n, top + i, side + j, c + q]
        for q in range(L):
            a0, a1, a2, a3 = points(count, g[0, q], g[3, q], g[6, q])
            b0, b1, b2, b3 = points(count, g[1, q], g[4, q], g[7, q])
            c0, c1, c2, c3 = points(count, g[2, q], g[5, q], g[8, q])
            e[0, q], e[1, q], e[2, q], e[3, q] = points(count, a0, b0, c0)
            e[4, q], e[5, q], e[6, q], e[7, q] = points(count, a1, b1, c1)
            e[8, q], e[9, q], e[10, q], e[11, q] = points(count, a2, b2, c2)
            e[12, q], e[13, q], e[14, q], e[15, q] = points(count, a3, b3, c3)
        for k in range(SIXTEEN):
            for q in range(L):
                Z[here, k, t, c + q] = e[k, q]


# ---- the kernels, for tiles of COUNT x COUNT pixels of y, and so for kernels of 5 - COUNT taps a side


def kernels(COUNT: int, SEEN: int, MADE: int) -> Any:
    """(spread, multiply, accumulate, gather). The image that is read has SEEN^2 phases, the one that is written MADE^2."""
    TAPS = 5 - COUNT

    @compiled
    def spread(w: Array, U: Array) -> None:
        """U (16, J, D, COLUMNS) = G w G', w (TAPS, TAPS, phases of x, C, phases of y, M)."""
        channels, columns = np.uint64(w.shape[4]), np.uint64(w.shape[7]) // K
        for task in prange(U.shape[2]):
            d, S, other = np.uint64(task), np.uint64(SEEN), np.uint64(MADE)
            c, a, b = d % channels, d // channels // S, d // channels % S
            g, h, e = registers(9, COLUMNS, w.dtype), registers(12, COLUMNS, w.dtype), registers(16, COLUMNS, w.dtype)
            for j in range(np.uint64(U.shape[1])):
                phase, left = j // columns, j % columns * K
                for r in range(TAPS):
                    for s in range(TAPS):
                        for q in range(K):
                            g[3 * r + s, q] = w[r, s, a, b, c, phase // other, phase % other, left + q]
                for q in range(K):
                    for s in range(3):
                        p0, p1, p2, p3 = points(TAPS, g[s, q], g[3 + s, q], g[6 + s, q])
                        h[s, q], h[3 + s, q], h[6 + s, q], h[9 + s, q] = p0, p1 / 2, p2 / 2, p3
                    for i in range(4):
                        p0, p1, p2, p3 = points(TAPS, h[3 * i, q], h[3 * i + 1, q], h[3 * i + 2, q])
                        e[4 * i, q], e[4 * i + 1, q], e[4 * i + 2, q], e[4 * i + 3, q] = p0, p1 / 2, p2 / 2, p3
                for k in range(SIXTEEN):
                    for q in range(K):
                        U[k, j, d, q] = e[k, q]

    @compiled
    def multiply(x: Array, U: Array, y: Array, V: Array, P: Array, patch: Array, seen: Any, made: Any, tiles: Any) -> None:
        """y = A' [U * V] A."""
        panels, depth, block = np.uint64(U.shape[1]), np.uint64(U.shape[2]), np.uint64(V.shape[2]) - ONE
        count_all, flat = np.uint64(x.shape[0] * tiles[0] * tiles[1]), x.reshape(-1)
        blocks = (count_all + block - ONE) // block
        for part in prange(V.shape[0]):
            here, parts, tile = np.uint64(part), np.uint64(V.shape[0]), registers(ROWS, COLUMNS, x.dtype)
            for number in range(blocks * here // parts, blocks * (here + ONE) // parts):
                first: Any = number * block
                count = min(block, count_all - first)
                for t in range(count):
                    take(x, flat, patch[here], V, here, t, first + t, tiles, seen, SEEN, COUNT)
                for k in range(SIXTEEN):
                    for j in range(panels):
                        for t in range(ZERO, count, R):
                            for m in range(R):
                                for q in range(K):
                                    tile[m, q] = 0
                            for d in range(depth):
                                for q in range(K):
                                    u = U[k, j, d, q]
                                    for m in range(R):
                                        tile[m, q] += V[here, k, t + m, d] * u
                            for m in range(R):
                                for q in range(K):
                                    P[here, k, t + m, j * K + q] = tile[m, q]
                for t in range(count):
                    give(P, y, here, t, first + t, tiles, made, MADE, COUNT)

    @compiled
    def accumulate(x: Array, dy: Array, U: Array, V: Array, Z: Array, patch: Array, seen: Any, tiles: Any) -> None:
        """The parts (parts, 16, D, M) of sum over tiles of V Z, each from its range of the tiles."""
        depth, columns, block = np.uint64(V.shape[3]), np.uint64(dy.shape[3]), np.uint64(V.shape[2]) - ONE
        count_all, flat = np.uint64(x.shape[0] * tiles[0] * tiles[1]), x.reshape(-1)
        for part in prange(V.shape[0]):
            here, parts = np.uint64(part), np.uint64(V.shape[0])
            U[here] = 0
            tile, last = registers(ROWS, COLUMNS, x.dtype), count_all * (here + ONE) // parts
            for first in range(count_all * here // parts, last, block):
                count = min(block, last - first)
                for t in range(count):
                    take(x, flat, patch[here], V, here, t, first + t, tiles, seen, SEEN, COUNT)
                    take_dy(dy, Z, here, t, first + t, tiles, COUNT)
                for k in range(SIXTEEN):
                    for d in range(ZERO, depth, R):
                        for j in range(ZERO, columns, K):
                            for m in range(R):
                                for q in range(K):
                                    tile[m, q] = U[here, k, d + m, j + q]
                            for t in range(count):
                                for q in range(K):
                                    z = Z[here, k, t, j + q]
                                    for m in range(R):
                                        tile[m, q] += V[here, k, t, d + m] * z
                            for m in range(R):
                                for q in range(K):
                                    U[here, k, d + m, j + q] = tile[m, q]

    @compiled
    def gather(parts: Array, dw: Array, add: bool) -> None:
        """dw (TAPS, TAPS, phases, C, M) = G' (the sum of parts) G, or dw += it."""
        channels, columns, S = np.uint64(dw.shape[4]), np.uint64(dw.shape[5]), np.uint64(SEEN)
        for task in prange(parts.shape[2]):
            d = np.uint64(task)
            c, a, b = d % channels, d // channels // S, d // channels % S
            u, h, e = registers(16, LANES, dw.dtype), registers(12, LANES, dw.dtype), registers(9, LANES, dw.dtype)
            for m in range(ZERO, columns, L):
                for k in range(SIXTEEN):
                    for q in range(L):
                        u[k, q] = parts[ZERO, k, d, m + q]
                for part in range(ONE, np.uint64(parts.shape[0])):
                    for k in range(SIXTEEN):
                        for q in range(L):
                            u[k, q] += parts[part, k, d, m + q]
                for q in range(L):
                    for j in range(4):
                        h[j, q], h[4 + j, q], h[8 + j, q] = sums(TAPS, u[j, q], u[4 + j, q] / 2, u[8 + j, q] / 2, u[12 + j, q])
                    for i in range(3):
                        p0, p1, p2, p3 = h[4 * i, q], h[4 * i + 1, q] / 2, h[4 * i + 2, q] / 2, h[4 * i + 3, q]
                        e[3 * i, q], e[3 * i + 1, q], e[3 * i + 2, q] = sums(TAPS, p0, p1, p2, p3)
                for r in range(np.uint64(TAPS)):
                    for s in range(np.uint64(TAPS)):
                        for q in range(L):
                            old = dw[r, s, a, b, c, m + q] if add else 0
                            dw[r, s, a, b, c, m + q] = old + e[np.uint64(3) * r + s, q]

    return spread, multiply, accumulate, gather


KERNELS = {made: kernels(*made) for made in ((2, 1, 1), (3, 2, 1), (3, 1, 2))}  # by m and the phases read and written

"""Matrix product by register tiles: some hundred times the textbook's three loops, and up to twice the speed of a BLAS.

    c[m, n] = sum over k of a[m, k] b[k, n]

Against the definition: the loops are ours, so that no second pool of threads is needed (see `pool.py`). What makes them fast:

1. A tile of c, ROWS x COLUMNS, stays in the vector registers while k runs. Each step loads COLUMNS numbers of b and ROWS of a
   and makes ROWS * COLUMNS multiplications of them; three loops in textbook order load two numbers for every multiplication.
   `registers` (jit.py) is what keeps it there.
2. The innermost loops are q outside, m inside. The compiler then keeps row q of the panel in a register and broadcasts a
   against it; with m outside it finds no vectors, and everything is 60 times slower.
3. b is packed first, DEPTH x WIDTH of it at a time: panels of COLUMNS columns, contiguous along k, so that the inner loop walks
   memory in one line. The thread that packs a block uses it at once, for all its rows, while it lies in the second-level cache.
   A ragged last panel is filled up with zeros, and ragged rows repeat the last one: the tile is always full, and only what
   belongs to c is written. But of a last panel that is half empty, half is summed.
4. A b that lies in memory the other way round is expensive to pack, number by number. For few rows it is not packed: c = a b
   is also c' = b' a', which packs a and reads b in place. So dx = dy W' packs the few rows of dy instead of all of W.
5. The place in c is asked for (`fetch`, jit.py) before the tile is summed, so that it has come when the tile is done. A tile's
   rows lie far apart, a pattern no processor foresees. What it gains: docs/speed.md. (Of a transposed c this reaches few
   lines; nothing is added there, and to ask for every line gained nothing.)
6. Positions are unsigned. A signed index is tested for being negative every time, and a test that decides between two addresses
   hides from the compiler that neighbours are neighbours.

Threads share out the tiles of c, numbered down one panel and then down the next, equally to within one, a half tile counting
half: where a share ends amid a panel, both neighbours pack it. Every number of c is summed by one thread in one order: the
result does not depend on the number of threads.

Error: each number is a sum of K products in blocks of DEPTH; with u = 2^-24, |c - exact| <= (K + 1) u sum over k of |a b|.

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N), scratch (threads, WIDTH / COLUMNS, DEPTH, COLUMNS).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..arguments import output
from ..combine import contiguous
from ..jit import WIDE, compiled, fetch, registers
from ..pool import thread_count

ROWS, COLUMNS = (8, 32) if WIDE else (6, 16)  # 16 vector registers of tile; 12 of 16 with AVX2
PANELS = 8  # in a block of b
DEPTH, WIDTH = 1024, PANELS * COLUMNS  # of a block of b: at float32 1 MiB, of which a product that is less deep uses less
TALL = 16 * ROWS  # rows of a that pass over a panel before the next one comes

_R, _C, _H, _P, _D, _T = (np.uint64(n) for n in (ROWS, COLUMNS, COLUMNS // 2, PANELS, DEPTH, TALL))
ZERO, ONE, TWO = (np.uint64(n) for n in range(3))
LINE = np.uint64(16)  # float32 numbers of a cache line


def matmul(
    a: Array,
    b: Array,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    out: Array | None = None,
    accumulate: bool = False,
) -> Array:
    """c (M, N) = a b, or out += a b."""
    a, b = contiguous(a), contiguous(b)
    c = output(out, (a.shape[transpose_a], b.shape[1 - transpose_b]), a.dtype, like=a)
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    (rows, depth), columns = a.shape, b.shape[1]
    if (
        transpose_b and not transpose_a and 2 * depth * columns > (2 * depth + columns) * rows
    ):  # numbers that are moved one by one
        product(b.T, a.T, c.T, accumulate)
    else:
        product(a, b, c, accumulate)
    return c


def product(a: Array, b: Array, c: Array, accumulate: bool) -> None:
    """c = a b or c += a b, packing b."""
    panels = -(-c.shape[1] // COLUMNS)
    scratch = empty((thread_count(), min(PANELS, panels), min(DEPTH, a.shape[1]), COLUMNS), a.dtype)
    multiply(a, b, c, scratch, accumulate)


@compiled
def multiply(a: Array, b: Array, c: Array, scratch: Array, accumulate: bool) -> None:
    """c = a b or c += a b, an equal number of tiles of c for each thread."""
    rows: Any = np.uint64(a.shape[0])
    depth, columns = np.uint64(a.shape[1]), np.uint64(c.shape[1])
    panels, groups = (columns + _C - ONE) // _C, (rows + _R - ONE) // _R
    narrow = ZERO < columns % _C <= _H  # the last panel: each of its tiles takes half the time
    whole = (panels - ONE if narrow else panels) * groups  # tiles, numbered down one panel, then down the next
    half = TWO * whole + (groups if narrow else ZERO)
    for part in prange(scratch.shape[0]):
        parts, here = np.uint64(scratch.shape[0]), np.uint64(part)
        begin, end = half * here // parts, half * (here + ONE) // parts
        begin = min(begin // TWO, whole) + max(begin, TWO * whole) - TWO * whole  # from halves to tiles
        end = min(end // TWO, whole) + max(end, TWO * whole) - TWO * whole
        first = begin // groups
        last = (end + groups - ONE) // groups if end > begin else first  # without a tile nothing is packed
        tile = registers(ROWS, COLUMNS, a.dtype)
        for block in range(first, last, _P):
            count = min(_P, last - block)
            for start in range(ZERO, depth, _D):
                stop = min(depth, start + _D)
                for k in range(start, stop):
                    for j in range(count):
                        left = (block + j) * _C
                        if left + _C <= columns:  # a constant length is copied in whole registers
                            for q in range(_C):
                                scratch[here, j, k - start, q] = b[k, left + q]
                        else:
                            for q in range(columns - left):
                                scratch[here, j, k - start, q] = b[k, left + q]
                            for q in range(columns - left, _C):
                                scratch[here, j, k - start, q] = 0
                for above in range(ZERO, rows, _T):
                    for j in range(count):
                        left, panel = (block + j) * _C, (block + j) * groups
                        width = min(_C, columns - left)
                        top = max(above, (max(begin, panel) - panel) * _R)
                        bottom = min(min(above + _T, rows), (min(end, panel + groups) - panel) * _R)
                        for i in range(top, max(top, bottom), _R):
                            for m in range(_R):
                                for q in range(ZERO, width, LINE):
                                    fetch(c, min(i + m, rows - ONE), left + q)
                                for q in range(_C):
                                    tile[m, q] = 0
                            if width > _H:
                                for k in range(start, stop):
                                    for q in range(_C):
                                        number = scratch[here, j, k - start, q]
                                        for m in range(_R):
                                            tile[m, q] += a[min(i + m, rows - ONE), k] * number
                            else:  # of a last panel that is half empty, half
                                for k in range(start, stop):
                                    for q in range(_H):
                                        number = scratch[here, j, k - start, q]
                                        for m in range(_R):
                                            tile[m, q] += a[min(i + m, rows - ONE), k] * number
                            for m in range(min(_R, rows - i)):
                                if accumulate or start > ZERO:
                                    for q in range(width):
                                        tile[m, q] += c[i + m, left + q]
                                if width == _C:
                                    for q in range(_C):
                                        c[i + m, left + q] = tile[m, q]
                                else:
                                    for q in range(width):
                                        c[i + m, left + q] = tile[m, q]

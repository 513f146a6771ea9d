"""Matrix product by register tiles: about 100 times the textbook's three loops, and the speed of a BLAS.

    c[m, n] = sum over k of a[m, k] b[k, n]

Against the definition: the loops are ours, so that no second pool of threads is needed (see `pool.py`). What makes them fast:

1. A tile of c, ROWS x COLUMNS, stays in the vector registers while k runs. Each step loads COLUMNS numbers of b and ROWS of a
   and makes ROWS * COLUMNS multiplications of them; three loops in textbook order load two numbers for every multiplication.
2. The innermost loops are q outside, m inside. The compiler then keeps row q of the panel in a register and broadcasts a
   against it; with m outside it finds no vectors, and everything is 60 times slower.
3. b is packed first: panels of COLUMNS columns, contiguous along k, so that the inner loop walks memory in one line. A ragged
   last panel is filled up with zeros, and ragged rows repeat the last one: the tile is always full, and only what belongs to c
   is written. Packing also undoes b's transposition; a is read in place either way.
4. k runs in blocks of DEPTH, so that a panel's block stays in the cache while the rows go by.

The panels come in as an argument because the compiler knows that the arguments of a parallel loop do not overlap. For a scratch
array made inside it cannot rule out that writing `tile` changes it, and then no register survives the loop: four times slower.

Every number of c is summed by one thread in one order: the result does not depend on the number of threads.

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N), panels (ceil(N / COLUMNS), K, COLUMNS).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..arguments import contiguous, output
from ..jit import WIDE, compiled

ROWS, COLUMNS = (8, 32) if WIDE else (6, 16)  # 16 vector registers of tile; 12 of 16 with AVX2
DEPTH = 1024
GROUP = 4 * ROWS  # rows that one task takes through all its panels
TASKS = 16  # enough to share out evenly


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
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    (rows, depth), columns = a.shape, b.shape[1]
    c = output(out, (rows, columns), a.dtype, like=a)
    panels = empty((-(-columns // COLUMNS), depth, COLUMNS), b.dtype)
    pack(b, panels)
    groups = -(-rows // GROUP)
    panels_per_task = max(1, len(panels) * groups // TASKS)  # few rows: the panels are shared out too
    multiply(a, panels, c, accumulate, min(panels_per_task, len(panels)))
    return c


@compiled
def pack(b: Array, panels: Array) -> None:
    """b (K, N) -> panels (ceil(N / COLUMNS), K, COLUMNS), zeros beyond column N."""
    depth, columns = b.shape
    for j in prange(panels.shape[0]):
        left = j * COLUMNS
        width = min(COLUMNS, columns - left)
        for k in range(depth):
            for q in range(width):
                panels[j, k, q] = b[k, left + q]
            for q in range(width, COLUMNS):
                panels[j, k, q] = 0


@compiled
def multiply(a: Array, panels: Array, c: Array, accumulate: bool, panels_per_task: int) -> None:
    """c = a b or c += a b, one task for each group of rows and of panels."""
    rows, depth = a.shape
    columns = c.shape[1]
    shares = (panels.shape[0] + panels_per_task - 1) // panels_per_task
    for task in prange((rows + GROUP - 1) // GROUP * shares):
        top = task // shares * GROUP
        bottom = min(rows, top + GROUP)
        first = task % shares * panels_per_task
        tile = np.empty((ROWS, COLUMNS), a.dtype)
        for start in range(0, depth, DEPTH):
            stop = min(depth, start + DEPTH)
            for j in range(first, min(panels.shape[0], first + panels_per_task)):
                left = j * COLUMNS
                width = min(COLUMNS, columns - left)
                for i in range(top, bottom, ROWS):
                    for m in range(ROWS):
                        for q in range(COLUMNS):
                            tile[m, q] = 0
                    for k in range(start, stop):
                        for q in range(COLUMNS):
                            b = panels[j, k, q]
                            for m in range(ROWS):
                                tile[m, q] += a[min(i + m, bottom - 1), k] * b
                    for m in range(min(ROWS, bottom - i)):
                        if accumulate or start > 0:
                            for q in range(width):
                                tile[m, q] += c[i + m, left + q]
                        if width == COLUMNS:  # a constant length is copied in whole registers
                            for q in range(COLUMNS):
                                c[i + m, left + q] = tile[m, q]
                        else:
                            for q in range(width):
                                c[i + m, left + q] = tile[m, q]

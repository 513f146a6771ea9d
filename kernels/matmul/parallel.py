"""Matrix product on all threads, rung 4: cache_order.py, with the rows of c shared out.

Against the definition: the loops are ours. Against cache_order.py: one word, `prange`. Rows do not touch each other, so nobody
waits, and every number is summed in the same order as before. Predicted: the number of threads, less where the memory that they
share is already busy. Each thread still goes through all of b for every one of its rows: what a tile in registers
(register_tile.py) changes. Nothing chooses this rung; it is for readers.

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N); a transposed factor is read through its view.
"""

from __future__ import annotations

from numba import prange

from minigen.backend import Array

from ..arguments import output
from ..jit import compiled


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
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    c = output(out, (a.shape[0], b.shape[1]), a.dtype, like=a)
    multiply(a, b, c, accumulate)
    return c


@compiled
def multiply(a: Array, b: Array, c: Array, accumulate: bool) -> None:
    """c = a b or c += a b."""
    rows, columns = c.shape
    for i in prange(rows):
        if not accumulate:
            for j in range(columns):
                c[i, j] = 0
        for k in range(a.shape[1]):
            x = a[i, k]
            for j in range(columns):
                c[i, j] += x * b[k, j]

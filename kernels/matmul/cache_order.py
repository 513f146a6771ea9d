"""Matrix product in the order of memory, rung 3: the three loops with the last two exchanged.

    for m, k, n:  c[m, n] += a[m, k] b[k, n]

Against the definition: the loops are ours. Against loops.py: the innermost loop walks along a row of b and a row of c, where
neighbours are neighbours in memory. So a line of the cache is used whole, and as the sums of a row do not wait for each other,
sixteen of them are made by one instruction. Predicted: ten times as fast. A number of c is now loaded and stored for every
multiplication, which is what the next rungs are about. Nothing chooses this rung; it is for readers.

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N); a transposed factor is read through its view.
"""

from __future__ import annotations

from minigen.backend import Array

from ..arguments import output
from ..jit import compiled_for_one


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


@compiled_for_one
def multiply(a: Array, b: Array, c: Array, accumulate: bool) -> None:
    """c = a b or c += a b."""
    rows, columns = c.shape
    for i in range(rows):
        if not accumulate:
            for j in range(columns):
                c[i, j] = 0
        for k in range(a.shape[1]):
            x = a[i, k]
            for j in range(columns):
                c[i, j] += x * b[k, j]

"""Matrix product by three loops, rung 2: the formula as it stands, compiled.

    c[m, n] = sum over k of a[m, k] b[k, n]

Against the definition: the loops are in sight, and that is all. Each number of c is one sum, and an addition must end before
the next to the same number begins; two numbers are loaded for every multiplication, and those of b lie a row apart, so that of
every line of the cache one number is used. Predicted: one part in a hundred of a BLAS. Nothing chooses this rung; it is for
readers.

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
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = c[i, j] if accumulate else a.dtype.type(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total

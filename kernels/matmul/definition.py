"""Matrix product, plainly.

    c[m, n] = sum over k of a[m, k] b[k, n]

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N); a transposed factor is stored the other way round.

NumPy hands it to its BLAS, which reads a transposed view in place. It is therefore the definition and the opponent at once.
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array, empty

from ..arguments import output


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
    a = a.T if transpose_a else a  # (M, K)
    b = b.T if transpose_b else b  # (K, N)
    shape, dtype = (a.shape[0], b.shape[1]), np.result_type(a.dtype, b.dtype)
    if not accumulate:
        return np.matmul(a, b, out=output(out, shape, dtype, like=a))
    if out is None:
        raise ValueError("matmul: accumulate=True adds into out: pass out=")
    out += np.matmul(a, b, out=empty(shape, dtype, like=a))
    return out

"""Sums on a GPU, in CUDA C (../cuda/sums.cu, `products.cu`). The formulas are in `definition.py`, the walk in ../cuda/sums.py.

Against the definition: 256 threads share a chunk of rows, and chunks are added in order; a product is never written.

Error: u (R / (K h) + log2 h + K) of the sum of the absolute values, of products u (D / h + log2 h + 2), u = 2^-24.

Legend: B, R, C sizes, K chunks of rows, h rows that a block takes at a time. x (B, R, C), the sums (B, C). Of products R rows
of D numbers: a, b (R, D), the sums (R,).
"""

from __future__ import annotations

from minigen.backend import Array

from ..arguments import contiguous, output
from ..cuda import sums
from ..cuda.sums import Walk


def over_rows(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums over R."""
    return sums.sums(x, out=out, accumulate=accumulate)


def products(a: Array, b: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The inner products."""
    (R, D), out = a.shape, output(out, a.shape[:1], a.dtype, like=a)
    walk = Walk(R, D, 1, whole=True)
    walk.launch("sums/products.cu", "sums_products", contiguous(a), contiguous(b), out, D, int(accumulate))
    return out

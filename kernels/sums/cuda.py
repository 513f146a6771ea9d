"""Sums on a GPU, in CUDA C (../cuda/sums.cu, `products.cu`). The formulas are in `definition.py`, the walk in ../cuda/sums.py.

Against the definition: 256 threads share a chunk of rows, and chunks are added in order; a product is never written.

Error: u (R / (K h) + log2 h + K) of the sum of the absolute values, of products u (D / h + log2 h + 2), u = 2^-24;
of `inner` 2 u, for it is summed in float64.

Legend: B, R, C sizes, K chunks of rows, h rows that a block takes at a time. x (B, R, C), the sums (B, C). Of products R rows
of D numbers: a, b (R, D), the sums (R,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty

from ..arguments import output
from ..combine import contiguous
from ..cuda import sums
from ..cuda.launch import launch
from ..cuda.sums import THREADS, Walk

FILE = "sums/products.cu"


def over_rows(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums over R."""
    return sums.sums(x, out=out, accumulate=accumulate)


def products(a: Array, b: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The inner products."""
    (R, D), out = a.shape, output(out, a.shape[:1], a.dtype, like=a)
    walk = Walk(R, D, 1, whole=True)
    walk.launch(FILE, "sums_products", contiguous(a), contiguous(b), out, D, int(accumulate))
    return out


def inner(a: Array, b: Array) -> Any:
    """The inner product of all numbers, in two launches."""
    walk, found = Walk(1, a.size, 1), empty((), a.dtype, like=a)
    parts = empty(walk.many, np.float64, like=a)
    walk.launch(FILE, "sums_inner", contiguous(a), contiguous(b), parts, a.size, walk.chunk)
    launch(FILE, "sums_inner_total", (1,), (1, THREADS), parts, found, len(parts))
    return found

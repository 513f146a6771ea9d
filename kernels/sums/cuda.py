"""Sums over rows on a GPU, in CUDA C (../cuda/sums.cu). The formula is in `definition.py`, the walk in ../cuda/sums.py.

Against the definition: 256 threads share a chunk of rows, and chunks are added in order.

Error: u (R / (K h) + log2 h + K) of the sum of the absolute values, u = 2^-24.

Legend: B, R, C sizes, K chunks of rows, h rows that a block takes at a time. x (B, R, C), the sums (B, C).
"""

from __future__ import annotations

from minigen.backend import Array

from ..cuda import sums


def over_rows(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums over R."""
    return sums.sums(x, out=out, accumulate=accumulate)

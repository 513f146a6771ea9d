"""The inner product of two vectors by BLAS, which is as fast as memory, in pieces that keep their digits; without Numba.

Error: that of a dot product of PIECE numbers, 3e-7 as measured on squares, whatever the length: one over five million numbers
was 2e-5 off.

Legend: n numbers. a, b (n,).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array

PIECE = 1 << 18  # numbers


def dot(a: Array, b: Array) -> float:
    """sum a b; infinite where float32 does not hold a piece's."""
    total = 0.0
    for begin in range(0, a.size, PIECE):
        total += float(np.dot(a[begin : begin + PIECE], b[begin : begin + PIECE]))
    return total

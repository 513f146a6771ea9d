"""Clipping in place on a CPU, without Numba: BLAS and NumPy are as fast as memory here. The formulas are in `definition.py`.

Against the definition: there the squares are an array of their own, here a vector is read once, by the dot product with itself.
The second pass is made only where the norm is above the limit. What is bound by memory gains nothing from a kernel of ours, and
a call of BLAS takes half a microsecond, of Numba several.

Error: of the norm at most that of ../sums/dot.py. A sum of squares that overflows is taken again in float64.

Legend: P numbers of a vector. vectors, x (P,).
"""

from __future__ import annotations

import math
from typing import Any

from minigen.backend import Array

from ..sums.dot import dot
from . import definition

to_range = definition.to_range


def to_norm(*vectors: Array, limit: float) -> Any:
    """-> the norm before."""
    norm = math.sqrt(sum(dot(x, x) for x in vectors))
    if not math.isfinite(norm):
        return definition.to_norm(*vectors, limit=limit)
    if norm > limit:
        for x in vectors:
            x *= limit / norm
    return norm

"""Clipping in place, plainly.

    to_norm     norm = sqrt(sum of x^2 over all vectors), then x = x limit / norm where norm > limit
    to_range    x = min(max(x, -limit), limit)

Both branch on the real part. What the norm decides is a multiplication, by one where there is nothing to do: on a GPU nobody
waits for it.

Legend: P numbers of a vector. vectors, x (P,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array


def to_norm(*vectors: Array, limit: float) -> Any:
    """-> the norm before."""
    wide = np.result_type(vectors[0].dtype, np.float64)
    norm: Any = np.sqrt(sum(np.square(x, dtype=wide).sum() for x in vectors))
    above = norm.real > limit
    share = np.where(above, limit, 1) / np.where(above, norm, 1)
    for x in vectors:
        x *= share.astype(x.dtype)
    return norm


def to_range(x: Array, limit: float) -> None:
    """Moves x."""
    np.clip(x, -limit, limit, out=x)

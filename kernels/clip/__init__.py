"""Clipping in place: several vectors together to a norm, or each number of one to a range."""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

# Work: numbers. On a CPU no kernel of ours is faster than BLAS: its rung stands where other operations have Numba's.
LADDER = Ladder(__name__, numba="dot", numba_from=1)


def to_norm(*vectors: Array, limit: float) -> Any:
    """-> the norm of all vectors (P,) together, before they are multiplied, in place, by min(1, limit / norm).

    On a GPU the norm stays there, an array without axes, and what it decides is decided there. Vectors whose norm is NaN are
    left alone. Those of several precisions go to the definition.
    """
    if not vectors:
        return 0.0
    return LADDER.choose(sum(x.size for x in vectors), *vectors).to_norm(*vectors, limit=limit)


def to_range(x: Array, limit: float) -> None:
    """x = min(max(x, -limit), limit), a vector (P,) in place; a NaN stays."""
    arguments.same_kind("clip.to_range", x=x)
    LADDER.choose(x.size, x).to_range(x, limit)

"""How close rows' points are to each other, e^-distance summed over all pairs, and the other three passes: one launch each.

No array of pairs lives from pass to pass: distances cost less than to keep them.
"""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="rows", numba_from=1 << 9)  # work: differences, N N B E


def forward(m: Array) -> Array:
    """-> o (N, B): o_i = sum over j of e^-|m_i - m_j|, |.| the sum of absolute values, of points m (N, B, E), B for each row.

    Like those below, it raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check("pairs.forward", m)
    o: Array = LADDER.choose(len(m) * m.size, m).forward(m)
    return o


def gradient(do: Array, m: Array) -> Array:
    """-> dm (N, B, E), from do (N, B)."""
    _check("pairs.gradient", m, do=do)
    dm: Array = LADDER.choose(len(m) * m.size, m, do).gradient(do, m)
    return dm


def tangent(m_dot: Array, m: Array) -> Array:
    """-> o_dot (N, B), as m moves along m_dot."""
    _check("pairs.tangent", m, m_dot)
    o_dot: Array = LADDER.choose(len(m) * m.size, m, m_dot).tangent(m_dot, m)
    return o_dot


def gradient_dot(do: Array, do_dot: Array, m_dot: Array, m: Array) -> tuple[Array, Array]:
    """-> dm, and how it moves: dm_dot, as m moves along m_dot and do along do_dot."""
    _check("pairs.gradient_dot", m, m_dot, do=do, do_dot=do_dot)
    rung = LADDER.choose(len(m) * m.size, m, m_dot, do, do_dot)
    both: tuple[Array, Array] = rung.gradient_dot(do, do_dot, m_dot, m)
    return both


def _check(operation: str, m: Array, m_dot: Array | None = None, **sums: Array) -> None:
    """ValueError unless m is (N, B, E), m_dot the same, and all `sums` (N, B)."""
    arguments.check_ndim(operation, 3, m=m)
    points = {"m": m} if m_dot is None else {"m": m, "m_dot": m_dot}
    arguments.check_equal_shapes(operation, **points)
    for name, x in sums.items():
        if x.shape != m.shape[:2]:
            raise ValueError(f"{operation}: {name} {x.shape} must have a number for each point of m {m.shape}")
    arguments.same_kind(operation, **points, **sums)

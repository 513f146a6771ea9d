"""How close rows' points are to each other on a GPU, in CUDA C (`rows.cu`). The formulas are in `definition.py`.

Against the definition: one launch for each pass, and no array of pairs.

Legend: N rows, B points of each, E numbers of a point. m, m_dot, dm, dm_dot (N, B, E); o, o_dot, do, do_dot (N, B).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.sums import Walk

FILE = "pairs/rows.cu"


def forward(m: Array) -> Array:
    """-> o."""
    N, B, E = m.shape
    o = empty((N, B), m.dtype, like=m)
    Walk(N, N, B, whole=True).launch(FILE, "pairs_forward", contiguous(m), o, N, B, E)
    return o


def gradient(do: Array, m: Array) -> Array:
    """-> dm."""
    N, B, E = m.shape
    dm = empty_like(m)
    Walk(N, N, B * E, whole=True).launch(FILE, "pairs_gradient", contiguous(do), contiguous(m), dm, N, B, E)
    return dm


def tangent(m_dot: Array, m: Array) -> Array:
    """-> o_dot."""
    N, B, E = m.shape
    o_dot = empty((N, B), m.dtype, like=m)
    Walk(N, N, B, whole=True).launch(FILE, "pairs_tangent", contiguous(m_dot), contiguous(m), o_dot, N, B, E)
    return o_dot


def gradient_dot(do: Array, do_dot: Array, m_dot: Array, m: Array) -> tuple[Array, Array]:
    """-> dm, dm_dot."""
    N, B, E = m.shape
    dm, dm_dot = empty_like(m), empty_like(m)
    given = [contiguous(x) for x in (do, do_dot, m_dot, m)]
    Walk(N, N, B * E, whole=True).launch(FILE, "pairs_gradient_dot", *given, dm, dm_dot, N, B, E)
    return dm, dm_dot

"""How close rows' points are to each other, a row of pairs at a time. The formulas are in `definition.py`.

Against the definition: there every difference, its sign, their product and its exponential are arrays of all pairs, E times as
many numbers as k; here a row of k stays in the nearest cache while the E differences are added to it, and signs are never kept.
Points lie as (B, E, N), so that all inner loops go along neighbours. exp is a polynomial (vector_math.py).

Error: of k (E d + 4) u k, d the distance, and of k_dot (E d + 2 E + 5) u k |m_dot_i - m_dot_j|; of the sums (N + 2) u of the
sum of the absolute terms more, u = 2^-24.

Legend: N rows, B points of each, E numbers of a point. m, m_dot, dm, dm_dot (N, B, E); o, o_dot, do, do_dot (N, B). With the
rows last: t, t_dot (B, E, N), which are m and m_dot, do and do_dot (B, N); k, k_dot (B, N, N).
"""

from __future__ import annotations

from numba import prange

from minigen.backend import Array, empty, empty_like

from ..jit import CompiledTwice, compiled_for_one
from ..vector_math import exp


def forward(m: Array) -> Array:
    """-> o."""
    (N, B, _), t = m.shape, rows_last(m)
    o = empty((N, B), m.dtype)
    measure.of(N * m.size)(t, empty((B, N, N), m.dtype), o)
    return o


def gradient(do: Array, m: Array) -> Array:
    """-> dm."""
    (N, B, _), t = m.shape, rows_last(m)
    dm = empty_like(m)
    gather.of(N * m.size)(t, rows_last(do), empty((B, N, N), m.dtype), dm)
    return dm


def tangent(m_dot: Array, m: Array) -> Array:
    """-> o_dot."""
    (N, B, _), t = m.shape, rows_last(m)
    o_dot, (k, k_dot) = empty((N, B), m.dtype), empty((2, B, N, N), m.dtype)
    turn.of(N * m.size)(t, rows_last(m_dot), k, k_dot, o_dot)
    return o_dot


def gradient_dot(do: Array, do_dot: Array, m_dot: Array, m: Array) -> tuple[Array, Array]:
    """-> dm, dm_dot."""
    (N, B, _), t = m.shape, rows_last(m)
    dm, dm_dot, (k, k_dot) = empty_like(m), empty_like(m), empty((2, B, N, N), m.dtype)
    gather_both.of(N * m.size)(t, rows_last(m_dot), rows_last(do), rows_last(do_dot), k, k_dot, dm, dm_dot)
    return dm, dm_dot


def rows_last(x: Array) -> Array:
    """(N, ...) -> (..., N), contiguous."""
    turned = x.transpose(1, 2, 0) if x.ndim == 3 else x.T
    copy = empty(turned.shape, x.dtype)
    copy[...] = turned
    return copy


@compiled_for_one
def near(t: Array, i: int, row: Array) -> None:
    """row (N,) = e^-|m_i - m_j| of one point, t (E, N)."""
    row[:] = row.dtype.type(0)
    for e in range(t.shape[0]):
        others = t[e]
        mine = others[i]
        for j in range(row.shape[0]):
            row[j] += abs(mine - others[j])
    for j in range(row.shape[0]):
        row[j] = exp(-row[j])


@compiled_for_one
def approach(t: Array, t_dot: Array, i: int, k: Array, row: Array) -> None:
    """row (N,) = how k (N,), what `near` makes, moves with t along t_dot (E, N)."""
    zero = row.dtype.type(0)
    row[:] = zero
    for e in range(t.shape[0]):
        others, moves = t[e], t_dot[e]
        mine, moved = others[i], moves[i]
        for j in range(row.shape[0]):
            towards = moves[j] - moved
            row[j] += towards if mine > others[j] else (-towards if mine < others[j] else zero)
    for j in range(row.shape[0]):
        row[j] *= k[j]


@compiled_for_one
def drawn(others: Array, i: int, pull: Array) -> float:
    """-sum_j pull_j s_ij along one number of the points; a NaN is no sign, and pull has it."""
    total, zero, mine = pull.dtype.type(0), pull.dtype.type(0), others[i]
    for j in range(pull.shape[0]):
        total += -pull[j] if mine > others[j] else (pull[j] if mine < others[j] else zero * pull[j])
    return total


@CompiledTwice
def measure(t: Array, k: Array, o: Array) -> None:
    """Fills k and o."""
    rows = t.shape[2]
    for task in prange(t.shape[0] * rows):
        b, i = task // rows, task % rows
        near(t[b], i, k[b, i])
        o[i, b] = k[b, i].sum()


@CompiledTwice
def gather(t: Array, do: Array, k: Array, dm: Array) -> None:
    """Fills dm; of k each row times do_i + do_j is left."""
    rows = t.shape[2]
    for task in prange(t.shape[0] * rows):
        b, i = task // rows, task % rows
        pull = k[b, i]
        near(t[b], i, pull)
        for j in range(rows):
            pull[j] *= do[b, i] + do[b, j]
        for e in range(t.shape[1]):
            dm[i, b, e] = drawn(t[b, e], i, pull)


@CompiledTwice
def turn(t: Array, t_dot: Array, k: Array, k_dot: Array, o_dot: Array) -> None:
    """Fills k, k_dot and o_dot."""
    rows = t.shape[2]
    for task in prange(t.shape[0] * rows):
        b, i = task // rows, task % rows
        near(t[b], i, k[b, i])
        approach(t[b], t_dot[b], i, k[b, i], k_dot[b, i])
        o_dot[i, b] = k_dot[b, i].sum()


@CompiledTwice
def gather_both(t: Array, t_dot: Array, do: Array, do_dot: Array, k: Array, k_dot: Array, dm: Array, dm_dot: Array) -> None:
    """Fills dm and dm_dot; of k and k_dot what pulls is left."""
    rows = t.shape[2]
    for task in prange(t.shape[0] * rows):
        b, i = task // rows, task % rows
        pull, pull_dot = k[b, i], k_dot[b, i]
        near(t[b], i, pull)
        approach(t[b], t_dot[b], i, pull, pull_dot)
        for j in range(rows):
            both = do[b, i] + do[b, j]
            pull_dot[j] = pull_dot[j] * both + pull[j] * (do_dot[b, i] + do_dot[b, j])
            pull[j] *= both
        for e in range(t.shape[1]):
            dm[i, b, e], dm_dot[i, b, e] = drawn(t[b, e], i, pull), drawn(t[b, e], i, pull_dot)

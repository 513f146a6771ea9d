"""How close rows' points are to each other, a row of pairs at a time. The formulas are in `definition.py`.

Against the definition: there every difference, its sign, their product and its exponential are arrays of all pairs, E times as
many numbers as k; here a row of k stays in the nearest cache while the E differences are added to it, and signs are never kept.
Points lie as (B, E, N), so that all inner loops go along neighbours. exp is a polynomial (vector_math.py).

Error: of k (E d + 4) u k, d the distance, and of k_dot (E d + 2 E + 5) u k |m_dot_i - m_dot_j|; of the sums (N + 2) u of the
sum of the absolute terms more, u = 2^-24.

Legend: N rows, B points of each, E numbers of a point. m, m_dot, dm, dm_dot (N, B, E); o, o_dot, do, do_dot (N, B); t, t_dot
(B, E, N) those of m; k, k_dot (B, N, N).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..jit import CompiledTwice
from ..vector_math import exp


def forward(m: Array) -> Array:
    """-> o."""
    return _near(m)[2]


def gradient(do: Array, m: Array) -> Array:
    """-> dm."""
    t, k, _ = _near(m)
    return _gathered(t, ((k, do),), m)


def tangent(m_dot: Array, m: Array) -> Array:
    """-> o_dot."""
    t, k, _ = _near(m)
    return _turned(t, k, m_dot)[1]


def gradient_dot(do: Array, do_dot: Array, m_dot: Array, m: Array) -> tuple[Array, Array]:
    """-> dm, dm_dot."""
    t, k, _ = _near(m)
    k_dot, _ = _turned(t, k, m_dot)
    return _gathered(t, ((k, do),), m), _gathered(t, ((k_dot, do), (k, do_dot)), m)


def _pairs_last(x: Array) -> Array:
    """(N, ...) -> (..., N), contiguous."""
    turned = np.moveaxis(x, 0, -1)
    copy = empty(turned.shape, x.dtype)
    copy[...] = turned
    return copy


def _near(m: Array) -> tuple[Array, Array, Array]:
    """t, k, o."""
    N, B, _ = m.shape
    t, k, o = _pairs_last(m), empty((B, N, N), m.dtype), empty((N, B), m.dtype)
    measure.of(N * m.size)(t, k, o)
    return t, k, o


def _turned(t: Array, k: Array, m_dot: Array) -> tuple[Array, Array]:
    """k_dot, o_dot."""
    k_dot, o_dot = empty_like(k), empty(m_dot.shape[:2], k.dtype)
    turn.of(len(m_dot) * m_dot.size)(t, _pairs_last(m_dot), k, k_dot, o_dot)
    return k_dot, o_dot


def _gathered(t: Array, parts: tuple[tuple[Array, Array], ...], m: Array) -> Array:
    """The sum of what `gather` makes of (k, do)."""
    dm = empty_like(m)
    for i, (k, do) in enumerate(parts):
        gather.of(len(m) * m.size)(t, k, _pairs_last(do), dm, i > 0)
    return dm


@CompiledTwice
def measure(t: Array, k: Array, o: Array) -> None:
    """Fills k and o."""
    rows, zero = t.shape[2], t.dtype.type(0)
    for task in prange(t.shape[0] * rows):
        b, i = task // rows, task % rows
        row, total = k[b, i], zero
        row[:] = zero
        for e in range(t.shape[1]):
            others = t[b, e]
            for j in range(rows):
                row[j] += abs(others[i] - others[j])
        for j in range(rows):
            row[j] = exp(-row[j])
        for j in range(rows):
            total += row[j]
        o[i, b] = total


@CompiledTwice
def turn(t: Array, t_dot: Array, k: Array, k_dot: Array, o_dot: Array) -> None:
    """Fills k_dot and o_dot."""
    rows, zero = t.shape[2], t.dtype.type(0)
    for task in prange(t.shape[0] * rows):
        b, i = task // rows, task % rows
        row, total = k_dot[b, i], zero
        row[:] = zero
        for e in range(t.shape[1]):
            others, moves = t[b, e], t_dot[b, e]
            for j in range(rows):
                towards = moves[j] - moves[i]
                row[j] += towards if others[i] > others[j] else (-towards if others[i] < others[j] else zero)
        for j in range(rows):
            row[j] *= k[b, i, j]
            total += row[j]
        o_dot[i, b] = total


@CompiledTwice
def gather(t: Array, k: Array, do: Array, dm: Array, more: bool) -> None:
    """dm = -sum_j k_ij (do_i + do_j) s_ij, or with `more` dm += it."""
    rows, zero = t.shape[2], t.dtype.type(0)
    for task in prange(t.shape[0] * rows):
        b, i = task // rows, task % rows
        for e in range(t.shape[1]):
            others, total = t[b, e], zero
            for j in range(rows):
                pull = k[b, i, j] * (do[b, i] + do[b, j])
                total += -pull if others[i] > others[j] else (pull if others[i] < others[j] else zero * pull)
            dm[i, b, e] = dm[i, b, e] + total if more else total

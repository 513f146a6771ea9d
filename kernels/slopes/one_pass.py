"""What is paid for slopes, in one pass. The formulas are in `definition.py`.

Against the definition: there a square, its sum and a product are passes over memory, one of them into an array that is thrown
away; here a row is read for its norm, and once more, out of the cache, for its gradient. Rows are shared out among the threads.
Squares are added up in float64, so that slopes whose squares float32 does not hold keep their direction.

Error: of dg 2 u, of what a row pays nothing beside it, u = 2^-24.

Legend: N rows of M numbers. g, dg (N, M), pays (N,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice


def paid(rule: str, g: Array, *, weight: float = 1.0, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dg)."""
    dg, pays = empty_like(g), empty(len(g), np.float64)
    sweep = charge_squares if rule == "half_square" else charge_excess
    sweep.of(g.size)(contiguous(g), dg, pays, scale * weight / len(g))
    return weight * float(np.sum(pays)) / len(g), dg


@CompiledTwice
def charge_squares(g: Array, dg: Array, pays: Array, share: float) -> None:
    """Fills dg, share g, and pays, |g_n|^2 / 2."""
    factor = dg.dtype.type(share)
    for n in prange(g.shape[0]):
        total = 0.0
        for i in range(g.shape[1]):
            total += np.float64(g[n, i]) * np.float64(g[n, i])
            dg[n, i] = factor * g[n, i]
        pays[n] = 0.5 * total


@CompiledTwice
def charge_excess(g: Array, dg: Array, pays: Array, share: float) -> None:
    """Fills dg, and pays, (|g_n| - 1)^2."""
    for n in prange(g.shape[0]):
        total = 0.0
        for i in range(g.shape[1]):
            total += np.float64(g[n, i]) * np.float64(g[n, i])
        norm = np.sqrt(total)
        factor = dg.dtype.type(0.0 if norm == 0 else 2 * share * (1 - 1 / norm))
        for i in range(g.shape[1]):
            dg[n, i] = factor * g[n, i]
        pays[n] = (norm - 1) * (norm - 1)

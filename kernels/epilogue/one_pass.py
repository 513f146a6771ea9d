"""Bias and leaky ReLU after a product in one pass, and the way back in one. The formulas are in `__init__.py`.

Against the definition: NumPy adds the bias in one pass and needs five more for a leaky ReLU; on the way back it makes the
slope, multiplies, and sums. Here y is still in the cache, where the product has left it, is read once and
written once, and so is dy.

The sums are taken in chunks of rows, with the error that ../sums/one_pass.py states.

Legend: R rows, M columns, K chunks of rows. y, dy, du (R, M), b, db (M,), parts (K, M).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like, zeros

from ..combine import contiguous
from ..jit import CompiledTwice
from ..sums.one_pass import add_up, rows_of


def finish(y: Array, b: Array | None, *, leak: float = 1.0) -> None:
    """y = f(y + b), in place."""
    b = zeros(y.shape[1], y.dtype) if b is None else contiguous(b)
    finished.of(y.size)(y, b, rows_of(y.shape[1]), y.dtype.type(leak))


def back(dy: Array, y: Array, *, leak: float, sums: bool = True) -> tuple[Array, Array | None]:
    """du, and its sums."""
    rows, M = rows_of(dy.shape[1]), dy.shape[1]
    du, parts = empty_like(dy), empty((-(-dy.shape[0] // rows), M), dy.dtype)
    bent.of(dy.size)(contiguous(dy), contiguous(y), du, parts, rows, dy.dtype.type(leak))
    if not sums:
        return du, None
    db = empty((1, M), dy.dtype)
    add_up(parts[None], empty(M, np.float64), db, False)
    return du, db[0]


@CompiledTwice
def finished(y: Array, b: Array, rows: int, leak: Any) -> None:
    """y = f(y + b)."""
    height, columns, step = np.uint64(y.shape[0]), np.uint64(y.shape[1]), np.uint64(rows)
    for chunk in prange((y.shape[0] + rows - 1) // rows):
        for i in range(np.uint64(chunk) * step, min(height, (np.uint64(chunk) + np.uint64(1)) * step)):
            for m in range(columns):
                u = y[i, m] + b[m]
                y[i, m] = u if u > 0 else leak * u


@CompiledTwice
def bent(dy: Array, y: Array, du: Array, parts: Array, rows: int, leak: Any) -> None:
    """du, and every chunk's sum of it."""
    height, columns, step = np.uint64(dy.shape[0]), np.uint64(dy.shape[1]), np.uint64(rows)
    for task in prange(parts.shape[0]):
        chunk = np.uint64(task)
        for m in range(columns):
            parts[chunk, m] = 0
        for i in range(chunk * step, min(height, (chunk + np.uint64(1)) * step)):
            for m in range(columns):
                d = dy[i, m] if y[i, m] > 0 else leak * dy[i, m]
                du[i, m] = d
                parts[chunk, m] += d

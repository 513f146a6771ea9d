"""Bias and leaky ReLU after a product in one pass, and the way back in one. The formulas are in `__init__.py`.

Against the definition: NumPy adds the bias in one pass and needs five more for a leaky ReLU; on the way back it makes the
slope, multiplies, and sums. Here y is still in the cache, where the product has left it, is read once and
written once, and so is dy.

The sums are taken in chunks of rows, at most ROWS float32 numbers each, and the chunks' sums are added in float64: relative
error ROWS u, u = 2^-24, of the sum of the absolute values at most. The chunks do not depend on the number of threads.

Legend: R rows, M columns, K chunks of rows. y, dy, du (R, M), b, db (M,), parts (K, M).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like, zeros

from ..arguments import contiguous
from ..jit import CompiledTwice, compiled_for_one

CHUNK, ROWS = 4096, 512  # numbers and rows of a chunk at most


def finish(y: Array, b: Array | None, *, leak: float = 1.0) -> None:
    """y = f(y + b), in place."""
    b = zeros(y.shape[1], y.dtype) if b is None else contiguous(b)
    finished.of(y.size)(y, b, rows_of(y.shape[1]), y.dtype.type(leak))


def back(dy: Array, y: Array | None, *, leak: float = 1.0, sums: bool = True) -> tuple[Array, Array | None]:
    """du, and its sums."""
    dy = contiguous(dy)
    rows = rows_of(dy.shape[1])
    parts = empty((-(-dy.shape[0] // rows), dy.shape[1]), dy.dtype)
    if y is None or leak == 1.0:
        du = dy
        summed.of(dy.size)(dy, parts, rows)
    else:
        du = empty_like(dy)
        bent.of(dy.size)(dy, contiguous(y), du, parts, rows, dy.dtype.type(leak))
    if not sums:
        return du, None
    db = empty(dy.shape[1], dy.dtype)
    add_up(parts, empty(dy.shape[1], np.float64), db)
    return du, db


def rows_of(columns: int) -> int:
    """How many rows a chunk has."""
    return max(1, min(ROWS, CHUNK // columns))


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
def summed(dy: Array, parts: Array, rows: int) -> None:
    """Every chunk's sum of dy."""
    height, columns, step = np.uint64(dy.shape[0]), np.uint64(dy.shape[1]), np.uint64(rows)
    for task in prange(parts.shape[0]):
        chunk = np.uint64(task)
        for m in range(columns):
            parts[chunk, m] = 0
        for i in range(chunk * step, min(height, (chunk + np.uint64(1)) * step)):
            for m in range(columns):
                parts[chunk, m] += dy[i, m]


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


@compiled_for_one
def add_up(parts: Array, total: Array, db: Array) -> None:
    """db = the sum of the parts, through total in float64. NumPy would first make float64 of them all."""
    chunks, columns = np.uint64(parts.shape[0]), np.uint64(parts.shape[1])
    for m in range(columns):
        total[m] = 0
    for chunk in range(chunks):
        for m in range(columns):
            total[m] += parts[chunk, m]
    for m in range(columns):
        db[m] = total[m]

"""Sums over rows by all threads. The formula is in `definition.py`.

Against the definition: NumPy adds row after row in float32 with one thread. Here the rows are cut into chunks that stay in the
nearest cache, at most ROWS float32 numbers are added up in each, and the chunks' sums are added in float64: relative error
ROWS u, u = 2^-24, of the sum of the absolute values at most. The chunks do not depend on the number of threads. Other passes
over rows that sum what they make cut them in the same way, and `add_up` is theirs too. Products along a row are added up in
float64, and none of them is written: relative error 2 u of the sum of the absolute products.

Legend: B, R, C sizes, K chunks of rows. x (B, R, C), parts (B, K, C), the sums (B, C). Of products R rows of D numbers: a, b
(R, D), the sums (R,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty

from ..arguments import output
from ..combine import contiguous
from ..jit import CompiledTwice, compiled_for_one
from .dot import dot

CHUNK = 4096  # numbers of a chunk at most, 16 KiB in float32
ROWS = 512  # of a chunk at most


def over_rows(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums over R."""
    B, R, C = x.shape
    rows, total = rows_of(C), output(out, (B, C), x.dtype, like=x)
    parts = empty((B, -(-R // rows), C), x.dtype)
    summed.of(x.size)(contiguous(x), parts, rows)
    add_up(parts, empty(C, np.float64), total, accumulate)
    return total


def products(a: Array, b: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The inner products."""
    total = output(out, a.shape[:1], a.dtype, like=a)
    meet.of(a.size)(contiguous(a), contiguous(b), total, accumulate)
    return total


def inner(a: Array, b: Array) -> Any:
    """The inner product of all numbers, by BLAS."""
    return a.dtype.type(dot(contiguous(a).reshape(-1), contiguous(b).reshape(-1)))


def rows_of(columns: int) -> int:
    """How many rows a chunk has."""
    return max(1, min(ROWS, CHUNK // columns))


@CompiledTwice
def summed(x: Array, parts: Array, rows: int) -> None:
    """Every chunk's sum."""
    height, columns, step = np.uint64(x.shape[1]), np.uint64(x.shape[2]), np.uint64(rows)
    chunks = np.uint64(parts.shape[1])
    for task in prange(parts.shape[0] * parts.shape[1]):
        b, k = np.uint64(task) // chunks, np.uint64(task) % chunks
        for c in range(columns):
            parts[b, k, c] = 0
        for i in range(k * step, min(height, (k + np.uint64(1)) * step)):
            for c in range(columns):
                parts[b, k, c] += x[b, i, c]


@CompiledTwice
def meet(a: Array, b: Array, sums: Array, accumulate: bool) -> None:
    """sums (R,) = the inner products of the rows, or += them."""
    for r in prange(a.shape[0]):
        total = 0.0
        for d in range(a.shape[1]):
            total += np.float64(a[r, d]) * np.float64(b[r, d])
        sums[r] = sums[r] + total if accumulate else total


@compiled_for_one
def add_up(parts: Array, total: Any, sums: Array, accumulate: bool) -> None:
    """sums (B, C) = the sum of the chunks' parts, through total (C,) in float64. NumPy would first make float64 of them all."""
    chunks, columns = np.uint64(parts.shape[1]), np.uint64(parts.shape[2])
    for b in range(np.uint64(parts.shape[0])):
        for c in range(columns):
            total[c] = sums[b, c] if accumulate else 0
        for k in range(chunks):
            for c in range(columns):
                total[c] += parts[b, k, c]
        for c in range(columns):
            sums[b, c] = total[c]

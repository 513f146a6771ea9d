"""Rows of a table on a GPU, in CUDA C (`places.cu`). The formulas are in `definition.py`.

Against the definition: one launch each, and the sums have one order without a matrix of zeros and ones.

Error: `take` and `put` none; of the sums that of adding n numbers, 256 / w at a time (../cuda/middle.cuh).

Legend: V rows of a table, n ids, W numbers of a row. table (V, W), ids (n,) int64, rows and dy (n, W).
"""

from __future__ import annotations

import math

import numpy as np

from minigen.backend import Array, empty

from ..arguments import output
from ..combine import contiguous
from ..cuda.launch import each, launch
from ..cuda.sums import Walk

FILE = "rows/places.cu"


def take(table: Array, ids: Array) -> Array:
    """The rows."""
    V, W = len(table), math.prod(table.shape[1:])
    taken = empty((*ids.shape, *table.shape[1:]), table.dtype, like=table)
    if taken.size:
        each(FILE, "rows_take", taken.size, contiguous(table), _wide(ids), taken, taken.size, V, W)
    return taken


def put(table: Array, ids: Array, rows: Array) -> None:
    """In place."""
    V, W = len(table), math.prod(table.shape[1:])
    each(FILE, "rows_put", rows.size, table, _wide(ids), contiguous(rows), rows.size, V, W)


def add_up(ids: Array, dy: Array, V: int, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums."""
    n, W = dy.shape
    walk, total = Walk(V, n, W, whole=True), output(out, (V, W), dy.dtype, like=dy)
    launch(FILE, "rows_add_up", (walk.across,), walk.block, _wide(ids), contiguous(dy), total, n, W, int(accumulate))
    return total


def _wide(ids: Array) -> Array:
    return contiguous(ids if ids.dtype == np.int64 else ids.astype(np.int64))

"""Rows of a table at places that integers name, plainly.

    take      y[n] = table[i_n]
    put       table[i_n] = rows[n]
    add_up    sum[v] = sum over the n with i_n = v of dy[n]          the transpose of `take`

Legend: V rows of a table, n ids. table (V, *W), ids (...), or (n,); dy (n, W), the sums (V, W).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array, resident, zeros

from .. import matmul


def take(table: Array, ids: Array) -> Array:
    """The rows; on a device NaN for an id that is none."""
    if type(table) is np.ndarray:
        return table[ids]
    outside = (ids < 0) | (ids >= len(table))
    rows = table[np.where(outside, 0, ids)]
    return np.where(outside.reshape(*ids.shape, *[1] * (table.ndim - 1)), table.dtype.type(np.nan), rows)


def put(table: Array, ids: Array, rows: Array) -> None:
    """In place."""
    table[ids] = rows


def add_up(ids: Array, dy: Array, V: int, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums; on a device by a product, for adding at an index is left to atomic operations there, whose order varies."""
    if type(dy) is not np.ndarray:
        chosen = (ids[:, None] == resident(np.arange(V), ids)).astype(dy.dtype)  # (n, V)
        return matmul.matmul(chosen, dy, transpose_a=True, out=out, accumulate=accumulate)
    if out is None:
        out = zeros((V, dy.shape[1]), dy.dtype)
    elif not accumulate:
        out[...] = 0
    np.add.at(out, ids, dy)
    return out

"""Rows of a table at places that integers name: taken, put in place of others, and added up."""

from __future__ import annotations

import numpy as np

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

# Work: numbers moved. On a CPU NumPy's indexing is as fast as memory: there is no rung of Numba.
LADDER = Ladder(__name__, numba="definition", numba_from=1)


def take(table: Array, ids: Array) -> Array:
    """-> table[ids] (..., *W), the rows of a table (V, *W) that ids (...), integers of 0 .. V - 1, name.

    An id that is no row is IndexError on a CPU (a negative one counts from the end there, as NumPy has it), and a row of NaN on
    a GPU, where nobody may wait to look. Raises TypeError where ids are no integers.
    """
    if type(table) is np.ndarray and type(ids) is np.ndarray and ids.dtype.kind in "iu":
        return table[ids]
    _check("rows.take", ids)
    taken: Array = LADDER.choose(ids.size, table).take(table, ids)
    return taken


def put(table: Array, ids: Array, rows: Array) -> None:
    """table[ids] = rows, in place: table (V, *W), contiguous, ids (n,) integers of 0 .. V - 1 that differ, rows (n, *W).

    Raises ValueError on shapes that do not fit, TypeError on other types.
    """
    _check("rows.put", ids)
    arguments.check_equal_dtypes("rows.put", table=table, rows=rows)
    arguments.check_out("rows.put", table, table.shape, table.dtype)
    if ids.ndim != 1 or rows.shape != (len(ids), *table.shape[1:]):
        raise ValueError(
            f"rows.put: rows {rows.shape} must be (n, *W), one for each of ids {ids.shape}, of table {table.shape}"
        )
    LADDER.choose(rows.size, table, rows).put(table, ids, rows)


def add_up(ids: Array, dy: Array, V: int, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """-> (V, W): the sum, for every row v, of the dy[n] with ids[n] = v; with `accumulate` added to `out`. `take`'s way back.

    ids (n,), dy (n, W). In an order that depends on sizes alone. Raises ValueError on shapes that do not fit, and where
    `accumulate` has no `out`, TypeError on other types.
    """
    _check("rows.add_up", ids)
    if dy.ndim != 2 or ids.shape != dy.shape[:1]:
        raise ValueError(f"rows.add_up: dy {dy.shape} must be (n, W), with a row for each of ids {ids.shape}")
    if accumulate and out is None:
        raise ValueError("rows.add_up: accumulate=True adds into out: pass out=")
    arguments.check_out("rows.add_up", out, (V, dy.shape[1]), dy.dtype)
    total: Array = LADDER.choose(dy.size, dy).add_up(ids, dy, V, out=out, accumulate=accumulate)
    return total


def _check(name: str, ids: Array) -> None:
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name}: ids must be integers, got {ids.dtype}")

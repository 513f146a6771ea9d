"""Distances to the k nearest rows of a set: the simplest anomaly score, and what precision, recall and coverage are made of.

    |q - x|^2 = |q|^2 - 2 q.x + |x|^2        one matrix product for a block of queries

That line cancels where q is near x, so it only proposes k rows and a few more; their distances are then taken from the
differences themselves. So a row's result does not depend on its block, and the distance of a row to itself is 0.

Q queries, N rows of data, P numbers in each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array

SPARE = 8  # proposals beyond k: rounding may exchange rows that are equally far


class Neighbours(NamedTuple):
    distances: Array  # (Q, k) Euclidean, ascending, float64
    indices: Array  # (Q, k) int64, into the data; of rows that are equally far, the first


def nearest(queries: Array, data: Array, k: int, *, leave_out_self: bool = False, block: int = 256) -> Neighbours:
    """The k rows of data (N, ...) that are nearest to each query (Q, ...).

    `leave_out_self` is for data against itself: row i is then no neighbour of query i. Raises ValueError where shapes differ,
    there are fewer than k rows (not counting itself), or a value is not finite.
    """
    available = len(data) - leave_out_self
    if queries.shape[1:] != data.shape[1:] or not 0 < k <= available or block < 1:
        raise ValueError(
            f"{k} nearest of {available} rows {data.shape[1:]}, for queries {queries.shape[1:]}, blocks of {block}"
        )
    if leave_out_self and len(queries) != len(data):
        raise ValueError(f"leave_out_self needs queries that are the data, got {len(queries)} and {len(data)} rows")
    P = math.prod(data.shape[1:])
    data, queries = data.reshape(-1, P), queries.reshape(-1, P)
    if not (np.isfinite(data).all() and np.isfinite(queries).all()):
        raise ValueError("nearest: a value is not finite")
    origin = data.mean(0)  # smaller numbers, less to cancel
    x, q = data - origin, queries - origin  # (N, P), (Q, P)
    x_squares = np.einsum("np,np->n", x, x)
    proposed = min(available, k + SPARE)

    distances, indices = np.empty((len(q), k)), np.empty((len(q), k), np.int64)
    for start in range(0, len(q), block):
        here = slice(start, min(start + block, len(q)))
        far = x_squares - 2 * (q[here] @ x.T)  # (B, N), but for |q|^2, which changes no order
        if leave_out_self:
            far[np.arange(len(far)), np.arange(here.start, here.stop)] = np.inf
        rows = np.argpartition(far, proposed - 1, 1)[:, :proposed]
        rows.sort(1)
        for i, near in enumerate(rows, start):
            exact = np.square(np.subtract(data[near], queries[i], dtype=np.float64)).sum(1)
            order = np.argsort(exact, kind="stable")[:k]
            distances[i], indices[i] = np.sqrt(exact[order]), near[order]
    return Neighbours(distances, indices)

"""What resampling does along one axis, as a table: which numbers go into each, with which weights.

    y[i] = sum over e from starts[i] to starts[i + 1] of  weights[e] x[sources[e]]

Upsampling by either kind, the mean of windows, and the transpose of each are such a table for the rows and one for the columns,
so that one kernel does all six.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minigen.backend import Array


class Axis(NamedTuple):
    """A matrix by rows, without its zeros: n numbers from m, E weights."""

    starts: Array  # (n + 1,) uint64
    sources: Array  # (E,) uint64
    weights: Array  # (E,)


@lru_cache(maxsize=64)
def upsampled(kind: str, n: int, f: int, transposed: bool, dtype: Any) -> Axis:
    """n pixels that become f n, or the other way."""
    at = np.arange(f * n)
    if kind == "nearest":
        return _axis(at, at // f, np.ones(f * n), (f * n, n), transposed, dtype)
    d = (at % f + 0.5) / f - 0.5
    neighbour = np.clip(at // f + np.where(d < 0, -1, 1), 0, n - 1)
    weights = np.concatenate([1 - abs(d), abs(d)])
    return _axis(np.tile(at, 2), np.concatenate([at // f, neighbour]), weights, (f * n, n), transposed, dtype)


@lru_cache(maxsize=64)
def averaged(n: int, out: int, kernel: int, stride: int, padding: int, transposed: bool, dtype: Any) -> Axis:
    """`out` windows of n pixels."""
    to, tap = (index.reshape(-1) for index in np.indices((out, kernel)))
    source = to * stride + tap - padding
    met = (source >= 0) & (source < n)
    return _axis(to[met], source[met], np.full(met.sum(), 1 / kernel), (out, n), transposed, dtype)


def _axis(to: Array, source: Array, weights: Array, sizes: tuple[int, int], transposed: bool, dtype: Any) -> Axis:
    if transposed:
        to, source, sizes = source, to, sizes[::-1]
    order = np.argsort(to, kind="stable")
    starts = np.searchsorted(to[order], np.arange(sizes[0] + 1))
    return Axis(starts.astype(np.uint64), source[order].astype(np.uint64), weights[order].astype(dtype))

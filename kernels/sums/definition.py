"""Sums over rows, and of products along them, plainly.

    over_rows    sum[b, c] = sum over r of x[b, r, c]
    products     sum[r] = sum over d of a[r, d] b[r, d]
    inner        the sum over all places of a b

Legend: B, R, C sizes. x (B, R, C), the sums (B, C). Of products R rows of D numbers: a, b (R, D), the sums (R,).
"""

from __future__ import annotations

from typing import Any

from minigen.backend import Array


def over_rows(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums over R."""
    return written(x.sum(1), out, accumulate)


def products(a: Array, b: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The inner products."""
    return written((a * b).sum(1), out, accumulate)


def inner(a: Array, b: Array) -> Any:
    """The inner product of all numbers."""
    return (a * b).sum()


def written(total: Array, out: Array | None, accumulate: bool) -> Array:
    """The sums where they belong."""
    if out is None:
        return total
    if accumulate:
        out += total
    else:
        out[...] = total
    return out

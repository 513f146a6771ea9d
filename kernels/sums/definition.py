"""Sums over rows, plainly.

    sum[b, c] = sum over r of x[b, r, c]

Legend: B, R, C sizes. x (B, R, C), the sums (B, C).
"""

from __future__ import annotations

from minigen.backend import Array


def over_rows(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sums over R."""
    total = x.sum(1)
    if out is None:
        return total
    if accumulate:
        out += total
    else:
        out[...] = total
    return out

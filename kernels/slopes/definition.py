"""What is paid for slopes, plainly: with |g_n| the norm of row n,

    rule              f(|g_n|)         its gradient by g_n
    half_square       |g_n|^2 / 2      g_n
    squared_excess    (|g_n| - 1)^2    2 (1 - 1 / |g_n|) g_n, and 0 where g_n = 0

    value = weight sum f(|g_n|) / N        dg = scale weight f' / N

|g| has no derivative at 0; 0 is one of its subgradients. Whether a norm is 0 is asked of the real part.

Legend: N rows of M numbers. g, dg (N, M).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array

RULES = ("half_square", "squared_excess")


def paid(rule: str, g: Array, *, weight: float = 1.0, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dg)."""
    squares = (g.astype(np.result_type(g.dtype, np.float64)) ** 2).sum(1, keepdims=True)  # (N, 1)
    share = scale * weight / len(g)
    if rule == "half_square":
        return weight * squares.sum() / (2 * len(g)), share * g
    n = np.sqrt(squares)
    bend = 2 * share * (1 - 1 / np.where(n.real == 0, 1, n))
    return weight * ((n - 1) ** 2).sum() / len(g), g * bend.astype(g.dtype)

"""What is paid for the slopes of a network, a mean over rows of a rule on their norms, with its gradient: one pass each row."""

from __future__ import annotations

import math
from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder
from .definition import RULES

__all__ = ["RULES", "paid"]

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def paid(rule: str, g: Array, *, weight: float = 1.0, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dg): `weight` times the mean of f(|g_n|) over the rows of g (N, ...), and `scale` times its gradient.

    `rule` is one of RULES; |g_n| is the norm over all axes but the first. The value is summed in float64, complex where g is;
    on a GPU it stays there, an array without axes. Raises ValueError on an unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule on slopes {rule!r}: choose one of {', '.join(RULES)}")
    arguments.same_kind("slopes", g=g)
    rows = g.reshape(len(g), math.prod(g.shape[1:]))
    value, dg = LADDER.choose(g.size, g).paid(rule, rows, weight=weight, scale=scale)
    return value, dg.reshape(g.shape)

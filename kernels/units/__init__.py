"""Binary units that do not see each other, given what they are told: how likely each is on, and all their states summed out."""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: units of all rows


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U) = s(a + bias), s the sigmoid, in a new array. a (N, U), bias (U,).

    Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    p: Array = _rung("units.probabilities", a, bias).probabilities(a, bias)
    return p


def summed_out(a: Array, bias: Array) -> tuple[Array, Array]:
    """-> p (N, U) = s(a + bias), and (N,) the sums of log(1 + e^(a + bias)) over a row, in nats. It raises as above."""
    both: tuple[Array, Array] = _rung("units.summed_out", a, bias).summed_out(a, bias)
    return both


def _rung(operation: str, a: Array, bias: Array) -> Any:
    if a.ndim != 2 or bias.shape != a.shape[1:]:
        raise ValueError(f"{operation}: a {a.shape} must be (N, U) and bias {bias.shape} (U,): a number for each unit")
    arguments.same_kind(operation, a=a, bias=bias)
    return LADDER.choose(a.size, a, bias)

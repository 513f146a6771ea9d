"""Binary units that do not see each other: how likely each is on, given what it is told, and all their states summed out."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: units of all rows


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U) = s(a + bias), s the sigmoid, in a new array. a (N, U), bias (U,).

    Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check("units.probabilities", a, bias)
    arguments.same_kind("units.probabilities", a=a, bias=bias)
    p: Array = LADDER.choose(a.size, a, bias).probabilities(a, bias)
    return p


def free_energy(v: Array, b: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """-> F (N,) = -v b - sum log(1 + e^(a + c)) over a row, in nats, and p (N, U) = s(a + c): the units summed out.

    v (N, V) are other units, which have the biases b (V,) and tell ours a (N, U); ours have c (U,). It raises as above.
    """
    _check("units.free_energy", a, c)
    if v.ndim != 2 or len(v) != len(a) or b.shape != v.shape[1:]:
        raise ValueError(f"units.free_energy: v {v.shape} must be (N, V) with the rows of a {a.shape}, and b {b.shape} (V,)")
    arguments.same_kind("units.free_energy", v=v, b=b, a=a, c=c)
    both: tuple[Array, Array] = LADDER.choose(v.size + a.size, v, b, a, c).free_energy(v, b, a, c)
    return both


def _check(operation: str, a: Array, bias: Array) -> None:
    if a.ndim != 2 or bias.shape != a.shape[1:]:
        raise ValueError(f"{operation}: a {a.shape} must be (N, U) and its bias {bias.shape} (U,): a number for each unit")

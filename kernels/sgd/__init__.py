"""A step of gradient descent with momentum for a flat vector of parameters, in place."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 14)  # work: parameters


def step(theta: Array, grad: Array, v: Array | None, *, rate: float, momentum: float) -> None:
    """v = momentum v + grad and theta -= rate v, in place; where v is None theta -= rate grad, and `momentum` is not looked at.

    Shapes: all (P,). Raises ValueError on shapes that differ, TypeError on dtypes that differ.
    """
    arrays = {"theta": theta, "grad": grad} | ({} if v is None else {"v": v})
    arguments.check_ndim("sgd", 1, **arrays)
    arguments.check_equal_shapes("sgd", **arrays)
    arguments.same_kind("sgd", **arrays)
    arguments.check_equal_dtypes("sgd", **arrays)
    LADDER.choose(theta.size, *arrays.values()).step(theta, grad, v, rate=rate, momentum=momentum)

"""One step of a running average of parameters towards them, in place."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 14)  # work: parameters


def step(average: Array, theta: Array, share: float) -> None:
    """average += share (theta - average), in place; both (P,).

    Raises ValueError on shapes that differ, TypeError on dtypes that differ.
    """
    arguments.check_ndim("average", 1, average=average, theta=theta)
    arguments.check_equal_shapes("average", average=average, theta=theta)
    arguments.same_kind("average", average=average, theta=theta)
    arguments.check_equal_dtypes("average", average=average, theta=theta)
    LADDER.choose(theta.size, average, theta).step(average, theta, share)

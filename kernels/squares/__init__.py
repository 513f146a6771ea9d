"""The mean squared error with its gradient, in one pass."""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def loss(y: Array, target: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dy): the mean of (y - target)^2 over all elements, and `scale` times its gradient. Both of any one shape.

    The value is summed in float64, complex where an argument is; on a GPU it stays there, an array without axes.
    Raises ValueError on shapes that differ, TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("squares", y=y, target=target)
    arguments.same_kind("squares", y=y, target=target)
    result: tuple[Any, Array] = LADDER.choose(y.size, y, target).loss(y, target, scale=scale)
    return result

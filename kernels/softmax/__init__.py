"""Softmax over the last axis, and its gradient: one pass over memory each way."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 12)  # work: elements


def forward(x: Array) -> Array:
    """y (..., K), positive and with sum 1 over the last axis, of x (..., K)."""
    arguments.same_kind("softmax.forward", x=x)
    y: Array = LADDER.choose(x.size, x).forward(x)
    return y


def gradient(dy: Array, y: Array) -> Array:
    """dx = y (dy - <dy, y>), all (..., K), <dy, y> a sum over the last axis; with a tangent in place of dy it is y_dot.

    Raises ValueError on shapes that differ, TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("softmax.gradient", dy=dy, y=y)
    arguments.same_kind("softmax.gradient", dy=dy, y=y)
    dx: Array = LADDER.choose(y.size, dy, y).gradient(dy, y)
    return dx

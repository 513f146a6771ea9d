"""The gated unit tanh(a) s(b), a and b the halves of a row, and its gradient: one pass over memory each way.

The way back takes x, and makes tanh and s again. Kept in place of x they would be as much memory, but forward would have to
write them: 12 bytes a number there and 20 back, instead of 20 and 20.
"""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder
from .definition import gates

__all__ = ["forward", "gates", "gradient"]

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: numbers that come out


def forward(x: Array) -> Array:
    """y = tanh(a) s(b), (..., C), of x = (a | b), (..., 2 C), s the sigmoid. Raises ValueError on an odd last axis."""
    if x.ndim < 1 or x.shape[-1] % 2:
        raise ValueError(f"gated.forward: x {x.shape} must be (..., 2 C): its last axis holds two halves")
    arguments.same_kind("gated.forward", x=x)
    y: Array = LADDER.choose(x.size // 2, x).forward(x)
    return y


def gradient(dy: Array, x: Array) -> Array:
    """dx = (dy (1 - tanh^2 a) s(b) | dy tanh(a) s(b) (1 - s(b))), (..., 2 C) as x, of dy (..., C).

    Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    if x.ndim < 1 or x.shape != (*dy.shape[:-1], 2 * dy.shape[-1]):
        raise ValueError(f"gated.gradient: x {x.shape} must have two numbers for each of dy {dy.shape}")
    arguments.same_kind("gated.gradient", dy=dy, x=x)
    dx: Array = LADDER.choose(dy.size, dy, x).gradient(dy, x)
    return dx

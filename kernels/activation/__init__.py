"""Activation functions, each number by itself, and their gradients: one pass over memory each way."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder
from .definition import slope

__all__ = ["KINDS", "forward", "gradient", "slope"]

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements

KINDS = ("leaky", "tanh", "sigmoid", "silu", "softplus")


def forward(kind: str, x: Array, *, leak: float = 0.0, out: Array | None = None) -> Array:
    """y = f(x), any shape, in `out` if given: `kind` is one of KINDS, and `leak` the slope of "leaky" below zero.

    Raises ValueError on an unknown kind.
    """
    dtype = arguments.same_kind("activation.forward", x=x)
    arguments.check_out("activation.forward", out, x.shape, dtype)
    y: Array = LADDER.choose(x.size, x).forward(_known(kind), x, leak=leak, out=out)
    return y


def gradient(kind: str, dy: Array, x: Array, *, leak: float = 0.0, out: Array | None = None) -> Array:
    """dx = dy f'(x), of one shape, in `out` if given; with a tangent in place of dy it is y_dot.

    Raises ValueError on an unknown kind and on shapes that differ, TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("activation.gradient", dy=dy, x=x)
    dtype = arguments.same_kind("activation.gradient", dy=dy, x=x)
    arguments.check_out("activation.gradient", out, x.shape, dtype)
    dx: Array = LADDER.choose(x.size, dy, x).gradient(_known(kind), dy, x, leak=leak, out=out)
    return dx


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"unknown activation {kind!r}: choose one of {', '.join(KINDS)}")
    return kind

"""Gradient descent with momentum (Polyak 1964), plainly.

    v = momentum v + grad            theta = theta - rate v            without v: theta = theta - rate grad

Legend: P parameters. theta, grad, v (P,).
"""

from __future__ import annotations

from minigen.backend import Array


def step(theta: Array, grad: Array, v: Array | None, *, rate: float, momentum: float) -> None:
    """Moves theta and v in place."""
    if v is not None:
        v *= momentum
        v += grad
    theta -= rate * (grad if v is None else v)

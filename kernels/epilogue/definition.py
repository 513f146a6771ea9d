"""Bias and leaky ReLU after a product, and the way back, plainly. The formulas are in `__init__.py`.

Legend: R rows, M columns. y, dy, du (R, M), b, db (M,).
"""

from __future__ import annotations

from minigen.backend import Array

from ..activation.definition import step


def finish(y: Array, b: Array | None, *, leak: float = 1.0) -> None:
    """y = f(y + b), in place."""
    if b is not None:
        y += b
    if leak != 1.0:
        y *= step(y, leak)


def back(dy: Array, y: Array, *, leak: float, sums: bool = True) -> tuple[Array, Array | None]:
    """du = dy f'(u), and its sums."""
    du = dy * step(y, leak)
    return du, du.sum(0) if sums else None

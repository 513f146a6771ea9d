"""What comes after a product: a bias for every column and a leaky ReLU, in place; and the way back through both.

    y = f(u), u = product + b             du = dy f'(u), db = sum of du over the rows

f is u where u > 0, else leak u: leak = 0 is a ReLU, leak = 1 no activation. Rows lie as (R, M). Leaks are at least 0: y then
has u's sign, and the way back needs y alone.
"""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def finish(y: Array, b: Array | None, *, leak: float = 1.0) -> None:
    """y (R, M), contiguous, becomes f(y + b), with b (M,) or none. ValueError where b does not fit or leak is negative."""
    arguments.check_ndim("epilogue.finish", 2, y=y)
    _check_leak("epilogue.finish", leak)
    if b is None:
        if leak == 1.0:
            return
        arguments.same_kind("epilogue.finish", y=y)
    else:
        if b.shape != y.shape[1:]:
            raise ValueError(f"epilogue.finish: b {b.shape} does not fit the columns of y {y.shape}")
        arguments.same_kind("epilogue.finish", y=y, b=b)
    arguments.check_out("epilogue.finish", y, y.shape, y.dtype)
    LADDER.choose(y.size, y).finish(y, b, leak=leak)


def back(dy: Array, y: Array | None, *, leak: float = 1.0, sums: bool = True) -> tuple[Array, Array | None]:
    """du (R, M) and, with `sums`, db (M,), from dy and y (R, M). With leak = 1 du is dy itself, and y may be None."""
    arguments.check_ndim("epilogue.back", 2, dy=dy)
    _check_leak("epilogue.back", leak)
    if leak != 1.0:
        if y is None:
            raise ValueError("epilogue.back: with an activation it needs y, what finish made")
        arguments.check_equal_shapes("epilogue.back", dy=dy, y=y)
        arguments.same_kind("epilogue.back", dy=dy, y=y)
    elif not sums:
        return dy, None
    rung = LADDER.choose(dy.size, dy) if y is None or leak == 1.0 else LADDER.choose(dy.size, dy, y)
    found: tuple[Array, Array | None] = rung.back(dy, y, leak=leak, sums=sums)
    return found


def _check_leak(operation: str, leak: float) -> None:
    if not leak >= 0:
        raise ValueError(f"{operation}: leak={leak:g} hides the sign of u: at least 0 is needed")

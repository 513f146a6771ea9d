"""Sums in an order that depends on sizes alone.

Over rows, which is the gradient of what was added to every row, a bias or a shift; and of the products along two rows.
"""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def over_rows(x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """x (R, C) -> (C,), or (B, R, C) -> (B, C): the sums over R, in `out` if given; with `accumulate`, out += the sums.

    Raises ValueError on other shapes, on an `out` that does not fit, and where `accumulate` has no `out` to add to.
    """
    if x.ndim not in (2, 3):
        raise ValueError(f"sums.over_rows: x must be (R, C) or (B, R, C), got shape {x.shape}: reshape it")
    if accumulate and out is None:
        raise ValueError("sums.over_rows: accumulate=True adds into out: pass out=")
    dtype = arguments.same_kind("sums.over_rows", x=x)
    arguments.check_out("sums.over_rows", out, (*x.shape[:-2], x.shape[-1]), dtype)
    rung = LADDER.choose(x.size, x)
    if x.ndim == 3:
        of_each: Array = rung.over_rows(x, out=out, accumulate=accumulate)
        return of_each
    of_all: Array = rung.over_rows(x[None], out=None if out is None else out[None], accumulate=accumulate)
    return of_all[0] if out is None else out


def products(a: Array, b: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """a, b (R, D) -> (R,): the inner products of their rows, in `out` if given; with `accumulate`, out += them.

    Raises ValueError on shapes that differ, on an `out` that does not fit, and where `accumulate` has no `out` to add to;
    TypeError on mixed precisions.
    """
    arguments.check_ndim("sums.products", 2, a=a, b=b)
    arguments.check_equal_shapes("sums.products", a=a, b=b)
    if accumulate and out is None:
        raise ValueError("sums.products: accumulate=True adds into out: pass out=")
    arguments.check_out("sums.products", out, a.shape[:1], arguments.same_kind("sums.products", a=a, b=b))
    found: Array = LADDER.choose(a.size, a, b).products(a, b, out=out, accumulate=accumulate)
    return found


def inner(a: Array, b: Array) -> Any:
    """<a, b>, the sum of all products of two arrays of one shape, in their precision; on a GPU it stays there, without axes.

    Raises ValueError on shapes that differ, TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("sums.inner", a=a, b=b)
    arguments.same_kind("sums.inner", a=a, b=b)
    return LADDER.choose(a.size, a, b).inner(a, b)

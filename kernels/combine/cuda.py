"""Sums of products and arrays side by side on a GPU, in CUDA C (`products.cu`, `beside.cu`). Formulas: `definition.py`.

Against the definition: one pass for up to four terms, and views are read where they lie.

Legend: R axes of a walk, T terms of a pass. The table (2 + 2 T, R) of a walk is made once, and stays on the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from minigen.backend import Array, empty_like, resident

from ..cuda.launch import each
from .term import Product
from .walk import AT_ONCE, Walk, passes, rows_apart, walk_of

FOURS = 4


def add(products: Sequence[Product], out: Array) -> None:
    """Fills out."""
    for terms in passes(products, out):
        views = [view for one in terms for view in (one.x, one.w)]
        walk = walk_of(out.shape, out, *(view for view in views if view is not None))
        present = iter(walk.steps[1:])
        none = (0,) * len(walk.sizes)
        walk = Walk(walk.sizes, (walk.steps[0], *(none if view is None else next(present) for view in views)))
        absent = [None] * (2 * (AT_ONCE - len(terms)))
        factors = [one.f for one in terms] + [0] * (AT_ONCE - len(terms))
        wide = FOURS if _in_fours(walk) else 1
        table = resident(_table(walk), out)
        sizes = table, len(walk.sizes), out.size, wide
        each("combine/products.cu", "combine_add", out.size // wide, out, *views, *absent, *factors, *sizes, TERMS=len(terms))


@cache
def _table(walk: Walk) -> Array:
    """(2 + 2 T, R)."""
    return np.array([walk.sizes, *walk.steps], np.int32)


@cache
def _in_fours(walk: Walk) -> bool:
    """Whether four neighbours along the last axis are four neighbours in memory, or one number, of every view."""
    steps = [step for view in walk.steps for step in view[:-1] if view[-1]]
    return walk.steps[0][-1] == 1 and all(view[-1] in (0, 1) for view in walk.steps) and _are_fours(walk.sizes[-1], *steps)


def _are_fours(*numbers: int) -> bool:
    return all(n % FOURS == 0 for n in numbers)


def concatenate(parts: Sequence[Array], axis: int, out: Array) -> None:
    """Fills out."""
    columns = math.prod(out.shape[axis:])
    rows, begin = out.reshape(-1, columns), 0
    for first in range(0, len(parts), AT_ONCE):
        some = [_without_gaps(x, axis) for x in parts[first : first + AT_ONCE]]
        widths = [math.prod(x.shape[axis:]) for x in some]
        apart = [rows_apart(x, axis) or 0 for x in some]
        absent = AT_ONCE - len(some)
        numbers = (*widths, *[0] * absent, columns, *apart, *[0] * absent)
        there = rows[:, begin : begin + sum(widths)]
        wide = FOURS if _are_fours(*numbers) else 1
        each(
            "combine/beside.cu",
            "combine_beside",
            there.size // wide,
            there,
            *some,
            *[None] * absent,
            *numbers,
            there.size,
            wide,
        )
        begin += sum(widths)


def _without_gaps(x: Array, axis: int) -> Array:
    """x, whose rows from `axis` on lie without gaps, or a copy that does."""
    if rows_apart(x, axis) is not None:
        return x
    copy = empty_like(x)
    add([Product(1, x)], copy)
    return copy

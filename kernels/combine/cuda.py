"""Sums of products and arrays side by side on a GPU, in CUDA C (`products.cu`, `beside.cu`). Formulas: `definition.py`.

Against the definition: one pass for up to four terms, and views are read where they lie.

Legend: R axes of a walk, T terms of a pass. The table (2 + 2 T, R) of a walk is made once, and stays on the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from minigen.backend import Array, Shape, empty, empty_like, resident

from ..cuda.launch import each
from .term import Product, Term, product_of
from .walk import Walk, rows_apart, walk_of

AT_ONCE = 4  # terms of one pass, and parts
FOURS = 4


def add(*terms: Term, out: Array | None = None) -> Array:
    """The sum."""
    products = [product_of(term) for term in terms]
    if out is None:
        arrays = [x for one in products for x in (one.x, one.w) if x is not None]
        out = empty(np.broadcast_shapes(*(x.shape for x in arrays)), like=arrays[0])
    elif len(products) > AT_ONCE:
        return add(add(*products), out=out)  # a later pass may read it
    _pass(products[:AT_ONCE], out)
    for begin in range(AT_ONCE, len(products), AT_ONCE - 1):
        _pass([Product(1, out), *products[begin : begin + AT_ONCE - 1]], out)
    return out


def _pass(products: Sequence[Product], out: Array) -> None:
    views = [view for one in products for view in (one.x, one.w)]
    walk = walk_of(out.shape, out, *views)
    absent, wide = AT_ONCE - len(products), FOURS if _in_fours(walk) else 1
    factors = *(one.f for one in products), *[0] * absent
    arrays = out, *views, *[None] * (2 * absent)
    sizes = resident(_table(walk), out), len(walk.sizes), out.size, wide
    each("combine/products.cu", "combine_add", out.size // wide, *arrays, *factors, *sizes, TERMS=len(products))


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


def concatenate(parts: Sequence[Array], axis: int = 0) -> Array:
    """The parts along one axis."""
    like, axis = parts[0], axis % parts[0].ndim
    whole = empty(_with(like.shape, axis, sum(x.shape[axis] for x in parts)), like=like)
    _beside("combine_beside", whole, [_without_gaps(x, axis) for x in parts], axis)
    return whole


def split(x: Array, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    """The parts, none of them a view."""
    axis = axis % x.ndim
    parts = tuple(empty(_with(x.shape, axis, size), like=x) for size in sizes)
    _beside("combine_apart", _without_gaps(x, axis), [part for part in parts if part.size], axis)
    return parts


def _beside(kernel: str, whole: Array, parts: Sequence[Array], axis: int) -> None:
    """All parts, AT_ONCE in a launch: the columns of the whole that they are, beside each other."""
    begin = 0
    for first in range(0, len(parts), AT_ONCE):
        some = parts[first : first + AT_ONCE]
        absent, length = AT_ONCE - len(some), sum(x.shape[axis] for x in some)
        there = whole[(slice(None),) * axis + (slice(begin, begin + length),)]
        begin += length
        widths = [math.prod(x.shape[axis:]) for x in some]
        numbers = *widths, *[0] * absent, _apart(whole, axis), *(_apart(x, axis) for x in some), *[0] * absent
        n, wide = there.size, FOURS if _are_fours(*numbers) else 1
        each("combine/beside.cu", kernel, n // wide, there, *some, *[None] * absent, *numbers, n, wide)


def _apart(x: Array, axis: int) -> int:
    return rows_apart(x, axis) or 0


def _with(shape: Shape, axis: int, size: int) -> Shape:
    """The shape with another size along an axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def _without_gaps(x: Array, axis: int) -> Array:
    """x, whose rows from `axis` on lie without gaps, or a copy that does."""
    if rows_apart(x, axis) is not None:
        return x
    return add(x, out=empty_like(x))

"""Sums of products, and arrays side by side, plainly.

    y = sum over k of f_k w_k x_k           f a number, w and x arrays that are broadcast

Every linear map of arrays that a network's wiring knows is one: a sum of branches, a difference, a shift of channels, a sample
a x + s eps of a diffusion, a gradient step. In exact arithmetic the order does not matter; here terms are added from first to
last.

Legend: y any shape, x and w of shapes that are broadcast to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from minigen.backend import Array, array_module, empty

from .term import Product, Term, product_of


def add(*terms: Term, out: Array | None = None) -> Array:
    """The sum."""
    products = [product_of(term) for term in terms]
    values = [_value(one) for one in products]
    total = values[0]
    for value in values[1:-1]:
        total = total + value
    if len(values) > 1:
        return np.add(total, values[-1], out=out)
    if out is None:
        return total.copy() if total is products[0].x else total
    out[...] = total
    return out


def _value(one: Product) -> Any:
    """f w x."""
    x = one.x if one.w is None else one.w * one.x
    return x if one.f == 1 else one.f * x


def split(x: Array, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    """Views."""
    return tuple(np.split(x, list(accumulate(sizes))[:-1], axis))


def concatenate(parts: Sequence[Array], axis: int = 0) -> Array:
    """The parts along one axis."""
    first = parts[0]
    shape = list(first.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    whole = empty(tuple(shape), np.result_type(*(part.dtype for part in parts)), like=first)
    return array_module(first).concatenate(parts, axis, out=whole)

"""Sums of products, and arrays side by side, plainly.

    y = sum over k of f_k w_k x_k           f a number, w and x arrays that are broadcast

Every linear map of arrays that a network's wiring knows is one: a sum of branches, a difference, a shift of channels, a sample
a x + s eps of a diffusion, a gradient step. In exact arithmetic the order does not matter; here terms are added from first to
last.

Legend: y any shape, x and w of shapes that are broadcast to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.backend import Array, array_module

from .term import Product


def add(products: Sequence[Product], out: Array) -> None:
    """Fills out."""
    total = _value(products[0])
    for one in products[1:-1]:
        total = total + _value(one)
    if len(products) == 1:
        out[...] = total
    else:
        np.add(total, _value(products[-1]), out=out)


def _value(one: Product) -> Any:
    """f w x."""
    x = one.x if one.w is None else one.w * one.x
    return x if one.f == 1 else one.f * x


def concatenate(parts: Sequence[Array], axis: int, out: Array) -> None:
    """Fills out."""
    array_module(out).concatenate(parts, axis, out=out)

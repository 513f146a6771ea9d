"""A term of a sum: an array, or a tuple whose entries are multiplied."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigen.backend import Array

Term: TypeAlias = Any  # an array, or a tuple: the product of its entries, numbers and one or two arrays


class Product(NamedTuple):
    """What a term says: f w x."""

    f: Any  # a number
    x: Array
    w: Array | None = None  # 1


def product_of(term: Term) -> Product:
    """Numbers together, arrays apart. Raises ValueError where a term has no array, or more than two."""
    if isinstance(term, Product):
        return term
    if not isinstance(term, tuple):
        return Product(1, term)
    f: Any = 1
    arrays = []
    for one in term:
        if hasattr(one, "dtype") and not isinstance(one, np.generic):
            arrays.append(one)
        else:
            f = f * (one.item() if isinstance(one, np.generic) else one)
    if not 1 <= len(arrays) <= 2:
        raise ValueError(
            f"combine.add: a term is the product of numbers and of one or two arrays, and one has {len(arrays)}: "
            "multiply some of them before the call"
        )
    return Product(f, *reversed(arrays))

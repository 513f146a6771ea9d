"""Sums of products, arrays side by side, and copies without gaps: what stands between the layers of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.backend import Array, empty_like

from .. import arguments
from ..dispatch import Ladder
from .term import Term, product_of

# Work: numbers of the result. On a CPU NumPy's sums and copies are as fast as memory: there is no rung of Numba.
LADDER = Ladder(__name__, numba="definition", numba_from=1)


def add(*terms: Term, out: Array | None = None) -> Array:
    """y = the sum of one or more terms, broadcast to one shape, in a new array or in `out`.

    A term is an array, or a tuple whose entries are multiplied: numbers, and one or two arrays. So `add(x, z)` is x + z,
    `add((a, x), (s, eps))` is a x + s eps, whether a and s are numbers or arrays such as (N, 1, 1, 1), and `add((-1, e, x), z)`
    is z - e x. Views with gaps are read where they lie. `out` may be such a view, and one of the terms; an array that shares
    memory with `out` must be the very same view.
    Raises ValueError on shapes that do not fit and on a product of no array or of three, TypeError on mixed precisions.
    """
    try:
        quickly = _at_once(terms, out)
    except ValueError:  # of shapes: what follows says which
        quickly = None
    if quickly is not None:
        return quickly
    products = [product_of(term) for term in terms]
    arrays = [x for one in products for x in (one.x, one.w) if x is not None]
    dtype = arguments.same_kind("combine.add", **{f"array {i}": x for i, x in enumerate(arrays)})
    try:
        shape = np.broadcast_shapes(*(x.shape for x in arrays))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in arrays)
        raise ValueError(f"combine.add: shapes {shapes} cannot be broadcast together: reshape one before the call") from None
    if out is not None and (out.shape != shape or out.dtype != dtype):
        raise ValueError(f"combine.add: out must be {shape} {dtype}, got {out.shape} {out.dtype}")
    y: Array = LADDER.choose(1, *arrays).add(*products, out=out)
    return y


def _at_once(terms: tuple[Term, ...], out: Array | None) -> Array | None:
    """The sum, of NumPy's arrays of one type: most are that on a CPU, and small. None where there is more to ask."""
    total: Any = None
    dtype: Any = None
    for i, term in enumerate(terms, 1):
        value: Any = None
        arrays = 0
        for one in term if type(term) is tuple else (term,):
            if type(one) is np.ndarray:
                if dtype is None:
                    dtype = one.dtype
                if one.dtype is not dtype or dtype.kind not in "fc":
                    return None
                arrays += 1
            elif isinstance(one, np.generic):
                one = one.item()  # it must not decide the precision
            elif type(one) is not float and type(one) is not int:
                return None
            value = one if value is None else value * one
        if arrays == 0 or arrays > 2:
            return None
        if total is None:
            total = value
        elif out is None or i < len(terms):
            total = total + value
        elif out.dtype is dtype and (out.shape == total.shape or out.shape == value.shape):
            return np.add(total, value, out=out)
        else:
            return None
    if out is not None:
        return None
    alone = len(terms) == 1 and (type(terms[0]) is not tuple or len(terms[0]) == 1)
    return total.copy() if alone else total


def concatenate(parts: Sequence[Array], axis: int = 0) -> Array:
    """The parts, one or more, one after the other along `axis`. Raises ValueError where they differ in another axis."""
    if type(parts[0]) is not np.ndarray:  # NumPy's own says it
        axis = axis % parts[0].ndim
        if len({(*x.shape[:axis], *x.shape[axis + 1 :]) for x in parts}) > 1:
            shapes = ", ".join(str(x.shape) for x in parts)
            raise ValueError(f"concatenate: shapes {shapes} differ in another axis than {axis}")
    whole: Array = LADDER.choose(1, *parts).concatenate(parts, axis)
    return whole


def split(x: Array, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    """The parts of x along `axis`, of these sizes: views of x where that costs nothing, and on a GPU copies without gaps.

    Raises ValueError where the sizes do not add up to that axis.
    """
    if sum(sizes) != x.shape[axis]:
        raise ValueError(f"split: x {x.shape} has {x.shape[axis]} along axis {axis}, and the sizes {tuple(sizes)} another sum")
    parts: tuple[Array, ...] = LADDER.choose(1, x).split(x, sizes, axis)
    return parts


def contiguous(x: Array) -> Array:
    """`x` itself where it is C-contiguous, else a copy in memory from the allocator."""
    if x.flags.c_contiguous:
        return x
    made = empty_like(x)
    copy(x, made)
    return made


def copy(x: Array, out: Array) -> None:
    """out = x, both of any type, and `out` a view that x is broadcast to."""
    if type(out) is np.ndarray:
        out[...] = x
    else:
        LADDER.choose(1, out, x).add(x, out=out)

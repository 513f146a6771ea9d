"""How a kernel walks through views of one shape: few axes, and for each view how far apart neighbours along them lie.

A contiguous array of any shape is one axis to walk along. So are neighbouring axes that all views go through as if they were
one, and axes of length 1 are none. What is left decides: a sum of branches is one axis, half of each row two, a shift of the
channels of an image three (rows, positions, channels).

Legend: R axes, V views.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from minigen.backend import Array, Shape


class Walk(NamedTuple):
    """R axes from the outermost to the innermost; one of length 1 where there is none."""

    sizes: Shape  # (R,)
    steps: tuple[Shape, ...]  # (V, R), in numbers; 0 where a view is broadcast


def walk_of(shape: Shape, *views: Array | None) -> Walk:
    """The walk through views that are broadcast to `shape`; None, a view that is not there, has steps of 0."""
    return _walk(shape, tuple(((), (), 1) if x is None else (x.shape, x.strides, x.itemsize) for x in views))


def rows_apart(x: Array, axis: int) -> int | None:
    """How many numbers lie between rows of x, where a row is all of x's axes from `axis` on; None where it has gaps."""
    rows, row = _one(x, slice(axis)), _one(x, slice(axis, None))
    if len(rows.sizes) > 1 or len(row.sizes) > 1 or (row.sizes[0] > 1 and row.steps[0][0] != 1):
        return None
    return rows.steps[0][0]


def _one(x: Array, axes: slice) -> Walk:
    """Through some axes of x alone."""
    return _walk(x.shape[axes], ((x.shape[axes], x.strides[axes], x.itemsize),))


@cache
def _walk(shape: Shape, views: tuple[tuple[Shape, Shape, int], ...]) -> Walk:
    every = [_steps(shape, *view) for view in views]
    axes: list[tuple[int, Shape]] = []
    for size, *steps in zip(shape, *every, strict=True):
        if size == 1:
            continue
        if axes and all(outer == size * inner for outer, inner in zip(axes[-1][1], steps, strict=True)):
            axes[-1] = (axes[-1][0] * size, tuple(steps))
        else:
            axes.append((size, tuple(steps)))
    axes = axes or [(1, (0,) * len(views))]
    return Walk(tuple(size for size, _ in axes), tuple(zip(*(steps for _, steps in axes), strict=True)))


def _steps(shape: Shape, own: Shape, strides: Shape, itemsize: int) -> list[int]:
    """Of one view, along all axes of `shape`."""
    added = len(shape) - len(own)
    return [0] * added + [0 if size == 1 else step // itemsize for size, step in zip(own, strides, strict=True)]

"""Sum, Concatenate and Split: several arrays into one, and one into several. All are linear maps.

The way back from a sum is a copy for each term, from a concatenation a split, from a split a concatenation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..backend import Array, Shape, zeros
from ..kernels.combine import add, concatenate, split
from .linear_map import LinearMap
from .tree import Tree, leaves


class PartsCache(NamedTuple):
    shapes: tuple[Shape, ...]  # of the parts


class Sum(LinearMap):
    """A tuple of arrays of one shape -> their sum. Raises ValueError where the shapes differ: nothing is broadcast."""

    streams = True

    def fix(self, x: Tree) -> PartsCache:
        shapes = tuple(part.shape for part in x)
        if len(set(shapes)) != 1:
            raise ValueError(f"Sum got arrays of shapes {', '.join(map(str, shapes))}: they must be equal")
        return PartsCache(shapes)

    def there(self, x: Tree, cache: Any) -> Array:
        return add(*x)

    def back(self, dy: Array, cache: Any) -> Tree:
        return (dy,) * len(cache.shapes)


class Concatenate(LinearMap):
    """A tuple of arrays -> one, side by side along `axis`. Raises ValueError where they differ in another axis."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis, self.streams = axis, axis == -1

    def fix(self, x: Tree) -> PartsCache:
        shapes = tuple(part.shape for part in x)
        if len({_at(self.axis, shape, 0) for shape in shapes}) != 1:
            raise ValueError(
                f"Concatenate(axis={self.axis}) got arrays of shapes {', '.join(map(str, shapes))}: all other axes must agree"
            )
        return PartsCache(shapes)

    def there(self, x: Tree, cache: Any) -> Array:
        return concatenate(x, self.axis)

    def back(self, dy: Array, cache: Any) -> Tree:
        return split(dy, [shape[self.axis] for shape in cache.shapes], self.axis)


class Split(LinearMap):
    """An array -> a tuple of its parts along `axis`, of these `sizes`. Raises ValueError where x is not as long as their sum.

    In backward, None stands for a part that nobody used: its gradient is zero.
    """

    def __init__(self, sizes: Iterable[int], axis: int = -1) -> None:
        super().__init__()
        self.sizes, self.axis, self.streams = tuple(sizes), axis, axis == -1

    def fix(self, x: Array) -> PartsCache:
        total = sum(self.sizes)
        if x.shape[self.axis] != total:
            raise ValueError(f"Split({self.sizes}, axis={self.axis}) got x of shape {x.shape}: that axis must be {total}")
        return PartsCache(tuple(_at(self.axis, x.shape, size) for size in self.sizes))

    def there(self, x: Array, cache: Any) -> Tree:
        return split(x, self.sizes, self.axis)

    def back(self, dy: Tree, cache: Any) -> Tree:
        used = next(leaves(dy), None)
        if used is None:
            return None
        parts = zip(dy, cache.shapes, strict=True)
        return concatenate([zeros(shape, used.dtype, like=used) if part is None else part for part, shape in parts], self.axis)


def _at(axis: int, shape: Shape, size: int) -> Shape:
    """`shape` with `size` at `axis`."""
    changed = list(shape)
    changed[axis] = size
    return tuple(changed)

"""Sum, Concatenate and Split: several arrays into one, and one into several. All are linear: each pass is the same few lines.

backward of a sum is a copy to each term, of a concatenation a split, of a split a concatenation.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from ..backend import Array, Shape, zeros
from ..random import Key
from .layer import Layer
from .tree import leaves

Arrays = tuple[Array, ...]


class CombineCache(NamedTuple):
    shapes: tuple[Shape, ...]  # of the parts


class Combine(Layer):
    """The four passes of a linear layer from a tuple to an array, from `there` and `back`."""

    def there(self, parts: Arrays) -> Array:
        """The parts as one array."""
        raise NotImplementedError

    def back(self, dy: Array, cache: CombineCache) -> Arrays:
        """What of dy belongs to each part."""
        raise NotImplementedError

    def forward(self, x: Arrays, *, train: bool = False, key: Key | None = None) -> tuple[Array, CombineCache]:
        return self.there(x), CombineCache(tuple(part.shape for part in x))

    def backward(self, dy: Array, cache: CombineCache, *, need_dx: bool = True, param_grads: bool = True) -> Arrays | None:
        return self.back(dy, cache) if need_dx else None

    def jvp(self, x_dot: Arrays, cache: CombineCache, *, move_params: bool = False) -> tuple[Array, CombineCache]:
        return self.there(x_dot), cache

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: CombineCache,
        tangents: CombineCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Arrays | None, Arrays | None]:
        return (self.back(dy, cache), self.back(dy_dot, cache)) if need_dx else (None, None)


class Sum(Combine):
    """A tuple of arrays of one shape -> their sum. Raises ValueError where the shapes differ: nothing is broadcast."""

    streams = True

    def there(self, parts: Arrays) -> Array:
        if len({part.shape for part in parts}) != 1:
            raise ValueError(f"Sum got arrays of shapes {', '.join(str(part.shape) for part in parts)}: they must be equal")
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def back(self, dy: Array, cache: CombineCache) -> Arrays:
        return (dy,) * len(cache.shapes)


class Concatenate(Combine):
    """A tuple of arrays -> one, side by side along `axis`. Raises ValueError where they differ in another axis."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis, self.streams = axis, axis == -1

    def there(self, parts: Arrays) -> Array:
        shapes = [part.shape for part in parts]
        others = {(*shape[: self.axis], *shape[self.axis :][1:]) for shape in shapes}  # without `axis`
        if len(others) != 1:
            raise ValueError(
                f"Concatenate(axis={self.axis}) got shapes {', '.join(map(str, shapes))}: all other axes must agree"
            )
        return np.concatenate(parts, self.axis)

    def back(self, dy: Array, cache: CombineCache) -> Arrays:
        return _split(dy, [shape[self.axis] for shape in cache.shapes], self.axis)


class SplitCache(NamedTuple):
    shape: Shape  # of x


class Split(Layer):
    """An array -> a tuple of its parts along `axis`, of these `sizes`. Raises ValueError where x is not as long as their sum.

    In backward, None stands for a part that nobody used: its gradient is zero.
    """

    def __init__(self, sizes: tuple[int, ...], axis: int = -1) -> None:
        super().__init__()
        self.sizes, self.axis, self.streams = tuple(sizes), axis, axis == -1

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Arrays, SplitCache]:
        if x.shape[self.axis] != sum(self.sizes):
            raise ValueError(
                f"Split({self.sizes}, axis={self.axis}) got x of shape {x.shape}: that axis must be {sum(self.sizes)}"
            )
        return _split(x, self.sizes, self.axis), SplitCache(x.shape)

    def backward(
        self, dy: tuple[Array | None, ...], cache: SplitCache, *, need_dx: bool = True, param_grads: bool = True
    ) -> Array | None:
        return self._join(dy, cache) if need_dx else None

    def jvp(self, x_dot: Array, cache: SplitCache, *, move_params: bool = False) -> tuple[Arrays, SplitCache]:
        return _split(x_dot, self.sizes, self.axis), cache

    def backward_jvp(
        self,
        dy: tuple[Array | None, ...],
        dy_dot: tuple[Array | None, ...],
        cache: SplitCache,
        tangents: SplitCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        return (self._join(dy, cache), self._join(dy_dot, cache)) if need_dx else (None, None)

    def _join(self, parts: tuple[Array | None, ...], cache: SplitCache) -> Array | None:
        some = next(leaves(parts), None)
        if some is None:
            return None
        filled = []
        for part, size in zip(parts, self.sizes, strict=True):
            shape = list(cache.shape)
            shape[self.axis] = size
            filled.append(zeros(tuple(shape), some.dtype, like=some) if part is None else part)
        return np.concatenate(filled, self.axis)


def _split(x: Array, sizes: list[int] | tuple[int, ...], axis: int) -> Arrays:
    """Views, one of each size."""
    return tuple(np.split(x, list(accumulate(sizes))[:-1], axis))

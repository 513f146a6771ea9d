"""What a coupling keeps and what it moves: x in two parts, by halves of the last axis or by a mask.

    halves    kept = x[..., :h], moved = x[..., h:], h = D // 2; flipped, the second part is kept and the first is moved
    masks     kept = m x, moved = (1 - m) x, both of x's shape; m is 1 where a number is kept

Such a split S is a rearrangement of the numbers, at most with zeros put between them, so that S'S = 1: the transpose of the
split puts the parts together, and each is the way back of the other.

Masks of images are (H, W, C) (Dinh et al. 2017, figure 3): a checkerboard of pixels, or halves of the channels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, Constant, Shape, zeros
from ..kernels.combine import add, concatenate, split
from .linear_map import LinearMap, LinearMapCache
from .tree import Tree, leaves


def checkerboard(shape: Shape, *, flip: bool = False) -> Array:
    """(H, W, C) of bool: kept where row + column is even, or with flip where it is odd."""
    H, W, C = shape
    even = np.add.outer(np.arange(H), np.arange(W)) % 2 == int(flip)  # (H, W)
    return np.repeat(even[..., None], C, -1)


def channel_halves(shape: Shape, *, flip: bool = False) -> Array:
    """(..., C) of bool: the first half of the channels is kept, or with flip the second. The same as `Halves`, as a mask."""
    first = np.arange(shape[-1]) < shape[-1] // 2
    return np.broadcast_to(first ^ flip, shape).copy()


class Halves(LinearMap):
    """x (..., D) -> (kept, moved), the two halves of its last axis; `flip` exchanges their parts. An odd D's middle is in the
    second half. Raises ValueError where D < 2."""

    streams = True

    def __init__(self, *, flip: bool = False) -> None:
        super().__init__()
        self.flip = flip

    def fix(self, x: Array) -> LinearMapCache:
        if x.shape[-1] < 2:
            raise ValueError(f"Halves got x of shape {x.shape}: its last axis must have at least 2 numbers, one to keep")
        return LinearMapCache(x.shape)

    def there(self, x: Array, cache: Any) -> Tree:
        h = x.shape[-1] // 2
        parts = split(x, (h, x.shape[-1] - h))
        return parts[::-1] if self.flip else parts

    def back(self, dy: Tree, cache: Any) -> Array:
        return self.join(dy, cache.shape)

    def join(self, parts: Tree, shape: Shape | None = None) -> Array:
        """S': the parts put together. None stands for zeros, and needs the whole's shape."""
        if shape is not None:
            some = next(leaves(parts))
            rest = (*some.shape[:-1], shape[-1] - some.shape[-1])
            parts = tuple(zeros(rest, some.dtype, like=some) if part is None else part for part in parts)
        return concatenate(parts[::-1] if self.flip else parts, -1)


class Masked(LinearMap):
    """x (N, *mask.shape) -> (m x, (1 - m) x). Raises ValueError where the rows of x have another shape."""

    def __init__(self, mask: Array) -> None:
        super().__init__()
        self.kept = np.asarray(mask, bool)
        self.m, self.rest = Constant(self.kept), Constant(~self.kept)  # of zeros and ones

    def fix(self, x: Array) -> LinearMapCache:
        if x.shape[1:] != self.kept.shape:
            raise ValueError(f"Masked got x of shape {x.shape}: its rows must have the mask's shape {self.kept.shape}")
        return LinearMapCache(x.shape)

    def there(self, x: Array, cache: Any) -> Tree:
        return add((self.m.beside(x), x)), add((self.rest.beside(x), x))

    def back(self, dy: Tree, cache: Any) -> Array:
        return self.join(dy)

    def join(self, parts: Tree) -> Array:
        """S': m kept + (1 - m) moved. None stands for zeros."""
        sides = (self.m, parts[0]), (self.rest, parts[1])
        return add(*((m.beside(part), part) for m, part in sides if part is not None))


class JoinCache(NamedTuple):
    """Nothing: the split knows all."""


class Join(LinearMap):
    """(kept, moved) -> the whole: the transpose of a split."""

    def __init__(self, split: Halves | Masked) -> None:
        super().__init__()
        self.split = split
        self.streams = split.streams

    def fix(self, x: Tree) -> JoinCache:
        return JoinCache()

    def there(self, x: Tree, cache: Any) -> Array:
        return self.split.join(x)

    def back(self, dy: Array, cache: Any) -> Tree:
        return self.split.there(dy, cache)


class Mask(LinearMap):
    """y = m x, with m of the shape of a row."""

    def __init__(self, mask: Array) -> None:
        super().__init__()
        self.mask = Constant(mask)

    def there(self, x: Array, cache: Any) -> Array:
        return add((self.mask.beside(x), x))

    def back(self, dy: Array, cache: Any) -> Array:
        return self.there(dy, cache)

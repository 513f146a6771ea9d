"""Reshape and Flatten: the same numbers in another shape. N batch; backward is the way back, and so is its tangent."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..backend import Array, Shape
from ..random import Key
from .layer import Layer


class ReshapeCache(NamedTuple):
    shape: Shape  # of x


class Reshape(Layer):
    """(N, ...) -> (N, *shape), in memory order; one of the sizes may be -1, what is left. The batch is not part of `shape`.

    Raises ValueError where a row of x has another number of elements.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        if shape.count(-1) > 1 or any(size < -1 for size in shape):
            raise ValueError(f"Reshape{shape}: sizes are at least 0, and one of them may be -1")
        self.shape = shape

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, ReshapeCache]:
        return self._after(x), ReshapeCache(x.shape)

    def backward(self, dy: Array, cache: ReshapeCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return dy.reshape(cache.shape) if need_dx else None

    def jvp(self, x_dot: Array, cache: ReshapeCache, *, move_params: bool = False) -> tuple[Array, ReshapeCache]:
        return self._after(x_dot), cache

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: ReshapeCache,
        tangents: ReshapeCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        return (dy.reshape(cache.shape), dy_dot.reshape(cache.shape)) if need_dx else (None, None)

    def _after(self, x: Array) -> Array:
        row = math.prod(x.shape[1:])  # counted by hand: NumPy cannot tell what -1 is in an empty batch
        known = math.prod(size for size in self.shape if size != -1)
        rest = row // known if known else 0
        shape = tuple(rest if size == -1 else size for size in self.shape)
        if math.prod(shape) != row:
            raise ValueError(f"{type(self).__name__}{self.shape} got x of shape {x.shape}, with {row} elements a row")
        return x.reshape(len(x), *shape)


class Flatten(Reshape):
    """(N, ...) -> (N, D): all axes but the first in one."""

    def __init__(self) -> None:
        super().__init__(-1)

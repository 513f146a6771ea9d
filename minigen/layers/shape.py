"""Reshape and Flatten: the same numbers in another shape. N batch; the way back is a reshape too."""

from __future__ import annotations

import math
from typing import Any

from ..backend import Array
from .linear_map import LinearMap


class Reshape(LinearMap):
    """(N, ...) -> (N, *shape), in memory order; one of the sizes may be -1, what is left. The batch is not part of `shape`.

    Raises ValueError where a row of x has another number of elements.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        if shape.count(-1) > 1 or any(size < 1 and size != -1 for size in shape):
            raise ValueError(f"Reshape{shape}: sizes are at least 1, and one of them may be -1")
        self.shape = shape

    def there(self, x: Array, cache: Any) -> Array:
        row = math.prod(x.shape[1:])  # counted by hand: NumPy cannot tell what -1 is in an empty batch
        rest = row // math.prod(size for size in self.shape if size != -1)
        shape = tuple(rest if size == -1 else size for size in self.shape)
        if math.prod(shape) != row:
            raise ValueError(f"{type(self).__name__}{self.shape} got x of shape {x.shape}, with {row} elements a row")
        return x.reshape(len(x), *shape)

    def back(self, dy: Array, cache: Any) -> Array:
        return dy.reshape(cache.shape)


class Flatten(Reshape):
    """(N, ...) -> (N, D): all axes but the first in one."""

    def __init__(self) -> None:
        super().__init__(-1)

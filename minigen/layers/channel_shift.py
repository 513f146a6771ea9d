"""ChannelShift: one number a row and channel, added at every position: how a time enters a network of images.

    y_npc = x_npc + s_nc            back: dx = dy, ds_nc = sum over positions p of dy_npc

N batch, C channels; "..." the positions: H, W of an image, T of a sequence, or none.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, Shape
from ..kernels.combine import add
from ..kernels.sums import over_rows
from .linear_map import LinearMap


class ChannelShiftCache(NamedTuple):
    shape: Shape  # of x


class ChannelShift(LinearMap):
    """x (N, ..., C), s (N, C) -> x + s, (N, ..., C). Raises ValueError where s is not (N, C)."""

    def fix(self, x: tuple[Array, Array]) -> ChannelShiftCache:  # type: ignore[override]
        there, shift = x[0].shape, x[1].shape
        if len(there) < 2 or shift != (there[0], there[-1]):
            raise ValueError(f"ChannelShift got x of shape {there} and s of shape {shift}: it takes (N, ..., C) and (N, C)")
        return ChannelShiftCache(there)

    def there(self, x: tuple[Array, Array], cache: ChannelShiftCache) -> Array:  # type: ignore[override]
        return add(x[0], np.expand_dims(x[1], positions(cache.shape)))

    def stream(self, batch: int, width: int | None = None) -> None:
        return None  # the shift is the same at every position

    def advance(self, x_t: tuple[Array, Array], memory: None) -> Array:
        return self.there(x_t, self.fix(x_t))

    def back(self, dy: Array, cache: ChannelShiftCache) -> tuple[Array, Array]:  # type: ignore[override]
        N, C = cache.shape[0], cache.shape[-1]
        return dy, over_rows(dy.reshape(N, math.prod(cache.shape[1:-1]), C))


def positions(shape: Shape) -> Shape:
    """The axes between rows and channels."""
    return tuple(range(1, len(shape) - 1))

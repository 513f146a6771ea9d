"""TimeEmbedding: a number t as sines and cosines of many wavelengths, so that a network sees small and large differences of t.

    f_i = longest^(-i / F), i = 0 .. F - 1         y = (sin t f_0 .. sin t f_(F-1), cos t f_0 .. cos t f_(F-1))

The wavelengths 2 pi / f_i grow from 2 pi in a geometric series (Vaswani et al. 2017, section 3.5, for positions; Ho et al. 2020
for the steps of a diffusion). Between t and t + 1 the first features turn by a radian; over a thousand steps the last ones
hardly turn once. Where t lies in [0, 1], multiply it first, by 1000 say.

backward: d sin(t f) = f cos(t f) dt and d cos(t f) = -f sin(t f) dt, so with dy = (u, v), u and v (..., F),

    dt     = sum_i f_i (u_i cos t f_i - v_i sin t f_i)
    dt_dot = sum_i f_i (u_dot_i cos t f_i - v_dot_i sin t f_i) - f_i^2 (u_i sin t f_i + v_i cos t f_i) t_dot

N batch, F frequencies; "..." the axes of t, (N,) as a rule.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, real_dtype, resident
from ..kernels.combine import concatenate
from ..random import Key
from .layer import Layer


class TimeEmbeddingCache(NamedTuple):
    sin: Array  # (..., F)
    cos: Array  # (..., F)


class TimeEmbedding(Layer):
    """t (...) -> (..., 2 F): sines, then cosines. Raises TypeError where t holds integers: its type is that of y."""

    def __init__(self, frequencies: int = 16, longest: float = 10_000.0) -> None:
        super().__init__()
        if frequencies < 1:
            raise ValueError(f"TimeEmbedding: frequencies must be a whole number of at least 1, got {frequencies}")
        self.frequencies, self.longest = frequencies, longest

    def rates(self, like: Array) -> Array:
        """f (F,), in the type and on the device of `like`."""
        return resident(_rates(self.longest, self.frequencies, real_dtype(like.dtype)), like)

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, TimeEmbeddingCache]:
        if x.dtype.kind not in "fc":
            raise TypeError(f"TimeEmbedding takes floats, and got {x.dtype} of shape {x.shape}: t.astype(parameters' dtype)")
        angle = x[..., None] * self.rates(x)  # (..., F)
        cache = TimeEmbeddingCache(np.sin(angle), np.cos(angle))
        return concatenate((cache.sin, cache.cos), -1), cache

    def backward(self, dy: Array, cache: TimeEmbeddingCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        if not need_dx:
            return None
        u, v = self.parts(dy)
        dt: Array = (self.rates(dy) * (u * cache.cos - v * cache.sin)).sum(-1)
        return dt

    def jvp(self, x_dot: Array, cache: TimeEmbeddingCache, *, move_params: bool = False) -> tuple[Array, TimeEmbeddingCache]:
        angle_dot = x_dot[..., None] * self.rates(x_dot)
        tangents = TimeEmbeddingCache(cache.cos * angle_dot, -cache.sin * angle_dot)
        return concatenate((tangents.sin, tangents.cos), -1), tangents

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: TimeEmbeddingCache,
        tangents: TimeEmbeddingCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        u, v = self.parts(dy)
        u_dot, v_dot = self.parts(dy_dot)
        moved = u_dot * cache.cos - v_dot * cache.sin + u * tangents.cos - v * tangents.sin
        return self.backward(dy, cache), (self.rates(dy) * moved).sum(-1)

    def parts(self, y: Array) -> tuple[Array, Array]:
        """(..., 2 F) -> the sines' and the cosines' half."""
        return y[..., : self.frequencies], y[..., self.frequencies :]


@cache
def _rates(longest: float, frequencies: int, dtype: np.dtype[Any]) -> Array:
    """f (F,)."""
    f: Array = (longest ** (-np.arange(frequencies) / frequencies)).astype(dtype)
    return f

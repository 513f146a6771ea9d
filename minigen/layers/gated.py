"""GatedUnit: half of the channels say what passes, the other half how much of it (van den Oord et al. 2016).

    y = t s        t = tanh(a),  s = 1 / (1 + e^-b)        a and b the two halves of x

With t' = 1 - t^2 and s' = s (1 - s) the slopes, and t'' = -2 t t', s'' = (1 - 2 s) s' the curves:

    backward      da = dy t' s                                    db = dy t s'
    jvp           y_dot = t_dot s + t s_dot                       t_dot = t' a_dot,  s_dot = s' b_dot
    backward_jvp  da_dot = dy_dot t' s + dy (t'' a_dot s + t' s_dot)
                  db_dot = dy_dot t s' + dy (t_dot s' + t s'' b_dot)

and t'' a_dot = -2 t t_dot, s'' b_dot = (1 - 2 s) s_dot: the tangents that are kept are all it needs.

"..." any number of leading axes, C channels out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array, concatenate
from ..random import Key
from .elementwise import sigmoid
from .layer import Layer


class GatedCache(NamedTuple):
    t: Array  # (..., C)
    s: Array  # (..., C)


class GatedUnit(Layer):
    """(..., 2 C) -> (..., C): tanh of the first half times the sigmoid of the second. Raises ValueError on an odd last axis."""

    streams = True

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, GatedCache]:
        if x.shape[-1] % 2:
            raise ValueError(f"GatedUnit got x of shape {x.shape}: its last axis holds two halves, so it must be even")
        C = x.shape[-1] // 2
        t, s = np.tanh(x[..., :C]), sigmoid(x[..., C:])
        return t * s, GatedCache(t, s)

    def backward(self, dy: Array, cache: GatedCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        t, s = cache
        return _side_by_side(dy * (1 - t * t) * s, dy * t * s * (1 - s)) if need_dx else None

    def jvp(self, x_dot: Array, cache: GatedCache, *, move_params: bool = False) -> tuple[Array, GatedCache]:
        (t, s), C = cache, cache.t.shape[-1]
        t_dot, s_dot = (1 - t * t) * x_dot[..., :C], s * (1 - s) * x_dot[..., C:]
        return t_dot * s + t * s_dot, GatedCache(t_dot, s_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: GatedCache,
        tangents: GatedCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        (t, s), (t_dot, s_dot) = cache, tangents
        t1, s1 = 1 - t * t, s * (1 - s)  # the slopes
        da_dot = dy_dot * t1 * s + dy * (t1 * s_dot - 2 * t * t_dot * s)
        db_dot = dy_dot * t * s1 + dy * (t_dot * s1 + t * (1 - 2 * s) * s_dot)
        return _side_by_side(dy * t1 * s, dy * t * s1), _side_by_side(da_dot, db_dot)


def _side_by_side(a: Array, b: Array) -> Array:
    """(..., C) and (..., C) -> (..., 2 C)."""
    return concatenate((a, b), -1)

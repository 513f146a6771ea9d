"""GatedUnit: half of the channels say what passes, the other half how much of it (van den Oord et al. 2016).

    y = t s        t = tanh(a),  s = 1 / (1 + e^-b)        a and b the two halves of x

With t' = 1 - t^2 and s' = s (1 - s) the slopes, and t'' = -2 t t', s'' = (1 - 2 s) s' the curves:

    backward      da = dy t' s                                    db = dy t s'
    jvp           y_dot = t_dot s + t s_dot                       t_dot = t' a_dot,  s_dot = s' b_dot
    backward_jvp  da_dot = dy_dot t' s + dy (t'' a_dot s + t' s_dot)
                  db_dot = dy_dot t s' + dy (t_dot s' + t s'' b_dot)

and t'' a_dot = -2 t t_dot, s'' b_dot = (1 - 2 s) s_dot. The cache is x: t and s are as many numbers, and would have to be
written. y and dx are kernels/gated, one pass over memory each.

"..." any number of leading axes, C channels out.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array
from ..kernels import gated
from ..kernels.combine import concatenate
from ..random import Key
from .layer import Layer


class GatedCache(NamedTuple):
    x: Array  # (..., 2 C)


class GatedUnit(Layer):
    """(..., 2 C) -> (..., C): tanh of the first half times the sigmoid of the second. Raises ValueError on an odd last axis."""

    streams = True

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, GatedCache]:
        if x.shape[-1] % 2:
            raise ValueError(f"GatedUnit got x of shape {x.shape}: its last axis holds two halves, so it must be even")
        return gated.forward(x), GatedCache(x)

    def backward(self, dy: Array, cache: GatedCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return gated.gradient(dy, cache.x) if need_dx else None

    def jvp(self, x_dot: Array, cache: GatedCache, *, move_params: bool = False) -> tuple[Array, GatedCache]:
        t, s = gated.gates(cache.x)
        t_dot, s_dot = gates_dot(x_dot, t, s)
        return t_dot * s + t * s_dot, GatedCache(x_dot)

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
        t, s = gated.gates(cache.x)
        t_dot, s_dot = gates_dot(tangents.x, t, s)
        t1, s1 = 1 - t * t, s * (1 - s)  # the slopes
        da_dot = dy_dot * t1 * s + dy * (t1 * s_dot - 2 * t * t_dot * s)
        db_dot = dy_dot * t * s1 + dy * (t_dot * s1 + t * (1 - 2 * s) * s_dot)
        return concatenate((dy * t1 * s, dy * t * s1), -1), concatenate((da_dot, db_dot), -1)


def gates_dot(x_dot: Array, t: Array, s: Array) -> tuple[Array, Array]:
    """t_dot and s_dot, (..., C) each."""
    C = t.shape[-1]
    return (1 - t * t) * x_dot[..., :C], s * (1 - s) * x_dot[..., C:]

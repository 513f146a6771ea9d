"""InnerProduct: two arrays of one shape to the sums of their products, <a, b>. Bilinear, so every pass is the product rule.

    y = sum_d a_d b_d        da = dy b,  db = dy a        y_dot = sum_d (a_dot_d b_d + a_d b_dot_d)

N batch, "..." any further axes, D the axis that is summed over.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

from ..backend import Array
from ..kernels.combine import add
from ..kernels.sums import products
from ..random import Key
from .layer import Layer

Two = tuple[Array, Array]


class InnerProductCache(NamedTuple):
    a: Array  # (N, ..., D)
    b: Array  # (N, ..., D)


class InnerProduct(Layer):
    """(a, b), both (N, ..., D) -> (N, ..., 1). Raises ValueError where the shapes differ."""

    streams = True

    def forward(self, x: Two, *, train: bool = False, key: Key | None = None) -> tuple[Array, InnerProductCache]:
        a, b = x
        if a.shape != b.shape:
            raise ValueError(f"InnerProduct got arrays of shapes {a.shape} and {b.shape}: they must be equal")
        return self._summed((a, b)), InnerProductCache(a, b)

    def backward(self, dy: Array, cache: InnerProductCache, *, need_dx: bool = True, param_grads: bool = True) -> Two | None:
        return (add((dy, cache.b)), add((dy, cache.a))) if need_dx else None

    def jvp(self, x_dot: Two, cache: InnerProductCache, *, move_params: bool = False) -> tuple[Array, InnerProductCache]:
        a_dot, b_dot = x_dot
        return self._summed((a_dot, cache.b), (cache.a, b_dot)), InnerProductCache(a_dot, b_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: InnerProductCache,
        tangents: InnerProductCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Two | None, Two | None]:
        if not need_dx:
            return None, None
        (a, b), (a_dot, b_dot) = cache, tangents
        return (add((dy, b)), add((dy, a))), (add((dy_dot, b), (dy, b_dot)), add((dy_dot, a), (dy, a_dot)))

    @staticmethod
    def _summed(*pairs: Two) -> Array:
        """The inner products of the pairs, (N, ..., D) each, added up: (N, ..., 1)."""
        total = None
        for a, b in pairs:
            rows = (x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) for x in (a, b))
            total = products(*rows, out=total, accumulate=total is not None)
        return cast("Array", total).reshape(*a.shape[:-1], 1)

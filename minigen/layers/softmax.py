"""Softmax: numbers into probabilities, over the last axis.

    y_i = e^x_i / sum_j e^x_j          dy_i/dx_j = y_i (delta_ij - y_j) =: J_ij

J is symmetric, so backward and jvp are one line, and the product rule on it is the second order:

    J u        = y (u - <u, y>)                                  <u, y> a sum over the last axis
    d/dt (J u) = J u_dot + y_dot (u - <u, y>) - y <u, y_dot>

y and J u are those of `kernels/softmax`.

A constant added to u changes nothing: a cotangent of ones cannot test this layer. K classes; "..." any leading axes.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array
from ..kernels import softmax
from ..random import Key
from .layer import Layer


class SoftmaxCache(NamedTuple):
    y: Array  # (..., K)


class Softmax(Layer):
    """(..., K) -> (..., K), positive and with sum 1 over the last axis."""

    streams = True

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, SoftmaxCache]:
        y = softmax.forward(x)
        return y, SoftmaxCache(y)

    def backward(self, dy: Array, cache: SoftmaxCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return softmax.gradient(dy, cache.y) if need_dx else None

    def jvp(self, x_dot: Array, cache: SoftmaxCache, *, move_params: bool = False) -> tuple[Array, SoftmaxCache]:
        y_dot = softmax.gradient(x_dot, cache.y)
        return y_dot, SoftmaxCache(y_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: SoftmaxCache,
        tangents: SoftmaxCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        y, y_dot = cache.y, tangents.y
        moved = y_dot * (dy - (dy * y).sum(-1, keepdims=True)) - y * (dy * y_dot).sum(-1, keepdims=True)
        return softmax.gradient(dy, y), softmax.gradient(dy_dot, y) + moved

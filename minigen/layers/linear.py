"""Linear: y = x W + b, and an activation behind it if wanted. The pattern for all layers with parameters.

N batch, D inputs, M outputs; "..." any number of leading axes.

backward, from dy = dL/dy, with sums over the rows n of x:
    dx_nd = sum_m dy_nm W_dm            dx = dy W'
    dW_dm = sum_n x_nd dy_nm            dW = x' dy
    db_m  = sum_n dy_nm
With an activation, y = f(u) and u is what y was: dy is first taken through f (finish.py), and du stands in its place.
backward_jvp is the product rule on these three lines. Derived in lessons/00_gradients_by_hand.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from ..backend import Array
from ..kernels.matmul import matmul
from ..kernels.sums import over_rows
from ..random import Key
from .elementwise import Elementwise
from .finish import back, finished, rows
from .initialisers import fan_in_uniform, zeros
from .layer import Layer, Weights
from .vector import Initialiser, Spec


class LinearCache(NamedTuple):
    x: Array  # (..., D)
    w: Weights | None  # W (D, M), b (M,)
    u: Any  # (..., M): with an activation, what the way back needs (finish.py)


class Linear(Layer):
    """(..., D) -> (..., M), y = f(x W + b), where f is `activation`, or nothing.

    Linear(D, M, activation=ReLU()) computes what Linear and ReLU do one after the other, with one pass over y less each way.
    `bias=False` leaves b out, as before a normalisation, where its gradient would be zero. Raises ValueError where x does not
    have D columns.
    """

    streams = True
    takes_still = True

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        activation: Elementwise | None = None,
        initialiser: Initialiser = fan_in_uniform,
    ) -> None:
        specs = {"W": Spec((inputs, outputs), initialiser)}
        if bias:
            specs["b"] = Spec((outputs,), zeros)
        super().__init__(**specs)
        self.inputs, self.outputs, self.bias, self.activation = inputs, outputs, bias, activation

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, LinearCache]:
        if x.shape[-1] != self.inputs:
            raise ValueError(
                f"Linear({self.inputs}, {self.outputs}) got x of shape {x.shape}: its last axis must be {self.inputs}"
            )
        w = self.weights()
        y, u = finished(self._product, x, w.W, w.b if self.bias else None, self.activation)  # (..., M)
        return y, LinearCache(x, w, u)

    def backward(self, dy: Array, cache: LinearCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w = self.weights(cache)
        learns = param_grads and self.learns
        du, db = back(dy, cache.u, self.activation, biased=learns and self.bias)  # (..., M), (M,)
        if learns:
            self.learn(w, W=lambda **into: matmul(rows(cache.x), rows(du), transpose_a=True, **into))
            if db is not None:
                self.learn(w, b=db)
        return self._product(du, w.W, transpose=True) if need_dx else None

    def jvp(self, x_dot: Array, cache: LinearCache, *, move_params: bool = False) -> tuple[Array, LinearCache]:
        w = self.weights(cache)
        w_dot = self.weights_dot(w, move_params)
        u_dot = self._product(x_dot, w.W)
        if w_dot:
            self._product(cache.x, w_dot.W, out=rows(u_dot), accumulate=True, bias=w_dot.b if self.bias else None)
        if self.activation is None:
            return u_dot, LinearCache(x_dot, w_dot, None)
        return self.activation.through(u_dot, cache.u), LinearCache(x_dot, w_dot, u_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array | None,
        cache: LinearCache,
        tangents: LinearCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot = self.weights(cache), tangents.w
        if self.activation is not None:
            dy, dy_dot = (
                self.activation.through(dy, cache.u),
                self.activation.through_dot(dy, dy_dot, cache.u, tangents.u),
            )  # du and du_dot
        if param_grads and self.learns:
            x, x_dot = rows(cache.x), rows(tangents.x)
            dW_dot = matmul(x_dot, rows(dy), transpose_a=True)
            if dy_dot is not None:
                matmul(x, rows(dy_dot), transpose_a=True, out=dW_dot, accumulate=True)
            self.learn_dot(w, w_dot, W=(lambda: matmul(x, rows(dy), transpose_a=True), dW_dot))
            if self.bias:
                db_dot = None if dy_dot is None else partial(over_rows, rows(dy_dot))
                self.learn_dot(w, w_dot, b=(partial(over_rows, rows(dy)), db_dot))
        if not need_dx:
            return None, None
        dx_dot = None if dy_dot is None else self._product(dy_dot, w.W, transpose=True)
        if w_dot:
            into = {} if dx_dot is None else {"out": rows(dx_dot), "accumulate": True}
            dx_dot = self._product(dy, w_dot.W, transpose=True, **into)
        return self._product(dy, w.W, transpose=True), dx_dot

    def advance(self, x_t: Array, memory: None) -> Array:
        w = self.weights()  # a few rows at a time: there is nothing to gain from a kernel, and a cache has no use
        u = x_t @ w.W + w.b if self.bias else x_t @ w.W
        return u if self.activation is None else self.activation.f(u)

    @staticmethod
    def _product(x: Array, W: Array, transpose: bool = False, **finish: Any) -> Array:
        """x W or x W', (..., M), and what is to come after it."""
        y = matmul(rows(x), W, transpose_b=transpose, **finish)
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[-1])

"""WeightNorm: a weight in two parts, how long each output's column is and where it points (Salimans and Kingma 2016).

    W = g u,   u = v / n,   n = |v| of each output's column

    backward       p = sum of dW u over the column     dg = p     dv = (g / n) (dW - u p)
    jvp            n_dot = sum of u v_dot     u_dot = (v_dot - u n_dot) / n     W_dot = g_dot u + g u_dot
    backward_jvp   the product rule on p, on g / n and on (dW - u p)

dv is at right angles to v: a step of an optimiser turns the column, and g alone makes it longer.

D the product of all axes of W but the last, M its last, the outputs.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array, to_device
from ..random import Key
from .initialisers import ones
from .layer import Layer, Weights
from .vector import Spec


class WeightNormCache(NamedTuple):
    u: Array  # (D, M)
    n: Array  # (M,)
    w: Weights | None  # g (M,)


class WeightNorm(Layer):
    """Layer(...).compute("W", WeightNorm(outputs)): the layer's own W is v, and g is a parameter of this one, at first |v|, so
    that the layer begins as it would without.

    The last axis of the weight counts the columns, so `outputs` is its length (a transposed convolution's inputs). Raises
    ValueError where it is not, and where a column is zero at first: it points nowhere.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__(g=Spec((outputs,), ones))
        self.outputs = outputs

    def begin_weight(self, W: Array, key: Key) -> None:
        n = _length(self._columns(W))
        if not to_device(n, "cpu").all():
            raise ValueError(
                f"WeightNorm({self.outputs}): a weight of shape {W.shape} has a column of zeros: it points nowhere"
            )
        self.params["g"][...] = n

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, WeightNormCache]:
        w, v = self.weights(), self._columns(x)
        n = _length(v)
        u = v / n
        return (w.g * u).reshape(x.shape), WeightNormCache(u, n, w)

    def backward(self, dy: Array, cache: WeightNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, u, n = self.weights(cache), cache.u, cache.n
        dW = self._columns(dy)
        p = (dW * u).sum(0)
        if param_grads and self.learns:
            self.learn(w, g=p)
        return (w.g / n * (dW - u * p)).reshape(dy.shape) if need_dx else None

    def jvp(self, x_dot: Array, cache: WeightNormCache, *, move_params: bool = False) -> tuple[Array, WeightNormCache]:
        w, u, n = self.weights(cache), cache.u, cache.n
        w_dot = self.weights_dot(w, move_params)
        v_dot = self._columns(x_dot)
        n_dot = (u * v_dot).sum(0)
        u_dot = (v_dot - u * n_dot) / n
        W_dot = w.g * u_dot
        if w_dot:
            W_dot += w_dot.g * u
        return W_dot.reshape(x_dot.shape), WeightNormCache(u_dot, n_dot, w_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: WeightNormCache,
        tangents: WeightNormCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, u, n = self.weights(cache), cache.u, cache.n
        u_dot, n_dot, w_dot = tangents
        dW, dW_dot = self._columns(dy), self._columns(dy_dot)
        p, p_dot = (dW * u).sum(0), (dW_dot * u + dW * u_dot).sum(0)
        if param_grads and self.learns:
            self.learn_dot(w, w_dot, g=(lambda: p, p_dot))
        if not need_dx:
            return None, None
        scale = w.g / n
        scale_dot = -scale * n_dot / n
        if w_dot:
            scale_dot += w_dot.g / n
        across, across_dot = dW - u * p, dW_dot - u_dot * p - u * p_dot
        return (scale * across).reshape(dy.shape), (scale_dot * across + scale * across_dot).reshape(dy.shape)

    def _columns(self, W: Array) -> Array:
        """(..., M) -> (D, M)."""
        if W.shape[-1] != self.outputs or not W.size:
            raise ValueError(f"WeightNorm({self.outputs}) got a weight of shape {W.shape}: it takes (..., {self.outputs})")
        return W.reshape(-1, self.outputs)


def _length(v: Array) -> Array:
    """|v| of each column, as a root of squares: analytic in complex v."""
    return (v * v).sum(0) ** 0.5

"""FreeEnergy: the energy of a restricted Boltzmann machine with its hidden units summed out.

    E(v, h) = -v'b - h'c - v'W h          v and h bits; units of one layer do not see each other ("restricted")
    e^-F(v) = sum_h e^-E(v, h)            each h_j is summed by itself, for given v they are independent:
    F(v)    = -v'b - sum_j softplus(a_j),   a = v W + c,   and p(h_j = 1 | v) = h_j := sigmoid(a_j)

softplus' is the sigmoid, so with dF = dL/dF, one number a row, and g = -dF h:

    da = g        dW = v' g        db = -v' dF        dc = sum_n g_n        dv = -dF b' + g W'

backward_jvp is the product rule on these, with h_dot = h (1 - h) a_dot and g_dot = -(dF_dot h + dF h_dot).

N rows, V visible units, H hidden units. Smolensky 1986; Hinton 2002. Derived in lessons/06_energy_based_models.py.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..backend import Array
from ..kernels import units
from ..kernels.matmul import matmul
from ..kernels.sums import over_rows
from ..random import Key
from .initialisers import normal, zeros
from .layer import Layer, Weights
from .vector import Spec


class FreeEnergyCache(NamedTuple):
    v: Array  # (N, V)
    h: Array  # (N, H), p(h = 1 | v)
    w: Weights | None  # W (V, H), b (V,), c (H,)


class FreeEnergy(Layer):
    """(N, V) -> (N,), F(v) = -v'b - sum_j softplus(v W + c)_j, in nats.

    W begins as N(0, std^2). Raises ValueError where x is not (N, V).
    """

    def __init__(self, visible: int, hidden: int, *, std: float = 0.01) -> None:
        super().__init__(W=Spec((visible, hidden), normal(std)), b=Spec((visible,), zeros), c=Spec((hidden,), zeros))
        self.visible_units, self.hidden_units = visible, hidden

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, FreeEnergyCache]:
        if x.ndim != 2 or x.shape[1] != self.visible_units:
            raise ValueError(
                f"FreeEnergy({self.visible_units}, {self.hidden_units}) got x of shape {x.shape}: "
                f"it takes (N, {self.visible_units})"
            )
        w = self.weights()
        h, summed = units.summed_out(matmul(x, w.W), w.c)  # (N, H), (N,)
        return -_times(x, w.b) - summed, FreeEnergyCache(x, h, w)

    def backward(self, dy: Array, cache: FreeEnergyCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, v, dF = self.weights(cache), cache.v, dy[:, None]  # dF (N, 1)
        g = -dF * cache.h  # (N, H)
        if param_grads and self.learns:
            db = -matmul(dF, v, transpose_a=True)[0]  # (V,)
            self.learn(w, W=lambda **into: matmul(v, g, transpose_a=True, **into), b=db, c=partial(over_rows, g))
        return matmul(g, w.W, transpose_b=True) - dF * w.b if need_dx else None

    def jvp(self, x_dot: Array, cache: FreeEnergyCache, *, move_params: bool = False) -> tuple[Array, FreeEnergyCache]:
        w, v, h = self.weights(cache), cache.v, cache.h
        w_dot = self.weights_dot(w, move_params)
        a_dot, y_dot = matmul(x_dot, w.W), -_times(x_dot, w.b)  # (N, H), (N,)
        if w_dot:
            a_dot += matmul(v, w_dot.W) + w_dot.c
            y_dot -= _times(v, w_dot.b)
        return y_dot - (h * a_dot).sum(1), FreeEnergyCache(x_dot, h * (1 - h) * a_dot, w_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: FreeEnergyCache,
        tangents: FreeEnergyCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot = self.weights(cache), tangents.w
        v, v_dot, dF, dF_dot = cache.v, tangents.v, dy[:, None], dy_dot[:, None]
        g, g_dot = -dF * cache.h, -dF_dot * cache.h - dF * tangents.h  # (N, H)
        if param_grads and self.learns:
            dW_dot = matmul(v_dot, g, transpose_a=True) + matmul(v, g_dot, transpose_a=True)
            self.learn_dot(
                w,
                w_dot,
                W=(lambda: matmul(v, g, transpose_a=True), dW_dot),
                b=(
                    lambda: -matmul(dF, v, transpose_a=True)[0],
                    -(matmul(dF_dot, v, transpose_a=True) + matmul(dF, v_dot, transpose_a=True))[0],
                ),
                c=(partial(over_rows, g), partial(over_rows, g_dot)),
            )
        if not need_dx:
            return None, None
        dx_dot = matmul(g_dot, w.W, transpose_b=True) - dF_dot * w.b
        if w_dot:
            dx_dot += matmul(g, w_dot.W, transpose_b=True) - dF * w_dot.b
        return matmul(g, w.W, transpose_b=True) - dF * w.b, dx_dot

    # ---- the conditionals: within a layer the units are independent

    def hidden(self, v: Array) -> Array:
        """p(h = 1 | v) = sigmoid(v W + c): (N, V) -> (N, H)."""
        w = self.weights()
        return units.probabilities(matmul(v, w.W), w.c)

    def visible(self, h: Array) -> Array:
        """p(v = 1 | h) = sigmoid(h W' + b): (N, H) -> (N, V)."""
        w = self.weights()
        return units.probabilities(matmul(h, w.W, transpose_b=True), w.b)

    def gibbs(self, h: Array, key: Key) -> Array:
        """One sweep of the chain, from the probabilities of h to new visible bits: h ~ p(h|v), v ~ p(v|h). (N, H) -> (N, V)."""
        bits = key.at("h").bernoulli(h, dtype=h.dtype)
        return key.at("v").bernoulli(self.visible(bits), dtype=h.dtype)


def _times(x: Array, b: Array) -> Array:
    """x b of every row: (N, V), (V,) -> (N,)."""
    return matmul(x, b[:, None])[:, 0]

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
from ..kernels import combine, units
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
        F, h = units.free_energy(x, w.b, matmul(x, w.W), w.c)  # (N,), (N, H)
        return F, FreeEnergyCache(x, h, w)

    def backward(self, dy: Array, cache: FreeEnergyCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, v = self.weights(cache), cache.v
        minus = combine.add((-1, dy[:, None]))  # -dF (N, 1)
        g = combine.add((minus, cache.h))  # (N, H)
        if param_grads and self.learns:
            dW = partial(matmul, v, g, transpose_a=True)  # (V, H)
            self.learn(w, W=dW, b=partial(_summed, minus, v), c=partial(over_rows, g))
        return _told(g, w.W, minus, w.b) if need_dx else None

    def jvp(self, x_dot: Array, cache: FreeEnergyCache, *, move_params: bool = False) -> tuple[Array, FreeEnergyCache]:
        w, v, h = self.weights(cache), cache.v, cache.h
        w_dot = self.weights_dot(w, move_params)
        a_dot, worth_dot = matmul(x_dot, w.W), matmul(x_dot, w.b[:, None])  # (N, H), and (N, 1) of v'b
        if w_dot:
            matmul(v, w_dot.W, out=a_dot, accumulate=True)
            combine.add(a_dot, w_dot.c, out=a_dot)
            matmul(v, w_dot.b[:, None], out=worth_dot, accumulate=True)
        softplus_dot = combine.add((h, a_dot))  # (N, H)
        h_dot = combine.add(softplus_dot, (-1, h, softplus_dot))
        y_dot = combine.add((-1, worth_dot), (-1, over_rows(softplus_dot[:, :, None])))  # (N, 1)
        return y_dot[:, 0], FreeEnergyCache(x_dot, h_dot, w_dot)

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
        v, v_dot, h, h_dot = cache.v, tangents.v, cache.h, tangents.h
        minus, minus_dot = (combine.add((-1, one[:, None])) for one in (dy, dy_dot))  # (N, 1)
        g, g_dot = combine.add((minus, h)), combine.add((minus_dot, h), (minus, h_dot))  # (N, H)
        if param_grads and self.learns:
            dW = partial(matmul, v, g, transpose_a=True)
            dW_dot = matmul(v, g_dot, transpose_a=True, out=matmul(v_dot, g, transpose_a=True), accumulate=True)
            db_dot = _summed(minus, v_dot, out=_summed(minus_dot, v), accumulate=True)
            of_c = partial(over_rows, g), partial(over_rows, g_dot)
            self.learn_dot(w, w_dot, W=(dW, dW_dot), b=(partial(_summed, minus, v), db_dot), c=of_c)
        if not need_dx:
            return None, None
        dx_dot = _told(g_dot, w.W, minus_dot, w.b)
        if w_dot:
            combine.add(dx_dot, _told(g, w_dot.W, minus, w_dot.b), out=dx_dot)
        return _told(g, w.W, minus, w.b), dx_dot

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


def _summed(weights: Array, x: Array, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """The sum of the rows of x (N, V) with weights (N, 1): (V,)."""
    total = matmul(weights, x, transpose_a=True, out=None if out is None else out[None], accumulate=accumulate)
    return total[0]


def _told(g: Array, W: Array, minus: Array, b: Array) -> Array:
    """g W' - dF b, what goes back to v: (N, V)."""
    return combine.add(matmul(g, W, transpose_b=True), (minus, b))

"""LayerNorm: the channels of every place standardised, then scaled and shifted (Ba et al. 2016).

    y = gain xhat + b,   xhat = (x - mean) / sqrt(var + eps), mean and var over the last axis

    backward      dgain = sum over places of dy xhat,   db = sum of dy,   dx = J (dy gain)      J as in standardise.py

No batch is mixed, so training and evaluation are the same. C channels; "..." any number of leading axes, the places.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..backend import Array
from ..kernels import layer_norm, normalise
from ..kernels.sums import over_rows
from ..random import Key
from . import initialisers
from .finish import rows
from .layer import Layer, Weights
from .standardise import Standardised, project_dot, standardise_dot
from .vector import Spec

LAST = (-1,)


class LayerNormCache(NamedTuple):
    s: Standardised  # xhat (..., C), r (..., 1)
    w: Weights | None  # gain (C,), b (C,)


class LayerNorm(Layer):
    """(..., C) -> (..., C), mean 0 and variance 1 over the last axis, times gain, plus b. The variance is the biased one, a
    mean over C. Raises ValueError where x does not have C channels.
    """

    streams = True

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(gain=Spec((channels,), initialisers.ones), b=Spec((channels,), initialisers.zeros))
        self.channels, self.eps = channels, eps

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, LayerNormCache]:
        if x.shape[-1] != self.channels:
            raise ValueError(f"LayerNorm({self.channels}) got x of shape {x.shape}: its last axis must be {self.channels}")
        w = self.weights()
        xhat, y, r = layer_norm.forward(x, w.gain, w.b, eps=self.eps)
        return y, LayerNormCache(Standardised(xhat, r), w)

    def backward(self, dy: Array, cache: LayerNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, s = self.weights(cache), cache.s
        if param_grads and self.learns:
            level, tilt = normalise.sums(rows(dy)[None], rows(s.xhat)[None], w.gain, w.b)  # over places, (1, C) each
            self.learn(w, gain=tilt[0], b=level[0])
        return layer_norm.gradient(dy, s.xhat, w.gain, s.r) if need_dx else None

    def jvp(self, x_dot: Array, cache: LayerNormCache, *, move_params: bool = False) -> tuple[Array, LayerNormCache]:
        w, s = self.weights(cache), cache.s
        w_dot = self.weights_dot(w, move_params)
        s_dot = standardise_dot(x_dot, s, LAST)
        y_dot = s_dot.xhat * w.gain
        if w_dot:
            y_dot += s.xhat * w_dot.gain + w_dot.b
        return y_dot, LayerNormCache(s_dot, w_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: LayerNormCache,
        tangents: LayerNormCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot, s, s_dot = self.weights(cache), tangents.w, cache.s, tangents.s
        if param_grads and self.learns:
            moved = rows(dy_dot * s.xhat + dy * s_dot.xhat)
            gains = lambda: over_rows(rows(dy * s.xhat)), partial(over_rows, moved)
            self.learn_dot(w, w_dot, gain=gains, b=(partial(over_rows, rows(dy)), partial(over_rows, rows(dy_dot))))
        if not need_dx:
            return None, None
        u, u_dot = dy * w.gain, dy_dot * w.gain  # dxhat (..., C) and its tangent
        if w_dot:
            u_dot += dy * w_dot.gain
        return project_dot(u, u_dot, s, s_dot, LAST)

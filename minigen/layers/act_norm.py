"""ActNorm: a gain and a bias a channel, which start from data (Kingma and Dhariwal 2018, section 3.1).

    z_nc = x_nc e^s_c + b_c        logdet = P sum_c s_c        x = (z - b) e^-s

A flow is deep, and each of its steps sees what the one before puts out: without some normalisation the numbers drift away. The
mean and variance of a batch would tie its rows together, and there would be no inverse for one row. So they are measured once,
on a first batch, to set s and b such that z has mean 0 and variance 1 in every channel; from then on these are parameters.

    s = -log(std(x))        b = -mean(x) e^s

Backward, with sums over rows n and positions p:

    dx = dz e^s        db_c = sum dz_c        ds_c = sum dx_c x_c + P sum_n dlogdet_n

The passes over memory are kernels/act_norm.

N batch, C channels, P positions of a row (pixels), "..." their axes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, zeros
from ..kernels import act_norm
from ..random import Key
from . import initialisers
from .bijection import Bijection
from .coupling import with_zeros, zeros_for_none
from .finish import rows
from .layer import Weights
from .vector import Spec

EPS = 1e-6  # added to the variance of the first batch: a channel that is constant gets a gain of 1000


class ActNormCache(NamedTuple):
    x: Array  # (N, ..., C)
    w: Weights | None  # s (C,), b (C,)


class ActNorm(Bijection):
    """(N, ..., C) -> z = x e^s + b and logdet (N,). Raises ValueError where x does not have C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(s=Spec((channels,), initialisers.zeros), b=Spec((channels,), initialisers.zeros))
        self.channels = channels

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[tuple[Array, Array], ActNormCache]:
        check_channels(f"ActNorm({self.channels})", x, self.channels)
        w = self.weights()
        z, logdet = act_norm.forward(by_positions(x), w.s, w.b)
        return (z.reshape(x.shape), logdet), ActNormCache(x, w)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        w = self.weights()
        x, logdet = act_norm.inverse(by_positions(z), w.s, w.b)
        return x.reshape(z.shape), logdet

    def backward(self, dy: Any, cache: ActNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, x = self.weights(cache), cache.x
        dz, dlogdet = with_zeros(dy, x)  # (N, ..., C), (N,)
        made: tuple[Array, Any, Any] = act_norm.gradient(
            by_positions(dz), dlogdet, by_positions(x), w.s, sums=param_grads and self.learns
        )
        dx, ds, db = made
        if ds is not None:
            self.learn(w, s=ds, b=db)
        return dx.reshape(x.shape) if need_dx else None

    def jvp(self, x_dot: Array, cache: ActNormCache, *, move_params: bool = False) -> tuple[tuple[Array, Array], ActNormCache]:
        w, x = self.weights(cache), cache.x
        w_dot = self.weights_dot(w, move_params)
        z_dot = x_dot * np.exp(w.s)
        logdet_dot = zeros(len(x), x.dtype, like=x)
        if w_dot:
            z_dot += x * (np.exp(w.s) * w_dot.s) + w_dot.b
            logdet_dot += positions(x) * w_dot.s.sum()
        return (z_dot, logdet_dot), ActNormCache(x_dot, w_dot)

    def backward_jvp(
        self,
        dy: Any,
        dy_dot: Any,
        cache: ActNormCache,
        tangents: ActNormCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot, x, x_dot = self.weights(cache), tangents.w, cache.x, tangents.x
        (dz, dlogdet), (dz_dot, dlogdet_dot) = zeros_for_none(dy, x), zeros_for_none(dy_dot, x)
        e = np.exp(w.s)
        dx, dx_dot = dz * e, dz_dot * e
        if w_dot:
            dx_dot += dz * (e * w_dot.s)
        if param_grads and self.learns:
            ds_dot = rows(dx_dot * x + dx * x_dot).sum(0) + positions(x) * np.sum(dlogdet_dot)
            ds = lambda: rows(dx * x).sum(0) + positions(x) * np.sum(dlogdet)
            self.learn_dot(w, w_dot, s=(ds, ds_dot), b=(lambda: rows(dz).sum(0), rows(dz_dot).sum(0)))
        return (dx, dx_dot) if need_dx else (None, None)

    def data_init(self, x: Array, key: Key) -> tuple[Array, Array]:
        """Sets s and b from x, and returns what forward gives then."""
        mean = rows(x).mean(0)
        var = (rows(x - mean) ** 2).mean(0)
        s = -0.5 * np.log(var + EPS)
        self.params["s"][...], self.params["b"][...] = s, -mean * np.exp(s)
        self.version += 1  # caches from before are stale
        return self.forward(x)[0]


def positions(x: Array) -> int:
    """P, the positions of a row of x (N, ..., C)."""
    return math.prod(x.shape[1:-1])


def by_positions(x: Array) -> Array:
    """(N, ..., C) -> (N, P, C)."""
    return x.reshape(len(x), positions(x), x.shape[-1])


def check_channels(layer: str, x: Array, channels: int) -> None:
    """ValueError unless x is (N, ..., channels)."""
    if x.ndim < 2 or x.shape[-1] != channels:
        raise ValueError(f"{layer} got x of shape {x.shape}: its last axis must be {channels}")

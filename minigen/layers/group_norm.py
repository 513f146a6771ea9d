"""GroupNorm and InstanceNorm: each row's channels standardised in groups, over all positions of the row (Wu and He 2018).

    y = gain xhat + b,   xhat = (x - mean) / sqrt(var + eps), mean and var over the positions and channels of a group

    backward      dgain = sum over rows and positions of dy xhat,   db = sum of dy,   dx = J (dy gain)

J is the one of standardise.py; a reshape to (N, P, G, K) makes a group two axes of an array. No rows are mixed, so training and
evaluation are the same, and a batch of one row is as good as any.

N batch, C channels, P positions (H W of an image, T of a sequence), G groups, K = C / G channels of a group.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..backend import Array
from ..random import Key
from . import initialisers
from .layer import Layer, Weights
from .linear import rows
from .standardise import Standardised, project, project_dot, standardise, standardise_dot
from .vector import Spec

GROUP = (1, 3)  # the axes of a group in (N, P, G, K)


class GroupNormCache(NamedTuple):
    s: Standardised  # xhat (N, P, G, K), r (N, 1, G, 1)
    w: Weights | None  # gain (C,), b (C,)


class GroupNorm(Layer):
    """(N, ..., C) -> (N, ..., C), mean 0 and variance 1 in every row and group of neighbouring channels, times gain, plus b.

    The variance is the biased one, a mean. Raises ValueError where the groups do not divide the channels, where x does not have
    C channels, and where a group is a single number, which standardised is always 0.
    """

    def __init__(self, groups: int, channels: int, *, eps: float = 1e-5) -> None:
        if groups < 1 or channels % groups:
            raise ValueError(f"{type(self).__name__}: {groups} groups do not divide {channels} channels evenly")
        super().__init__(gain=Spec((channels,), initialisers.ones), b=Spec((channels,), initialisers.zeros))
        self.groups, self.channels, self.eps = groups, channels, eps

    def grouped(self, x: Array) -> Array:
        """(N, ..., C) -> (N, P, G, K)."""
        return x.reshape(len(x), math.prod(x.shape[1:-1]), self.groups, self.channels // self.groups)

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, GroupNormCache]:
        if x.ndim < 2 or x.shape[-1] != self.channels:
            raise ValueError(f"{self} got x of shape {x.shape}: it takes (N, ..., {self.channels})")
        if math.prod(x.shape[1:]) <= self.groups:
            raise ValueError(f"{self} got x of shape {x.shape}: a group of one number has no deviation: use fewer groups")
        w = self.weights()
        s, _, _ = standardise(self.grouped(x), GROUP, self.eps)
        return s.xhat.reshape(x.shape) * w.gain + w.b, GroupNormCache(s, w)

    def backward(self, dy: Array, cache: GroupNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, s = self.weights(cache), cache.s
        if param_grads and self.learns:
            self.learn(w, gain=rows(dy * s.xhat.reshape(dy.shape)).sum(0), b=rows(dy).sum(0))
        return project(self.grouped(dy * w.gain), s, GROUP).reshape(dy.shape) if need_dx else None

    def jvp(self, x_dot: Array, cache: GroupNormCache, *, move_params: bool = False) -> tuple[Array, GroupNormCache]:
        w, s = self.weights(cache), cache.s
        w_dot = self.weights_dot(w, move_params)
        s_dot = standardise_dot(self.grouped(x_dot), s, GROUP)
        y_dot = s_dot.xhat.reshape(x_dot.shape) * w.gain
        if w_dot:
            y_dot += s.xhat.reshape(x_dot.shape) * w_dot.gain + w_dot.b
        return y_dot, GroupNormCache(s_dot, w_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: GroupNormCache,
        tangents: GroupNormCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot, s, s_dot = self.weights(cache), tangents.w, cache.s, tangents.s
        if param_grads and self.learns:
            xhat, xhat_dot = s.xhat.reshape(dy.shape), s_dot.xhat.reshape(dy.shape)
            gain_dot = rows(dy_dot * xhat + dy * xhat_dot).sum(0)
            self.learn_dot(w, w_dot, gain=(lambda: rows(dy * xhat).sum(0), gain_dot))
            self.learn_dot(w, w_dot, b=(lambda: rows(dy).sum(0), rows(dy_dot).sum(0)))
        if not need_dx:
            return None, None
        u, u_dot = dy * w.gain, dy_dot * w.gain  # dxhat (N, ..., C) and its tangent
        if w_dot:
            u_dot += dy * w_dot.gain
        dx, dx_dot = project_dot(self.grouped(u), self.grouped(u_dot), s, s_dot, GROUP)
        return dx.reshape(dy.shape), dx_dot.reshape(dy.shape)

    def __repr__(self) -> str:
        return f"GroupNorm({self.groups}, {self.channels})"


class InstanceNorm(GroupNorm):
    """Every channel a group of its own: mean 0 and variance 1 over the positions of a row (Ulyanov et al. 2016).

    Raises ValueError as GroupNorm does: x needs at least two positions.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, channels, eps=eps)

    def __repr__(self) -> str:
        return f"InstanceNorm({self.channels})"

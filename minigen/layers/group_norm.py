"""GroupNorm and InstanceNorm: each row's channels standardised in groups, over all positions of the row (Wu and He 2018).

    y = gain xhat + b,   xhat = (x - mean) / sqrt(var + eps), mean and var over the positions and channels of a group

    backward      dgain = sum over rows and positions of dy xhat,   db = sum of dy,   dx = J (dy gain)

J is the one of standardise.py. No rows are mixed, so training and evaluation are the same, and a batch of one row is as good as
any. A mean is taken over the positions first, as a product with a row of ones, and over the K channels of what is left: a sum
over (P, K) of (N, P, G, K) at once goes through memory K numbers at a time, and took ten times as long.

N batch, C channels, P positions (H W of an image, T of a sequence), G groups, K = C / G channels of a group.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, empty
from ..random import Key
from . import initialisers
from .layer import Layer, Weights
from .standardise import Standardised, project, project_dot, standardise, standardise_dot
from .vector import Spec


class GroupNormCache(NamedTuple):
    s: Standardised  # xhat (N, P, C), r (N, 1, C)
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

    def flat(self, x: Array) -> Array:
        """(N, ..., C) -> (N, P, C)."""
        return x.reshape(len(x), math.prod(x.shape[1:-1]), self.channels)

    def mean(self, u: Array) -> Array:
        """The mean of every group beside its channels: (N, P, C) -> (N, 1, C)."""
        N, P, C = u.shape
        means = sums(u).reshape(N, 1, self.groups, C // self.groups).mean(3) / P  # (N, 1, G)
        return np.repeat(means, C // self.groups, 2)

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, GroupNormCache]:
        if x.ndim < 2 or x.shape[-1] != self.channels:
            raise ValueError(f"{self} got x of shape {x.shape}: it takes (N, ..., {self.channels})")
        if math.prod(x.shape[1:]) <= self.groups:
            raise ValueError(f"{self} got x of shape {x.shape}: a group of one number has no deviation: use fewer groups")
        w = self.weights()
        s, _, _ = standardise(self.flat(x), self.mean, self.eps)
        return s.xhat.reshape(x.shape) * w.gain + w.b, GroupNormCache(s, w)

    def backward(self, dy: Array, cache: GroupNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, s = self.weights(cache), cache.s
        if param_grads and self.learns:
            u = self.flat(dy)
            self.learn(w, gain=sums(u * s.xhat).sum((0, 1)), b=sums(u).sum((0, 1)))
        return project(self.flat(dy * w.gain), s, self.mean).reshape(dy.shape) if need_dx else None

    def jvp(self, x_dot: Array, cache: GroupNormCache, *, move_params: bool = False) -> tuple[Array, GroupNormCache]:
        w, s = self.weights(cache), cache.s
        w_dot = self.weights_dot(w, move_params)
        s_dot = standardise_dot(self.flat(x_dot), s, self.mean)
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
            u, u_dot = self.flat(dy), self.flat(dy_dot)
            gain_dot = sums(u_dot * s.xhat + u * s_dot.xhat).sum((0, 1))
            self.learn_dot(w, w_dot, gain=(lambda: sums(self.flat(dy) * s.xhat).sum((0, 1)), gain_dot))
            self.learn_dot(w, w_dot, b=(lambda: sums(self.flat(dy)).sum((0, 1)), sums(u_dot).sum((0, 1))))
        if not need_dx:
            return None, None
        u, u_dot = dy * w.gain, dy_dot * w.gain  # dxhat (N, ..., C) and its tangent
        if w_dot:
            u_dot += dy * w_dot.gain
        dx, dx_dot = project_dot(self.flat(u), self.flat(u_dot), s, s_dot, self.mean)
        return dx.reshape(dy.shape), dx_dot.reshape(dy.shape)

    def __repr__(self) -> str:
        return f"GroupNorm({self.groups}, {self.channels})"


def sums(u: Array) -> Array:
    """Over the positions: (N, P, C) -> (N, 1, C)."""
    ones = empty((1, u.shape[1]), u.dtype, like=u)
    ones[...] = 1
    return ones @ u


class InstanceNorm(GroupNorm):
    """Every channel a group of its own: mean 0 and variance 1 over the positions of a row (Ulyanov et al. 2016).

    Raises ValueError as GroupNorm does: x needs at least two positions.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, channels, eps=eps)

    def __repr__(self) -> str:
        return f"InstanceNorm({self.channels})"

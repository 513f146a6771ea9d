"""GroupNorm and InstanceNorm: each row's channels standardised in groups, over all positions of the row (Wu and He 2018).

    y = f(u),  u = gain xhat + b,  xhat = (x - mean) r,  r = 1 / sqrt(var + eps), mean and var over the P positions and the K
                                                                               channels of a group; f an activation, or nothing

backward, with du = dy f'(u), s_nc = sum over positions of du and t_nc = the same of du xhat:

    dgain_c = sum_n t_nc     db_c = sum_n s_nc     dx = J (du gain) = r (du gain - mean(du gain) - xhat mean(du gain xhat))

J is the one of standardise.py, and its means over a group are of the same sums: mean(du gain) = sum over its channels of
gain_c s_nc / (P K). No rows are mixed, so training and evaluation are the same, and a batch of one row is as good as any.

The passes over memory are kernels/normalise.

N batch, C channels, P positions (H W of an image, T of a sequence), G groups, K = C / G channels of a group.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from ..backend import Array
from ..kernels import normalise
from ..kernels.normalise.definition import over_group
from ..kernels.sums import over_rows
from ..random import Key
from . import initialisers
from .elementwise import Elementwise
from .finish import rows
from .layer import Layer, Weights
from .standardise import Standardised, after, project_dot, standardise_dot
from .vector import Spec


class GroupNormCache(NamedTuple):
    s: Standardised  # xhat (N, P, C), r (N, 1, C)
    w: Weights | None  # gain (C,), b (C,)


class GroupNorm(Layer):
    """(N, ..., C) -> (N, ..., C), mean 0 and variance 1 in every row and group of neighbouring channels, times gain, plus b.

    The variance is the biased one, a mean. The activation is a (leaky) ReLU or a SiLU, and spares a layer of its own, with one
    pass over memory less each way. Raises ValueError on another one, where the groups do not divide the channels, where x does
    not have C channels, and where a group is a single number, which standardised is always 0.
    """

    def __init__(self, groups: int, channels: int, *, activation: Elementwise | None = None, eps: float = 1e-5) -> None:
        if groups < 1 or channels % groups:
            raise ValueError(f"{type(self).__name__}: {groups} groups do not divide {channels} channels evenly")
        super().__init__(gain=Spec((channels,), initialisers.ones), b=Spec((channels,), initialisers.zeros))
        self.groups, self.channels, self.eps = groups, channels, eps
        self.activation, self.after = activation, after(self, activation)

    def flat(self, x: Array) -> Array:
        """(N, ..., C) -> (N, P, C)."""
        return x.reshape(len(x), math.prod(x.shape[1:-1]), self.channels)

    def mean(self, u: Array) -> Array:
        """The mean of every group beside its channels: (N, P, C) -> (N, 1, C)."""
        return over_group(over_rows(u) / u.shape[1], self.groups)[:, None]

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, GroupNormCache]:
        if x.ndim < 2 or x.shape[-1] != self.channels:
            raise ValueError(f"{self} got x of shape {x.shape}: it takes (N, ..., {self.channels})")
        if math.prod(x.shape[1:]) <= self.groups:
            raise ValueError(f"{self} got x of shape {x.shape}: a group of one number has no deviation: use fewer groups")
        w, values = self.weights(), self.flat(x)  # (N, P, C)
        xhat, y, r = normalise.forward(values, w.gain, w.b, eps=self.eps, groups=self.groups, **self.after)  # r (N, C)
        return y.reshape(x.shape), GroupNormCache(Standardised(xhat, r[:, None]), w)

    def backward(self, dy: Array, cache: GroupNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, s, values = self.weights(cache), cache.s, (self.flat(dy), cache.s.xhat)  # (N, P, C) each
        if need_dx:
            dx, level, tilt = normalise.backward(*values, w.gain, w.b, s.r[:, 0], groups=self.groups, **self.after)
        else:
            level, tilt = normalise.sums(*values, w.gain, w.b, **self.after)  # s and t, (N, C) each
        if param_grads and self.learns:
            self.learn(w, gain=partial(over_rows, tilt), b=partial(over_rows, level))
        return dx.reshape(dy.shape) if need_dx else None

    def jvp(self, x_dot: Array, cache: GroupNormCache, *, move_params: bool = False) -> tuple[Array, GroupNormCache]:
        w, s = self.weights(cache), cache.s
        w_dot = self.weights_dot(w, move_params)
        s_dot = standardise_dot(self.flat(x_dot), s, self.mean)
        u_dot = self._u_dot(w, w_dot, s, s_dot)
        y_dot = u_dot if self.activation is None else self.activation.through(u_dot, s.xhat * w.gain + w.b)
        return y_dot.reshape(x_dot.shape), GroupNormCache(s_dot, w_dot)

    def _u_dot(self, w: Weights, w_dot: Weights | None, s: Standardised, s_dot: Standardised) -> Array:
        u_dot = s_dot.xhat * w.gain  # (N, P, C)
        return u_dot + s.xhat * w_dot.gain + w_dot.b if w_dot else u_dot

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
        shape, du, du_dot = dy.shape, self.flat(dy), self.flat(dy_dot)
        if self.activation is not None:
            u = s.xhat * w.gain + w.b
            bent = self.activation.through_dot(du, du_dot, u, self._u_dot(w, w_dot, s, s_dot))
            du, du_dot = self.activation.through(du, u), bent  # type: ignore[assignment]
        if param_grads and self.learns:
            level_dot, tilt_dot = _sums(du_dot, s.xhat, w)  # (N, C) each
            tilt_dot = tilt_dot + _sums(du, s_dot.xhat, w)[1]
            gains = lambda: over_rows(_sums(du, s.xhat, w)[1]), partial(over_rows, tilt_dot)
            self.learn_dot(w, w_dot, gain=gains, b=(partial(over_rows, rows(du)), partial(over_rows, level_dot)))
        if not need_dx:
            return None, None
        v, v_dot = du * w.gain, du_dot * w.gain  # dxhat (N, P, C) and its tangent
        if w_dot:
            v_dot += du * w_dot.gain
        dx, dx_dot = project_dot(v, v_dot, s, s_dot, self.mean)
        return dx.reshape(shape), dx_dot.reshape(shape)

    def __repr__(self) -> str:
        return f"GroupNorm({self.groups}, {self.channels})"


def _sums(du: Array, xhat: Array, w: Weights) -> tuple[Array, Array]:
    """The sums of du and of du xhat over the positions, (N, C) each; without an activation, which is behind du already."""
    return normalise.sums(du, xhat, w.gain, w.b)


class InstanceNorm(GroupNorm):
    """Every channel a group of its own: mean 0 and variance 1 over the positions of a row (Ulyanov et al. 2016).

    Raises ValueError as GroupNorm does: x needs at least two positions.
    """

    def __init__(self, channels: int, *, activation: Elementwise | None = None, eps: float = 1e-5) -> None:
        super().__init__(channels, channels, activation=activation, eps=eps)

    def __repr__(self) -> str:
        return f"InstanceNorm({self.channels})"

"""BatchNorm: every channel standardised over batch and pixels, then scaled and shifted (Ioffe and Szegedy 2015).

    y = f(u),   u = gain xhat + b,   xhat = (x - mean) r,   r = 1 / sqrt(var + eps)

f is an activation, or nothing. backward, with du = dy f'(u) and sums over all values of a channel:
    dgain = sum du xhat     db = sum du
    in training, mean and var are the batch's and depend on x: dx = J (du gain), J as in standardise.py. The gain is constant
        where J takes its means, so they are the two sums again: dx = gain r (du - (db + xhat dgain) / R)
    in evaluation, mean and var are running estimates, constants: dx = gain r du

Two functions with two gradients: a cache remembers which of them made it.

The passes over memory that this takes, with f in them, are kernels/normalise.

C channels, R = N H W the values in a channel; "..." any number of leading axes.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array, Shape, real_dtype, zeros
from ..kernels import average, normalise
from ..random import Key
from . import initialisers
from .elementwise import Elementwise
from .layer import Layer, Weights
from .standardise import Standardised, after, project_dot, standardise_dot
from .vector import Spec


class BatchNormCache(NamedTuple):
    s: Standardised  # xhat (..., C), r (1, C)
    w: Weights | None  # gain (C,), b (C,)
    batch: tuple[Array, Array] | None  # mean and var (1, C) of the batch; None in evaluation


class BatchNorm(Layer):
    """(..., C) -> (..., C), each channel with mean 0 and variance 1 over all other axes, times gain, plus b.

    In training, `commit` moves the running estimates, running += momentum (batch - running), one call after the other. As in
    PyTorch, xhat is made with the biased variance (a mean over R) and the running estimate takes the unbiased one (R - 1).
    The activation is a (leaky) ReLU or a SiLU, and spares a layer of its own, with one pass over memory less each way. Raises
    ValueError on another one, where x does not have C channels, and in training where a channel has fewer than two values.
    """

    mixes_batch = True

    def __init__(
        self, channels: int, *, activation: Elementwise | None = None, momentum: float = 0.1, eps: float = 1e-5
    ) -> None:
        super().__init__(gain=Spec((channels,), initialisers.ones), b=Spec((channels,), initialisers.zeros))
        self.channels, self.momentum, self.eps = channels, momentum, eps
        self.activation, self.after = activation, after(self, activation)

    def begin_state(self, key: Key) -> None:
        super().begin_state(key)
        gain = self.params["gain"]
        self.state["mean"] = zeros(gain.shape, real_dtype(gain.dtype), like=gain)
        self.state["var"] = zeros(gain.shape, real_dtype(gain.dtype), like=gain) + 1

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, BatchNormCache]:
        if x.shape[-1] != self.channels:
            raise ValueError(f"BatchNorm({self.channels}) got x of shape {x.shape}: its last axis must be {self.channels}")
        w, values = self.weights(), x.reshape(1, -1, self.channels)  # (1, R, C)
        batch: tuple[Array, Array] | None = None
        if not train:
            mean, r = self.state["mean"][None], (self.state["var"][None] + self.eps) ** -0.5  # (1, C) each
        elif x.size < 2 * self.channels:
            raise ValueError(
                f"BatchNorm({self.channels}) in training got x of shape {x.shape}: a channel needs two values or more to have "
                "a variance. Use a larger batch, or train=False"
            )
        else:
            mean, var, r = normalise.statistics(values, eps=self.eps)  # (1, C) each
            batch = mean, var
        xhat, y = normalise.scale(values, mean, r, w.gain, w.b, **self.after)
        return y.reshape(x.shape), BatchNormCache(Standardised(xhat.reshape(x.shape), r), w, batch)

    def backward(self, dy: Array, cache: BatchNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, s, learns = self.weights(cache), cache.s, param_grads and self.learns
        values = dy.reshape(1, -1, self.channels), s.xhat.reshape(1, -1, self.channels)  # (1, R, C) each
        level, tilt = normalise.sums(*values, w.gain, w.b, **self.after)  # (1, C) each
        if learns:
            self.learn(w, gain=tilt[0], b=level[0])
        if not need_dx:
            return None
        moving = cache.batch is not None
        dx = normalise.gradient(*values, w.gain, w.b, s.r, level, tilt, moving=moving, **self.after)
        return dx.reshape(dy.shape)

    def jvp(self, x_dot: Array, cache: BatchNormCache, *, move_params: bool = False) -> tuple[Array, BatchNormCache]:
        w, s = self.weights(cache), cache.s
        w_dot = self.weights_dot(w, move_params)
        s_dot = standardise_dot(x_dot, s, _axes(x_dot)) if cache.batch else Standardised(x_dot * s.r, 0 * s.r)
        u_dot = self._u_dot(w, w_dot, s, s_dot)
        y_dot = u_dot if self.activation is None else self.activation.through(u_dot, s.xhat * w.gain + w.b)
        return y_dot, BatchNormCache(s_dot, w_dot, None)

    def _u_dot(self, w: Weights, w_dot: Weights | None, s: Standardised, s_dot: Standardised) -> Array:
        u_dot = s_dot.xhat * w.gain
        return u_dot + s.xhat * w_dot.gain + w_dot.b if w_dot else u_dot

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: BatchNormCache,
        tangents: BatchNormCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot, s, s_dot, axes = self.weights(cache), tangents.w, cache.s, tangents.s, _axes(dy)
        if self.activation is not None:
            u = s.xhat * w.gain + w.b
            bent = self.activation.through_dot(dy, dy_dot, u, self._u_dot(w, w_dot, s, s_dot))
            dy, dy_dot = self.activation.through(dy, u), bent  # type: ignore[assignment]  # du and du_dot
        if param_grads and self.learns:
            gain_dot = (dy_dot * s.xhat + dy * s_dot.xhat).sum(axes)
            self.learn_dot(
                w, w_dot, gain=(lambda: (dy * s.xhat).sum(axes), gain_dot), b=(lambda: dy.sum(axes), dy_dot.sum(axes))
            )
        if not need_dx:
            return None, None
        u, u_dot = dy * w.gain, dy_dot * w.gain  # dxhat (..., C) and its tangent
        if w_dot:
            u_dot += dy * w_dot.gain
        return project_dot(u, u_dot, s, s_dot, axes) if cache.batch else (u * s.r, u_dot * s.r)

    def commit(self, cache: BatchNormCache) -> None:
        super().commit(cache)
        if cache.batch:
            mean, var = (value.real.reshape(-1) for value in cache.batch)  # statistics stay real in a complex twin
            R = cache.s.xhat.size // self.channels
            for name, new in (("mean", mean), ("var", var * (R / (R - 1)))):
                moved = self.state[name].copy()
                average.step(moved, new, self.momentum)
                self.state[name] = moved


def _axes(x: Array) -> Shape:
    """Every axis but the last."""
    return tuple(range(x.ndim - 1))

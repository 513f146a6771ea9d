"""Layers that let a discriminator see how rows differ from each other: a generator that always draws the same is found out.

MinibatchStd (Karras et al. 2018, "Progressive growing of GANs", section 3): how much the numbers of a place vary over the g
rows of a group, on average, as one more channel f, the same in every place of the group:

    c_i = x_i - mean over the group     s = sqrt(mean of c^2 + eps)     f = mean of s over places and channels

    s_dot = mean over the group of u_i x_dot_i, with u = c / s (the mean inside c drops out, for u sums to zero), so
    dx_i += u_i df / (g P C)            df: the sum of dy over all places that received f

MinibatchDiscrimination (Salimans et al. 2016, section 3.2): each row becomes B points of E numbers, m = x W, and is told for
each of them how close the other rows' points are:

    k_ij = exp(-|m_i - m_j|_1)          o_i = sum over j of k_ij        (k_ii = 1)

    k_ij moves with m_i and, as k_ji, with m_j; with sign_ij = sign(m_i - m_j) therefore
    dm_i = -sum over j of k_ij (do_i + do_j) sign_ij,   then as in Linear

    All four passes over the pairs are in kernels/pairs, which makes k anew in each.

N batch, P positions, C channels, g rows of a group; A inputs, B kernels of E dims.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..backend import Array, empty
from ..kernels import pairs
from ..kernels.combine import add, concatenate
from ..kernels.matmul import matmul
from ..random import Key
from .initialisers import fan_in_uniform
from .layer import Layer, Weights
from .vector import Initialiser, Spec


class MinibatchStdCache(NamedTuple):
    u: Array  # (N / g, g, P, C), centred over the group and divided by s
    s: Array  # (N / g, 1, P, C)


class MinibatchStd(Layer):
    """(N, ..., C) -> (N, ..., C + 1). Each `group` rows side by side form a group; None, or more than N: the whole batch.

    Raises ValueError on an empty batch, and where `group` does not divide it.
    """

    mixes_batch = True

    def __init__(self, group: int | None = 4, *, eps: float = 1e-8) -> None:
        super().__init__()
        self.group, self.eps = group, eps

    def grouped(self, x: Array) -> Array:
        """(N, ..., C) -> (N / g, g, P, C)."""
        g = min(self.group or len(x), len(x))
        return x.reshape(len(x) // g, g, math.prod(x.shape[1:-1]), x.shape[-1])

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, MinibatchStdCache]:
        if x.ndim < 2 or not x.size or (self.group and len(x) > self.group and len(x) % self.group):
            raise ValueError(
                f"MinibatchStd({self.group}) got x of shape {x.shape}: it takes (N, ..., C), N a multiple of the group"
            )
        c = self.grouped(x)
        c = c - c.mean(1, keepdims=True)
        s = ((c * c).mean(1, keepdims=True) + self.eps) ** 0.5
        return self._widened(x, s), MinibatchStdCache(c / s, s)

    def backward(self, dy: Array, cache: MinibatchStdCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        if not need_dx:
            return None
        dx, df = self._parts(dy)
        return dx + (cache.u * df).reshape(dx.shape)

    def jvp(self, x_dot: Array, cache: MinibatchStdCache, *, move_params: bool = False) -> tuple[Array, MinibatchStdCache]:
        u, s = cache
        c_dot = self.grouped(x_dot)
        c_dot = c_dot - c_dot.mean(1, keepdims=True)
        s_dot = (u * c_dot).mean(1, keepdims=True)
        return self._widened(x_dot, s_dot), MinibatchStdCache((c_dot - u * s_dot) / s, s_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: MinibatchStdCache,
        tangents: MinibatchStdCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        (dx, df), (dx_dot, df_dot) = self._parts(dy), self._parts(dy_dot)
        moved = cache.u * df_dot + tangents.u * df
        return dx + (cache.u * df).reshape(dx.shape), dx_dot + moved.reshape(dx.shape)

    def _widened(self, x: Array, s: Array) -> Array:
        """x (N, ..., C) and, as one more channel, the mean of s (N / g, 1, P, C) over P and C."""
        y = empty((*x.shape[:-1], x.shape[-1] + 1), x.dtype, like=x)
        y[..., :-1] = x
        self.grouped(y)[..., -1] = s.mean((2, 3))[..., None]
        return y

    def _parts(self, dy: Array) -> tuple[Array, Array]:
        """What of dy (N, ..., C + 1) belongs to x, and df / (g P C) of each group, (N / g, 1, 1, 1)."""
        groups = self.grouped(dy)
        _, g, P, wide = groups.shape
        df = groups[..., -1:].sum((1, 2), keepdims=True)
        return dy[..., :-1], df / (g * P * (wide - 1))


class MinibatchDiscriminationCache(NamedTuple):
    x: Array  # (N, A)
    m: Array  # (N, B, E)
    w: Weights | None  # W (A, B E)


class MinibatchDiscrimination(Layer):
    """(N, inputs) -> (N, inputs + kernels): x, and beside it o. W is (inputs, kernels * dims).

    |.| branches on the real part. Time grows with N^2 kernels dims, and what is kept with N. Raises ValueError where x is not
    (N, inputs), and on an empty batch.
    """

    mixes_batch = True

    def __init__(self, inputs: int, kernels: int, dims: int, *, initialiser: Initialiser = fan_in_uniform) -> None:
        super().__init__(W=Spec((inputs, kernels * dims), initialiser))
        self.inputs, self.kernels, self.dims = inputs, kernels, dims

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, MinibatchDiscriminationCache]:
        if x.ndim != 2 or x.shape[1] != self.inputs or not len(x):
            raise ValueError(
                f"MinibatchDiscrimination({self.inputs}, {self.kernels}, {self.dims}) got x of shape {x.shape}: it takes "
                f"(N, {self.inputs}), with rows"
            )
        w = self.weights()
        m = self._points(matmul(x, w.W))
        return concatenate((x, pairs.forward(m)), 1), MinibatchDiscriminationCache(x, m, w)

    def backward(
        self, dy: Array, cache: MinibatchDiscriminationCache, *, need_dx: bool = True, param_grads: bool = True
    ) -> Array | None:
        w, (straight, do) = self.weights(cache), self._parts(dy)
        dm = pairs.gradient(do, cache.m).reshape(len(dy), -1)  # (N, B E)
        if param_grads and self.learns:
            self.learn(w, W=lambda **into: matmul(cache.x, dm, transpose_a=True, **into))
        return add(straight, matmul(dm, w.W, transpose_b=True)) if need_dx else None

    def jvp(
        self, x_dot: Array, cache: MinibatchDiscriminationCache, *, move_params: bool = False
    ) -> tuple[Array, MinibatchDiscriminationCache]:
        w = self.weights(cache)
        w_dot = self.weights_dot(w, move_params)
        m_dot = matmul(x_dot, w.W)
        if w_dot:
            matmul(cache.x, w_dot.W, out=m_dot, accumulate=True)
        m_dot = self._points(m_dot)
        return concatenate((x_dot, pairs.tangent(m_dot, cache.m)), 1), MinibatchDiscriminationCache(x_dot, m_dot, w_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: MinibatchDiscriminationCache,
        tangents: MinibatchDiscriminationCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        w, w_dot, x = self.weights(cache), tangents.w, cache.x
        (straight, do), (straight_dot, do_dot) = self._parts(dy), self._parts(dy_dot)
        dm, dm_dot = (d.reshape(len(dy), -1) for d in pairs.gradient_dot(do, do_dot, tangents.m, cache.m))  # (N, B E)
        if param_grads and self.learns:
            dW_dot = matmul(tangents.x, dm, transpose_a=True)
            matmul(x, dm_dot, transpose_a=True, out=dW_dot, accumulate=True)
            self.learn_dot(w, w_dot, W=(lambda: matmul(x, dm, transpose_a=True), dW_dot))
        if not need_dx:
            return None, None
        through = matmul(dm_dot, w.W, transpose_b=True)
        if w_dot:
            matmul(dm, w_dot.W, transpose_b=True, out=through, accumulate=True)
        return add(straight, matmul(dm, w.W, transpose_b=True)), add(straight_dot, through)

    def _points(self, m: Array) -> Array:
        """(N, B E) -> (N, B, E)."""
        return m.reshape(len(m), self.kernels, self.dims)

    def _parts(self, dy: Array) -> tuple[Array, Array]:
        """What of dy (N, A + B) belongs to x, and do (N, B)."""
        return dy[:, : self.inputs], dy[:, self.inputs :]

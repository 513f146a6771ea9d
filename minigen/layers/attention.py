"""Attention (Vaswani et al. 2017): every position takes a mean of all values, weighted by how its query fits their keys.

    s = q k' / sqrt(d)     p = softmax(s) over the keys     y = p v            in every row and head by itself

backward, latest line first. A softmax row p_u = e^(s_u) / sum_w e^(s_w) has dp_u/ds_w = p_u ([u = w] - p_w), so

    dv = p' dy             dp = dy v'
    c  = dp - sum_u p_u dp_u          ds = p c                         c: dp without its mean under p
    dq = ds k / sqrt(d)    dk = ds' q / sqrt(d)

jvp is the same softmax rule, p_dot = p (s_dot - sum_u p_u s_dot_u); backward_jvp is the product rule on each line of backward.
Causal: s_tu = -infinity for u > t. Then p is exactly 0 there, and so is everything that p multiplies.

N batch, T queries, S keys and values (in self-attention S = T), h heads, d channels of a head, C = h d.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, Shape, array_module
from ..random import Key
from .combine import Split
from .composite import Composite
from .layer import Layer
from .linear import Linear
from .tree import Tree

Three = tuple[Array, Array, Array]


class AttentionCache(NamedTuple):
    q: Array  # (N, h, T, d)
    k: Array  # (N, h, S, d)
    v: Array  # (N, h, S, d)
    p: Array  # (N, h, T, S)
    shapes: tuple[Shape, Shape]  # of q, and of k and v, as they came


class ScaledDotProduct(Layer):
    """q (N, ..., C), k and v (N, ..., C) -> y, shaped like q: attention in `heads` groups of channels, without parameters.

    q has T positions, k and v have S; positions of an image count row by row. `causal` needs S = T, lets position t see none
    after it, and streams. Raises ValueError where shapes do not fit or the heads do not divide the channels.
    """

    def __init__(self, heads: int = 1, *, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal

    def apart(self, x: Array) -> Array:
        """(N, ..., C) -> (N, h, T, d)."""
        N, *positions, C = x.shape
        return x.reshape(N, math.prod(positions), self.heads, C // self.heads).swapaxes(1, 2)

    def probabilities(self, q: Array, k: Array, causal: bool) -> Array:
        """p (N, h, T, S). Shifting s by the largest one of a query changes nothing and keeps e^s from overflowing."""
        s = q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3])
        if causal:
            s = np.where(array_module(q).tri(*s.shape[2:], dtype=bool), s, -math.inf)
        p = np.exp(s - s.real.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True)

    def forward(self, x: Three, *, train: bool = False, key: Key | None = None) -> tuple[Array, AttentionCache]:
        self._check(*(part.shape for part in x))
        q, k, v = (self.apart(part) for part in x)
        p = self.probabilities(q, k, self.causal)
        return together(p @ v, x[0].shape), AttentionCache(q, k, v, p, (x[0].shape, x[1].shape))

    def backward(self, dy: Array, cache: AttentionCache, *, need_dx: bool = True, param_grads: bool = True) -> Three | None:
        if not need_dx:
            return None
        q, k, v, p, shapes = cache
        dy, scale = self.apart(dy), 1 / math.sqrt(q.shape[3])
        dv = p.swapaxes(2, 3) @ dy
        ds = p * centred(dy @ v.swapaxes(2, 3), p)
        dq, dk = scale * (ds @ k), scale * (ds.swapaxes(2, 3) @ q)
        return together(dq, shapes[0]), together(dk, shapes[1]), together(dv, shapes[1])

    def jvp(self, x_dot: Three, cache: AttentionCache, *, move_params: bool = False) -> tuple[Array, AttentionCache]:
        q, k, v, p, shapes = cache
        q_dot, k_dot, v_dot = (self.apart(part) for part in x_dot)
        s_dot = (q_dot @ k.swapaxes(2, 3) + q @ k_dot.swapaxes(2, 3)) / math.sqrt(q.shape[3])
        p_dot = p * centred(s_dot, p)
        y_dot = p_dot @ v + p @ v_dot
        return together(y_dot, shapes[0]), AttentionCache(q_dot, k_dot, v_dot, p_dot, shapes)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: AttentionCache,
        tangents: AttentionCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Three | None, Three | None]:
        if not need_dx:
            return None, None
        q, k, v, p, shapes = cache
        q_dot, k_dot, v_dot, p_dot, _ = tangents
        dx = self.backward(dy, cache)
        dy, dy_dot, scale = self.apart(dy), self.apart(dy_dot), 1 / math.sqrt(q.shape[3])

        dv_dot = p_dot.swapaxes(2, 3) @ dy + p.swapaxes(2, 3) @ dy_dot
        dp = dy @ v.swapaxes(2, 3)
        dp_dot = dy_dot @ v.swapaxes(2, 3) + dy @ v_dot.swapaxes(2, 3)
        c = centred(dp, p)
        c_dot = centred(dp_dot, p) - (p_dot * dp).sum(-1, keepdims=True)
        ds, ds_dot = p * c, p_dot * c + p * c_dot
        dq_dot = scale * (ds_dot @ k + ds @ k_dot)
        dk_dot = scale * (ds_dot.swapaxes(2, 3) @ q + ds.swapaxes(2, 3) @ q_dot)
        return dx, (together(dq_dot, shapes[0]), together(dk_dot, shapes[1]), together(dv_dot, shapes[1]))

    # ---- one position at a time: the memory holds the keys and values of all positions before

    def stream(self, batch: int, width: int | None = None) -> Any:
        return {} if self.causal else super().stream(batch)

    def advance(self, x_t: Three, memory: Any) -> Array:
        q, k, v = (self.apart(part[:, None]) for part in x_t)  # (N, h, 1, d)
        if memory:  # copying what is there costs no more than the attention to it
            k, v = np.concatenate((memory["k"], k), 2), np.concatenate((memory["v"], v), 2)
        memory.update(k=k, v=v)
        return together(self.probabilities(q, k, False) @ v, x_t[0].shape)

    def _check(self, q: Shape, k: Shape, v: Shape) -> None:
        if min(len(q), len(k)) < 3 or k != v or q[0] != k[0] or q[-1] != k[-1] or not math.prod((*q[1:], *k[1:])):
            fault = "q must be (N, ..., C), and k and v of one shape (N, ..., C) with q's rows and channels"
        elif q[-1] % self.heads:
            fault = f"{self.heads} heads do not divide {q[-1]} channels: use another number"
        elif self.causal and q[:-1] != k[:-1]:
            fault = "causal attention needs as many keys as queries"
        else:
            return
        raise ValueError(f"ScaledDotProduct({self.heads}) got q {q}, k {k}, v {v}: {fault}")


def centred(u: Array, p: Array) -> Array:
    """u (..., S) without its mean under p: times p, what softmax makes of u, there and back."""
    return u - (p * u).sum(-1, keepdims=True)


def together(y: Array, shape: Shape) -> Array:
    """(N, h, T, d) -> `shape`, (N, ..., C)."""
    return y.swapaxes(1, 2).reshape(shape)


class MultiHeadAttention(Composite):
    """(N, ..., C) -> (N, ..., C), self-attention: queries, keys and values by one Linear, attention, and a Linear out.

        q, k, v = x Wqkv,   y = attention(q, k, v) W + b        Wqkv (C, 3 C), W (C, C), b (C,)

    Wqkv comes without a bias unless `bias` is set: that of k adds the same to every s of a query, which softmax does not see,
    so its gradient is zero; that of v only adds to b.

    For sequences (N, T, C) and, row by row, images (N, H, W, C). `causal` lets position t see none after it, and streams.
    Raises ValueError where the heads do not divide the channels, and where x does not have C channels.
    """

    def __init__(self, channels: int, heads: int = 1, *, causal: bool = False, bias: bool = False) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"MultiHeadAttention: {heads} heads do not divide {channels} channels: use another number")
        self.qkv = Linear(channels, 3 * channels, bias=bias)
        self.split = Split((channels, channels, channels))
        self.attend = ScaledDotProduct(heads, causal=causal)
        self.out = Linear(channels, channels)

    def wire(self, f: Any, x: Tree) -> Tree:
        return f.out(f.attend(f.split(f.qkv(x))))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        return b.qkv(b.split(b.attend(b.out(dy))), need_dx=b.need_dx)

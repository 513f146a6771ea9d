"""Attention (Vaswani et al. 2017): every position takes a mean of all values, weighted by how its query fits their keys.

    s = q k' / sqrt(d)     p = softmax(s) over the keys     y = p v            in every row and head by itself

forward and backward are those of `kernels/attention`, which derives them and never keeps p: of every query it keeps log_sum,
the logarithm of the sum of e^s. Second order makes p anew and differentiates line by line, p being e^(s - log_sum):

    jvp            s_dot = (q_dot k' + q k_dot') / sqrt(d)          log_sum_dot = sum_u p_u s_dot_u
                   p_dot = p (s_dot - log_sum_dot)                  y_dot = p_dot v + p v_dot

    backward       dv = p' dy          dp = dy v'                       fall = sum_u p_u dp_u
                   ds = p (dp - fall)  dq = ds k / sqrt(d)              dk = ds' q / sqrt(d)

    backward_jvp   the product rule on each line of backward

Causal: s_tu = -infinity for u > t. Then p is exactly 0 there, and so is everything that p multiplies.

N batch, T queries, S keys and values (in self-attention S = T), h heads, d channels of a head, C = h d, B = N h.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..backend import Array, Shape
from ..kernels import attention
from ..kernels.combine import concatenate, contiguous
from ..random import Key
from .combine import Split
from .composite import Composite
from .layer import Layer
from .linear import Linear
from .tree import Tree

Three = tuple[Array, Array, Array]


class AttentionCache(NamedTuple):
    q: Array  # (B, T, d)
    k: Array  # (B, S, d)
    v: Array  # (B, S, d)
    y: Array  # (B, T, d)
    log_sum: Array  # (B, T)
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
        """(N, ..., C) -> (N h, T, d)."""
        N, *positions, C = x.shape
        T, d = math.prod(positions), C // self.heads
        return contiguous(x.reshape(N, T, self.heads, d).swapaxes(1, 2)).reshape(N * self.heads, T, d)

    def together(self, y: Array, shape: Shape) -> Array:
        """(N h, T, d) -> `shape`, (N, ..., C)."""
        _, T, d = y.shape
        return y.reshape(shape[0], self.heads, T, d).swapaxes(1, 2).reshape(shape)

    def forward(self, x: Three, *, train: bool = False, key: Key | None = None) -> tuple[Array, AttentionCache]:
        self._check(*(part.shape for part in x))
        q, k, v = (self.apart(part) for part in x)
        y, log_sum = attention.forward(q, k, v, causal=self.causal)
        return self.together(y, x[0].shape), AttentionCache(q, k, v, y, log_sum, (x[0].shape, x[1].shape))

    def backward(self, dy: Array, cache: AttentionCache, *, need_dx: bool = True, param_grads: bool = True) -> Three | None:
        if not need_dx:
            return None
        *kept, shapes = cache
        dq, dk, dv = attention.gradient(self.apart(dy), *kept, causal=self.causal)
        return self.together(dq, shapes[0]), self.together(dk, shapes[1]), self.together(dv, shapes[1])

    def jvp(self, x_dot: Three, cache: AttentionCache, *, move_params: bool = False) -> tuple[Array, AttentionCache]:
        q, k, v, _, _, shapes = cache
        q_dot, k_dot, v_dot = (self.apart(part) for part in x_dot)
        p, s_dot = attention.weights(q, k, causal=self.causal), moved_scores(q, k, q_dot, k_dot)
        log_sum_dot = (p * s_dot).sum(-1)
        p_dot = p * (s_dot - log_sum_dot[..., None])
        y_dot = p_dot @ v + p @ v_dot
        return self.together(y_dot, shapes[0]), AttentionCache(q_dot, k_dot, v_dot, y_dot, log_sum_dot, shapes)

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
        q, k, v, _, _, shapes = cache
        q_dot, k_dot, v_dot, _, log_sum_dot, _ = tangents
        dx = self.backward(dy, cache)
        dy, dy_dot, scale = self.apart(dy), self.apart(dy_dot), 1 / math.sqrt(q.shape[2])

        p = attention.weights(q, k, causal=self.causal)
        p_dot = p * (moved_scores(q, k, q_dot, k_dot) - log_sum_dot[..., None])
        dv_dot = p_dot.swapaxes(1, 2) @ dy + p.swapaxes(1, 2) @ dy_dot
        dp, dp_dot = dy @ v.swapaxes(1, 2), dy_dot @ v.swapaxes(1, 2) + dy @ v_dot.swapaxes(1, 2)
        above = dp - (p * dp).sum(-1, keepdims=True)  # dp - fall
        above_dot = dp_dot - (p_dot * dp + p * dp_dot).sum(-1, keepdims=True)
        ds, ds_dot = p * above, p_dot * above + p * above_dot
        dq_dot = scale * (ds_dot @ k + ds @ k_dot)
        dk_dot = scale * (ds_dot.swapaxes(1, 2) @ q + ds.swapaxes(1, 2) @ q_dot)
        return dx, (self.together(dq_dot, shapes[0]), self.together(dk_dot, shapes[1]), self.together(dv_dot, shapes[1]))

    # ---- one position at a time: the memory holds the keys and values of all positions before

    def stream(self, batch: int, width: int | None = None) -> Any:
        return {} if self.causal else super().stream(batch)

    def advance(self, x_t: Three, memory: Any) -> Array:
        q, k, v = (self.apart(part[:, None]) for part in x_t)  # (N h, 1, d)
        if memory:  # copying what is there costs no more than the attention to it
            k, v = concatenate((memory["k"], k), 1), concatenate((memory["v"], v), 1)
        memory.update(k=k, v=v)
        y, _ = attention.forward(q, k, v)
        return self.together(y, x_t[0].shape)

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


def moved_scores(q: Array, k: Array, q_dot: Array, k_dot: Array) -> Array:
    """s_dot (B, T, S)."""
    s_dot: Any = (q_dot @ k.swapaxes(1, 2) + q @ k_dot.swapaxes(1, 2)) / math.sqrt(q.shape[2])
    return s_dot


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

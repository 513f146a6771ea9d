"""Attention, plainly (Vaswani et al. 2017).

    s = q k' / sqrt(d)      p = softmax(s) over the keys      y = p v              in every row and head by itself

A softmax row p_u = e^(s_u) / sum_w e^(s_w) = e^(s_u - log_sum) has dp_u/ds_w = p_u ([u = w] - p_w). So, latest line first,

    dv = p' dy              dp = dy v'
    fall = sum_u p_u dp_u   ds = p (dp - fall)
    dq = ds k / sqrt(d)     dk = ds' q / sqrt(d)

p needs no softmax on the way back: log_sum, a number for every query, makes it from s. `fall` does not even need p: since y is
the mean of v under p, it is dy . y (Dao et al. 2022). A rung that meets the keys once takes it from there. Summed as above, it
loses nothing where one weight is nearly 1, and dp - fall nearly 0.

Causal: s_tu = -infinity for u > t. Then p is exactly 0 there, and so is everything that p multiplies.

Legend: B rows times heads, T queries, S keys, d channels of a head. q, y (B, T, d), k, v (B, S, d), log_sum (B, T),
p (B, T, S).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.backend import Array, array_module


def forward(q: Array, k: Array, v: Array, *, causal: bool = False) -> tuple[Array, Array]:
    """y and log_sum. To take off a query's largest s changes nothing and keeps e^s from overflowing."""
    s = _scores(q, k, causal)
    top = s.real.max(-1)
    e = np.exp(s - top[..., None])
    total = e.sum(-1)
    return e @ v / total[..., None], top + np.log(total)


def gradient(
    dy: Array, q: Array, k: Array, v: Array, y: Array, log_sum: Array, *, causal: bool = False
) -> tuple[Array, Array, Array]:
    """dq, dk and dv."""
    p, scale = np.exp(_scores(q, k, causal) - log_sum[..., None]), 1 / math.sqrt(q.shape[2])
    dp = dy @ v.swapaxes(1, 2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))
    return scale * (ds @ k), scale * (ds.swapaxes(1, 2) @ q), p.swapaxes(1, 2) @ dy


def weights(q: Array, k: Array, *, causal: bool = False) -> Array:
    """p (B, T, S). It adds up to 1 whatever rung made log_sum, which of large s has few digits behind the point."""
    s = _scores(q, k, causal)
    e = np.exp(s - s.real.max(-1, keepdims=True))
    p: Any = e / e.sum(-1, keepdims=True)
    return p


def _scores(q: Array, k: Array, causal: bool) -> Array:
    s = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[2])
    return np.where(array_module(q).tri(*s.shape[1:], dtype=bool), s, -math.inf) if causal else s

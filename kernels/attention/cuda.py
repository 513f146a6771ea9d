"""Attention and its gradients on a GPU, in CUDA C (`flash.cu`), without the matrix of weights. The formulas are
in `definition.py`.

Against the definition: there p (B, T, S) is written and read several times, and is most of the memory.
Here it is made 16 by 16 in shared memory, there and once more on the way back.

Error: (S + d) u relative to the largest |v|, beside that of s, u = 2^-24.

Legend: B rows times heads, T queries, S keys, d channels of a head.
"""

from __future__ import annotations

import math

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import launch

SIDE, WIDEST = 16, 128  # as in flash.cu


def forward(q: Array, k: Array, v: Array, *, causal: bool = False) -> tuple[Array, Array]:
    """y (B, T, d) and log_sum (B, T), which `gradient` needs, of q (B, T, d) and k, v (B, S, d).

    Raises ValueError where a head has more than 128 channels, or causal attention unlike numbers of queries and keys.
    """
    _check(q, k, causal)
    y, log_sum = empty_like(q), empty(q.shape[:2], q.dtype, like=q)
    _launch("attention_forward", q, q, k, causal, *map(contiguous, (q, k, v)), y, log_sum)
    return y, log_sum


def gradient(
    dy: Array, q: Array, k: Array, v: Array, y: Array, log_sum: Array, *, causal: bool = False
) -> tuple[Array, Array, Array]:
    """dq (B, T, d), dk and dv (B, S, d), of dy and what forward had and gave."""
    _check(q, k, causal)
    dy, q, k, v, y, log_sum = map(contiguous, (dy, q, k, v, y, log_sum))
    dq, dk, dv, fall = empty_like(q), empty_like(k), empty_like(v), empty_like(log_sum)
    _launch("attention_of_queries", q, q, k, causal, q, k, v, y, dy, log_sum, fall, dq)
    _launch("attention_of_keys", k, q, k, causal, q, k, v, dy, log_sum, fall, dk, dv)
    return dq, dk, dv


def _launch(kernel: str, mine: Array, q: Array, k: Array, causal: bool, *arrays: Array) -> None:
    """`mine` (B, rows, d): what the blocks are shared out over."""
    grid = (mine.shape[0] * -(-mine.shape[1] // SIDE),)
    sizes = q.shape[1], k.shape[1], q.shape[2], 1 / math.sqrt(q.shape[2]), int(causal)
    launch("attention/flash.cu", kernel, grid, (SIDE, SIDE), *arrays, *sizes)


def _check(q: Array, k: Array, causal: bool) -> None:
    if q.shape[2] > WIDEST:
        raise ValueError(f"attention: {q.shape[2]} channels of a head, and the kernel has room for {WIDEST}: use more heads")
    if causal and q.shape[1] != k.shape[1]:
        raise ValueError(f"attention: causal, with {q.shape[1]} queries and {k.shape[1]} keys: they must be as many")

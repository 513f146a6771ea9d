"""Attention and its gradients without the matrix of weights: every query a mean of all values.

A row and a head of it are one: q (B, T, d), k and v (B, S, d). The formulas are in `definition.py`; `weights` is that matrix
after all, for second order.
"""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder
from .definition import weights

__all__ = ["forward", "gradient", "weights"]

LADDER = Ladder(__name__, numba="streamed", numba_from=1 << 14)  # work: multiplications of the scores


def forward(q: Array, k: Array, v: Array, *, causal: bool = False) -> tuple[Array, Array]:
    """y (B, T, d) and log_sum (B, T), which `gradient` needs, of q (B, T, d) and k, v (B, S, d); T and S at least 1.

    `causal` lets query t see no key after t. Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    arguments.same_kind("attention.forward", q=q, k=k, v=v)
    _check("attention.forward", q, k, v, causal)
    made: tuple[Array, Array] = _rung(q, k, v).forward(q, k, v, causal=causal)
    return made


def gradient(
    dy: Array, q: Array, k: Array, v: Array, y: Array, log_sum: Array, *, causal: bool = False
) -> tuple[Array, Array, Array]:
    """dq (B, T, d), dk and dv (B, S, d), of dy and what `forward` had and gave. It raises as `forward` does."""
    arguments.same_kind("attention.gradient", dy=dy, q=q, k=k, v=v, y=y, log_sum=log_sum)
    _check("attention.gradient", q, k, v, causal)
    arguments.check_equal_shapes("attention.gradient", dy=dy, q=q, y=y)
    made: tuple[Array, Array, Array] = _rung(q, k, v, dy, y, log_sum).gradient(dy, q, k, v, y, log_sum, causal=causal)
    return made


def _check(operation: str, q: Array, k: Array, v: Array, causal: bool) -> None:
    arguments.check_ndim(operation, 3, q=q, k=k, v=v)
    if k.shape != v.shape or q.shape[::2] != k.shape[::2] or not (q.shape[1] and k.shape[1]):
        raise ValueError(f"{operation}: q {q.shape}, k {k.shape}, v {v.shape} must be (B, T, d), (B, S, d) and (B, S, d)")
    if causal and q.shape[1] != k.shape[1]:
        raise ValueError(f"{operation}: causal, with {q.shape[1]} queries and {k.shape[1]} keys: they must be as many")


def _rung(q: Array, k: Array, *others: Array) -> Any:
    """The CUDA kernels have room for so many channels: heads that are wider take the definition."""
    if LADDER.cuda_fits(q, k, *others) and q.shape[2] > LADDER.load("cuda").WIDEST:
        return LADDER.load(LADDER.definition)
    return LADDER.choose(q.size * k.shape[1], q, k, *others)

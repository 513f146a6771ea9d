"""What a player of an adversarial game pays, in one pass. The formulas are in `definition.py`.

Against the definition: there are few logits, one for each row of a batch, and what takes the time is calling: the definition
calls NumPy some ten times, here is one call. It is for one thread, since a second one would wake too late.

Error: of a term 4 u of the largest of what is added in it; of the gradient 4 u of its share, or of share |l - a|, u = 2^-24.

Legend: n logits, flat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen.backend import Array, empty_like

from ..combine import contiguous
from ..jit import compiled_for_one
from ..vector_math import sigmoid, softplus


def loss(kind: str, logits: Array, a: float, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    dlogits, number = empty_like(logits), logits.dtype.type
    total = SWEEPS[kind](contiguous(logits).reshape(-1), dlogits.reshape(-1), number(a), number(scale / logits.size))
    return total / logits.size, dlogits


@compiled_for_one
def cross_entropy(l: Array, dl: Array, a: Any, share: Any) -> float:
    """Fills dl (n,) and returns the sum of softplus(l) - a l."""
    total = 0.0
    for i in range(l.shape[0]):
        total += np.float64(softplus(l[i]) - a * l[i])
        dl[i] = share * (sigmoid(l[i]) - a)
    return total


@compiled_for_one
def saturating(l: Array, dl: Array, a: Any, share: Any) -> float:
    """The same of -softplus(l)."""
    total = 0.0
    for i in range(l.shape[0]):
        total -= np.float64(softplus(l[i]))
        dl[i] = -share * sigmoid(l[i])
    return total


@compiled_for_one
def squares(l: Array, dl: Array, a: Any, share: Any) -> float:
    """The same of (l - a)^2 / 2."""
    total = 0.0
    for i in range(l.shape[0]):
        apart = l[i] - a
        total += 0.5 * np.float64(apart) * np.float64(apart)
        dl[i] = share * apart
    return total


@compiled_for_one
def linear(l: Array, dl: Array, a: Any, share: Any) -> float:
    """The same of a l."""
    total = 0.0
    for i in range(l.shape[0]):
        total += np.float64(a * l[i])
        dl[i] = share * a
    return total


@compiled_for_one
def hinge(l: Array, dl: Array, a: Any, share: Any) -> float:
    """The same of max(0, 1 + a l); a NaN is paid."""
    total, zero, one = 0.0, l.dtype.type(0), l.dtype.type(1)
    for i in range(l.shape[0]):
        paid = one + a * l[i]
        total += np.float64(zero if paid <= zero else paid)
        dl[i] = share * a if paid > zero else zero
    return total


SWEEPS: dict[str, Callable[..., float]] = {
    "cross_entropy": cross_entropy,
    "saturating": saturating,
    "squares": squares,
    "linear": linear,
    "hinge": hinge,
}

"""What a player of an adversarial game pays for a batch of logits, plainly: the mean of f(l) over them, with f' and f''.

    kind            f(l)                    f'(l)                       f''(l)
    cross_entropy   softplus(l) - a l       s - a                       s (1 - s)       s = sigmoid(l), a the target in [0, 1]
    saturating      -softplus(l)            -s                          -s (1 - s)      without a
    squares         (l - a)^2 / 2           l - a                       1               a the target
    linear          a l                     a                           0
    hinge           max(0, 1 + a l)         a where 1 + a l > 0, or 0   0               a is 1 or -1

    value = sum f(l) / n        dlogits = scale f'(l) / n

softplus and sigmoid do not overflow (activation/definition.py); the hinge branches on the real part.

Legend: n logits of any shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array

from ..activation import definition as activation


def loss(kind: str, logits: Array, a: float, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    paid = each(kind, logits, a)
    value = paid.sum(dtype=np.result_type(paid.dtype, np.float64)) / logits.size
    return value, slope(kind, logits, a) * (scale / logits.size)


def each(kind: str, l: Array, a: float) -> Array:
    """f(l)."""
    if kind in ("cross_entropy", "saturating"):
        softplus = activation.forward("softplus", l)
        return softplus - a * l if kind == "cross_entropy" else -softplus
    if kind == "squares":
        half: Any = (l - a) ** 2 / 2
        return half
    return a * l if kind == "linear" else (1 + a * l) * ((1 + a * l).real > 0)


def slope(kind: str, l: Array, a: float) -> Array:
    """f'(l)."""
    if kind in ("cross_entropy", "saturating"):
        s = activation.sigmoid(l)
        return s - a if kind == "cross_entropy" else -s
    if kind == "squares":
        return l - a
    return np.full_like(l, a) if kind == "linear" else a * ((1 + a * l).real > 0).astype(l.dtype)


def curve(kind: str, l: Array) -> Array | float:
    """f''(l); a number where it is the same for all."""
    if kind in ("cross_entropy", "saturating"):
        s = activation.sigmoid(l)
        return s * (1 - s) if kind == "cross_entropy" else -s * (1 - s)
    return 1.0 if kind == "squares" else 0.0

"""The gated unit (van den Oord et al. 2016), plainly. x = (a | b), with t = tanh(a) and s = 1 / (1 + e^-b)

    forward     y = t s
    gradient    da = dy (1 - t^2) s,  db = dy t s (1 - s),  dx = (da | db)

Legend: C numbers that come out, "..." any axes. y, dy, a, b (..., C), x, dx (..., 2 C).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array

from ..activation.definition import sigmoid
from ..combine import concatenate


def forward(x: Array) -> Array:
    """y."""
    t, s = gates(x)
    return t * s


def gradient(dy: Array, x: Array) -> Array:
    """dx."""
    t, s = gates(x)
    return concatenate((dy * (1 - t * t) * s, dy * t * s * (1 - s)), -1)


def gates(x: Array) -> tuple[Array, Array]:
    """t and s."""
    C = x.shape[-1] // 2
    return np.tanh(x[..., :C]), sigmoid(x[..., C:])

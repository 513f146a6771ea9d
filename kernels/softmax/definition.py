"""Softmax over the last axis, plainly.

    y_k = e^x_k / sum_j e^x_j          dy_k/dx_j = y_k (delta_kj - y_j)

The matrix of slopes is symmetric, so the gradient and the tangent are one function, u -> y (u - <u, y>).

The largest number of a row is taken off first: then the largest exponent is 0, nothing overflows, and y is the same. It is the
largest real part, and a constant to the complex step.

Legend: x, y, dy, dx (..., K), K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array


def forward(x: Array) -> Array:
    """y."""
    e = np.exp(x - x.real.max(-1, keepdims=True))
    y: Any = e / e.sum(-1, keepdims=True)
    return y


def gradient(dy: Array, y: Array) -> Array:
    """dx = y (dy - <dy, y>)."""
    dx: Any = y * (dy - (dy * y).sum(-1, keepdims=True))
    return dx

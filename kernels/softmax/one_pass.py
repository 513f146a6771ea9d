"""Softmax of rows and its gradient, each row while it lies in the nearest cache. The formulas are in `definition.py`.

Against the definition: there, largest number, difference, exponential, sum and quotient are passes over all of memory. Here a
row is read once and written once; its three short loops find it in the cache. exp and the largest of a row are vector
instructions (vector_math.py).

A NaN is larger than nothing, so `top` leaves it out, and the row becomes NaN by its sum. Beside a NaN, an infinity makes one.

Error: of y (K / 16 + 8) u relative, u = 2^-24, beside what x's rounding leaves; of dx that of a sum of K products.

Legend: R rows, K classes. x, y, dy, dx (R, K).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty_like

from ..combine import contiguous
from ..jit import compiled
from ..vector_math import exp, largest


def forward(x: Array) -> Array:
    """y."""
    y = empty_like(x)
    rows(contiguous(x).reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]))
    return y


def gradient(dy: Array, y: Array) -> Array:
    """dx."""
    dx = empty_like(y)
    flat = -1, y.shape[-1]
    rows_gradient(contiguous(dy).reshape(flat), contiguous(y).reshape(flat), dx.reshape(flat))
    return dx


@compiled
def rows(x: Array, y: Array) -> None:
    """Fills y (R, K)."""
    classes = np.uint64(x.shape[1])
    for task in prange(x.shape[0]):
        row = np.uint64(task)
        top = largest(x[row])
        total = x.dtype.type(0)
        for k in range(classes):
            e = exp(x[row, k] - top)
            y[row, k] = e
            total += e
        share = x.dtype.type(1) / total
        for k in range(classes):
            y[row, k] *= share


@compiled
def rows_gradient(dy: Array, y: Array, dx: Array) -> None:
    """Fills dx (R, K)."""
    classes = np.uint64(y.shape[1])
    for task in prange(y.shape[0]):
        row = np.uint64(task)
        mean = y.dtype.type(0)
        for k in range(classes):
            mean += dy[row, k] * y[row, k]
        for k in range(classes):
            dx[row, k] = y[row, k] * (dy[row, k] - mean)

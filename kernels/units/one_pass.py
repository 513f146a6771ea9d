"""Binary units in one pass. The formulas are in `definition.py`.

Against the definition: it makes an array for the sum with the bias and for every step of a formula, on one thread, and takes
e^u for each of the two; here a is read once, and one x = e^-|u| serves both: p = 1 / (1 + x) where u > 0, else x / (1 + x), and
log(1 + e^u) = max(u, 0) + log(1 + x).

Error, of u as it is rounded, u_f = 2^-24: of p (8 + |u|) u_f p; of the sums u_f sum (6 log(1 + e^u) + |u|), which are added in
float64. In float64, with u_f = 2^-53, the additions count too: in whatever order, U - 1 of them err by (U - 1) u_f of the sum.

Legend: N rows, U units. a, p (N, U), bias (U,), the sums (N,).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..arguments import contiguous
from ..jit import CompiledTwice
from ..vector_math import exp, log1p, sigmoid


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U)."""
    p = empty_like(a)
    switch.of(a.size)(contiguous(a), contiguous(bias), p)
    return p


def summed_out(a: Array, bias: Array) -> tuple[Array, Array]:
    """-> p (N, U), the sums (N,)."""
    p, sums = empty_like(a), empty(a.shape[:1], a.dtype, like=a)
    sum_out.of(a.size)(contiguous(a), contiguous(bias), p, sums)
    return p, sums


@CompiledTwice
def switch(a: Array, bias: Array, p: Array) -> None:
    """Fills p."""
    for n in prange(a.shape[0]):
        told, on = a[n], p[n]
        for j in range(told.shape[0]):
            on[j] = sigmoid(told[j] + bias[j])


@CompiledTwice
def sum_out(a: Array, bias: Array, p: Array, sums: Array) -> None:
    """Fills p and the sums."""
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for n in prange(a.shape[0]):
        told, on = a[n], p[n]
        total = 0.0
        for j in range(told.shape[0]):
            u = told[j] + bias[j]
            x = exp(-abs(u))
            below = u < zero
            on[j] = (x if below else one) / (one + x)
            total += np.float64((zero if below else u) + log1p(x))
        sums[n] = total

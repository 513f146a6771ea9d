"""Binary units in one pass. The formulas are in `definition.py`.

Against the definition: it makes an array for the sum with the bias and for every step of a formula, on one thread, and takes
e^u for each of the two; here a is read once, and one x = e^-|u| serves both: p = 1 / (1 + x) where u > 0, else x / (1 + x), and
log(1 + e^u) = max(u, 0) + log(1 + x).

Error, of u as it is rounded, u_f = 2^-24: of p (8 + |u|) u_f p; of F u_f (sum (6 log(1 + e^u) + |u|) + 2 sum |v b|), which are
added in float64. In float64, with u_f = 2^-53, the additions count too: in whatever order, U + V of them err by (U + V) u_f of
the sum of the absolute values.

Legend: N rows, U units, V others. a, p (N, U), bias or c (U,), v (N, V), b (V,), F (N,).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice
from ..vector_math import exp, log1p, sigmoid


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U)."""
    p = empty_like(a)
    switch.of(a.size)(contiguous(a), contiguous(bias), p)
    return p


def free_energy(v: Array, b: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """-> F (N,), p (N, U)."""
    F, p = empty(a.shape[:1], a.dtype, like=a), empty_like(a)
    sum_out.of(v.size + a.size)(*map(contiguous, (v, b, a, c)), F, p)
    return F, p


@CompiledTwice
def switch(a: Array, bias: Array, p: Array) -> None:
    """Fills p."""
    for n in prange(a.shape[0]):
        told, on = a[n], p[n]
        for j in range(told.shape[0]):
            on[j] = sigmoid(told[j] + bias[j])


@CompiledTwice
def sum_out(v: Array, b: Array, a: Array, c: Array, F: Array, p: Array) -> None:
    """Fills F and p."""
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for n in prange(a.shape[0]):
        others, told, on = v[n], a[n], p[n]
        total = 0.0
        for i in range(others.shape[0]):
            total += np.float64(others[i] * b[i])
        for j in range(told.shape[0]):
            u = told[j] + c[j]
            x = exp(-abs(u))
            below = u < zero
            on[j] = (x if below else one) / (one + x)
            total += np.float64((zero if below else u) + log1p(x))
        F[n] = -total

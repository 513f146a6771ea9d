"""The Gaussian likelihood and divergence in one pass. The formulas are in `definition.py`.

Against the definition: there ten passes over memory, here one, which reads two or three arrays and writes both gradients. exp
is a polynomial (vector_math.py), so the loops are vector instructions.

e^l - 1 - l cancels where l is near 0, as it is for every latent that a model has given up: half of l^2 is left of it. So
e^l - 1 is not taken from e^l there but is a series of its own,

    e^l - 1 = l + l^2 / 2 + ... + l^8 / 8!   for |l| < 0.35, whose next term is below 3e-10.

Sums are taken in float64, of each chunk of CHUNK elements into a place of its own: a result does not depend on the number of
threads.

Error: of a term and of a gradient 4 u of the largest of what is added in it, u = 2^-24.

Legend: n numbers, flat.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange, types
from numba.extending import overload

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice
from ..vector_math import exactly, exp
from .definition import LOG_2PI

CHUNK = 4096
SMALL, ONE = np.float32(0.35), np.float32(1)
E2, E3, E4, E5, E6, E7, E8 = (np.float32(1 / math.factorial(i)) for i in range(2, 9))


def loss(mean: Array, logvar: Array, x: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-> (value, dmean, dlogvar)."""
    total, dmean, dlogvar = _run(likelihoods, scale, mean, logvar, x)
    return (total + LOG_2PI * x.size) / (2 * len(x)), dmean, dlogvar


def divergence(mean: Array, logvar: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-> (value, dmean, dlogvar)."""
    total, dmean, dlogvar = _run(divergences, scale, mean, logvar)
    return total / (2 * len(mean)), dmean, dlogvar


def _run(kernel: Any, scale: float, *values: Array) -> tuple[float, Array, Array]:
    mean = values[0]
    dmean, dlogvar, sums = empty_like(mean), empty_like(mean), empty(-(-mean.size // CHUNK), np.float64)
    flat = (contiguous(v).reshape(-1) for v in values)
    kernel.of(mean.size)(*flat, dmean.reshape(-1), dlogvar.reshape(-1), sums, mean.dtype.type(scale / len(mean)))
    return float(np.sum(sums)), dmean, dlogvar


def expm1(x: Any) -> Any:
    """e^x - 1, of a float32 or a float64 in a kernel."""
    raise NotImplementedError("a function for kernels")


@exactly
def expm1_float32(x: Any) -> Any:
    """e^x - 1."""
    near = x * (ONE + x * (E2 + x * (E3 + x * (E4 + x * (E5 + x * (E6 + x * (E7 + x * E8)))))))
    return near if abs(x) < SMALL else exp(x) - ONE


@overload(expm1, strict=False)
def _expm1(x: Any) -> Any:
    return (lambda x: expm1_float32(x)) if x == types.float32 else (lambda x: math.expm1(x))


@CompiledTwice
def likelihoods(mean: Array, logvar: Array, x: Array, dmean: Array, dlogvar: Array, sums: Array, share: Any) -> None:
    """Fills dmean and dlogvar (n,), and sums (ceil(n / CHUNK),) with those of l + e^2 p."""
    n, one, half = mean.shape[0], mean.dtype.type(1), mean.dtype.type(0.5)
    for chunk in prange(sums.shape[0]):
        begin, end = chunk * CHUNK, min(n, (chunk + 1) * CHUNK)
        m, l, of = mean[begin:end], logvar[begin:end], x[begin:end]
        dm, dl = dmean[begin:end], dlogvar[begin:end]  # from 0 on: a position that cannot be negative needs no test
        total = 0.0
        for i in range(m.shape[0]):
            error = m[i] - of[i]
            scaled = error * exp(-l[i])
            square = error * scaled
            total += np.float64(l[i] + square)
            dm[i] = share * scaled
            dl[i] = half * share * (one - square)
        sums[chunk] = total


@CompiledTwice
def divergences(mean: Array, logvar: Array, dmean: Array, dlogvar: Array, sums: Array, share: Any) -> None:
    """The same for the divergence, with sums of mean^2 + e^l - 1 - l."""
    n, half = mean.shape[0], mean.dtype.type(0.5)
    for chunk in prange(sums.shape[0]):
        begin, end = chunk * CHUNK, min(n, (chunk + 1) * CHUNK)
        m, l, dm, dl = mean[begin:end], logvar[begin:end], dmean[begin:end], dlogvar[begin:end]
        total = 0.0
        for i in range(m.shape[0]):
            beyond = expm1(l[i])
            total += np.float64(m[i] * m[i] + (beyond - l[i]))
            dm[i] = share * m[i]
            dl[i] = half * share * beyond
        sums[chunk] = total

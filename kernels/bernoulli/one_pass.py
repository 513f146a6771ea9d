"""The Bernoulli likelihood and its gradient in one pass. The formulas are in `definition.py`.

Against the definition: there about ten passes over memory, here one, which reads z and x and writes dlogits. What remains is
exp and log1p. Calls of the C library would be taken one element at a time, several times slower than NumPy's own; so in float32
both are polynomials (vector_math.py), which the compiler turns into vector instructions.

Sums are taken in float64: of each chunk of CHUNK elements into its own place in `loss`, of each row in `rows`. So a result does
not depend on the number of threads.

`rows` and its gradient are two passes, since the weight of a row is known only when all rows have been read. To write dlogits
in the first and to multiply it in the second would move four arrays through memory; reading z twice and writing once, three.

Legend: z the logits, x the data, n their number, flat; of `rows` z (N K, P), x (N, P): K rows of logits for each row of x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..arguments import output
from ..combine import contiguous
from ..jit import CompiledTwice
from ..vector_math import exp, log1p, softplus

CHUNK = 4096


def loss(logits: Array, x: Array, *, scale: float = 1.0, out: Array | None = None) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    out = output(out, logits.shape, logits.dtype, like=logits)
    sums = empty(-(-logits.size // CHUNK), np.float64)
    share = logits.dtype.type(scale / len(x))
    sweep.of(logits.size)(contiguous(logits).reshape(-1), contiguous(x).reshape(-1), out.reshape(-1), sums, share)
    return float(np.sum(sums)) / len(x), out


def rows(logits: Array, x: Array) -> Array:
    """-> nll (N, K)."""
    N, K, P = logits.shape
    nll = empty((N, K), logits.dtype, like=logits)
    sweep_rows.of(logits.size)(contiguous(logits).reshape(N * K, P), contiguous(x), nll.reshape(-1))
    return nll


def rows_gradient(logits: Array, x: Array, dnll: Array) -> Array:
    """-> dlogits (N, K, P)."""
    N, K, P = logits.shape
    dlogits = empty_like(logits)
    z, dz = contiguous(logits).reshape(N * K, P), dlogits.reshape(N * K, P)
    sweep_rows_gradient.of(logits.size)(z, contiguous(x), contiguous(dnll).reshape(-1), dz)
    return dlogits


@CompiledTwice
def sweep(z: Array, x: Array, dz: Array, sums: Array, share: Any) -> None:
    """Fills dz (n,), share times the gradient of the sum, and sums (ceil(n / CHUNK),)."""
    zero, one = z.dtype.type(0), z.dtype.type(1)
    n = z.shape[0]
    for chunk in prange(sums.shape[0]):
        begin, end = chunk * CHUNK, min(n, (chunk + 1) * CHUNK)
        zs, xs, dzs = z[begin:end], x[begin:end], dz[begin:end]  # from 0 on: a position that cannot be negative needs no test
        total = 0.0
        for i in range(zs.shape[0]):
            t = exp(-abs(zs[i]))
            positive = zs[i] > 0
            total += np.float64((zs[i] if positive else zero) + log1p(t) - xs[i] * zs[i])
            dzs[i] = share * ((one if positive else t) / (one + t) - xs[i])
        sums[chunk] = total


@CompiledTwice
def sweep_rows(z: Array, x: Array, nll: Array) -> None:
    """Fills nll (N K,)."""
    K = z.shape[0] // x.shape[0]
    for row in prange(z.shape[0]):
        n, total = row // K, 0.0
        for p in range(z.shape[1]):
            total += np.float64(softplus(z[row, p]) - x[n, p] * z[row, p])
        nll[row] = total


@CompiledTwice
def sweep_rows_gradient(z: Array, x: Array, dnll: Array, dz: Array) -> None:
    """Fills dz (N K, P)."""
    one, K = z.dtype.type(1), z.shape[0] // x.shape[0]
    for row in prange(z.shape[0]):
        n = row // K
        for p in range(z.shape[1]):
            t = exp(-abs(z[row, p]))
            dz[row, p] = dnll[row] * ((one if z[row, p] > 0 else t) / (one + t) - x[n, p])

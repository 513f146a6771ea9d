"""The logit in one pass each way. The formulas are in `definition.py`.

Against the definition: it makes an array for every product, sum and logarithm, fourteen passes over memory there, four more for
pixels, and ten back, on one thread; here each number is read once, and what is written is the result. log, exp and log1p are
polynomials (vector_math.py).

Error, with log and log1p within 3 units in the last place, 6 u, exp within 4 u and S = |log p| + |log q|: of z (7 + 7 S) u; of
logdet sum (8 + 9 (S + |log k|)) u, it is added up in float64; of pixels the same at v as it is rounded. Of the inverse's x
12 u (s + alpha) / k, of its logdet sum 14 u (|z| + 2 log(1 + e^-|z|) + |log k|). Of dx 20 u v (|dz| + |dlogdet|). u = 2^-24.

Legend: N rows of n numbers. x, u, z, dz, dx (N, n); logdet, dlogdet (N,).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice
from ..vector_math import exactly, exp, log, log1p, sigmoid


def forward(x: Array, alpha: float) -> tuple[Array, Array]:
    """-> z, logdet."""
    z, logdet = empty_like(x), empty(len(x), x.dtype)
    stretch.of(x.size)(_rows(x), *_numbers(alpha, x), _rows(z), logdet)
    return z, logdet


def of_pixels(x: Array, u: Array, alpha: float) -> tuple[Array, Array]:
    """-> z, logdet."""
    z, logdet = empty_like(x), empty(len(x), x.dtype)
    fill_and_stretch.of(x.size)(_rows(x), _rows(u), *_numbers(alpha, x), _rows(z), logdet)
    return z, logdet


def inverse(z: Array, alpha: float) -> tuple[Array, Array]:
    """-> x, logdet."""
    x, logdet = empty_like(z), empty(len(z), z.dtype)
    squash.of(z.size)(_rows(z), *_numbers(alpha, z), _rows(x), logdet)
    return x, logdet


def gradient(dz: Array, dlogdet: Array, x: Array, alpha: float) -> Array:
    """-> dx."""
    dx = empty_like(x)
    stretch_back.of(x.size)(_rows(dz), contiguous(dlogdet), _rows(x), *_numbers(alpha, x)[:2], _rows(dx))
    return dx


def _rows(x: Array) -> Array:
    """(N, ...) -> (N, n), without a copy where x is contiguous."""
    return contiguous(x).reshape(len(x), -1)


def _numbers(alpha: float, x: Array) -> tuple[Any, Any, Any]:
    """alpha, k and log k in the precision of x."""
    k = 1 - 2 * alpha
    return x.dtype.type(alpha), x.dtype.type(k), x.dtype.type(math.log(k))


@exactly
def chances(x: Any, alpha: Any, k: Any, one: Any) -> Any:
    """p and q."""
    return alpha + k * x, alpha + k * (one - x)


@CompiledTwice
def stretch(x: Array, alpha: Any, k: Any, log_k: Any, z: Array, logdet: Array) -> None:
    """Fills z and logdet."""
    one = x.dtype.type(1)
    for n in prange(x.shape[0]):
        xs, zs = x[n], z[n]
        total = 0.0
        for i in range(xs.shape[0]):
            p, q = chances(xs[i], alpha, k, one)
            log_p, log_q = log(p), log(q)
            zs[i] = log_p - log_q
            total += np.float64(log_k - log_p - log_q)
        logdet[n] = total


@CompiledTwice
def fill_and_stretch(x: Array, u: Array, alpha: Any, k: Any, log_k: Any, z: Array, logdet: Array) -> None:
    """Fills z and logdet, of dequantised pixels."""
    one, most, levels = x.dtype.type(1), x.dtype.type(255), x.dtype.type(256)
    for n in prange(x.shape[0]):
        xs, us, zs = x[n], u[n], z[n]
        total = 0.0
        for i in range(xs.shape[0]):
            p, q = chances((np.rint(most * xs[i]) + us[i]) / levels, alpha, k, one)
            log_p, log_q = log(p), log(q)
            zs[i] = log_p - log_q
            total += np.float64(log_k - log_p - log_q)
        logdet[n] = total


@CompiledTwice
def squash(z: Array, alpha: Any, k: Any, log_k: Any, x: Array, logdet: Array) -> None:
    """Fills x and logdet."""
    two = z.dtype.type(2)
    for n in prange(z.shape[0]):
        zs, xs = z[n], x[n]
        total = 0.0
        for i in range(zs.shape[0]):
            xs[i] = (sigmoid(zs[i]) - alpha) / k
            total -= np.float64(abs(zs[i]) + two * log1p(exp(-abs(zs[i]))) + log_k)
        logdet[n] = total


@CompiledTwice
def stretch_back(dz: Array, dlogdet: Array, x: Array, alpha: Any, k: Any, dx: Array) -> None:
    """Fills dx."""
    one = x.dtype.type(1)
    for n in prange(x.shape[0]):
        ds, xs, dxs = dz[n], x[n], dx[n]
        for i in range(xs.shape[0]):
            p, q = chances(xs[i], alpha, k, one)
            dxs[i] = k / (p * q) * (ds[i] + dlogdet[n] * (p - q))

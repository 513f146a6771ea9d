"""Samples of a Gaussian, their gradient and their weight, in one pass each. The formulas are in `definition.py`.

Against the definition: it makes an array of the samples' size for every product and sum in a formula, two, three and five
passes over memory; here each number is read once, and what is written is the result. exp is a polynomial (vector_math.py),
taken once for each of the N L deviations: `deviate` keeps those of a row in the place of its last sample, which it makes
last, and in a loop of its own: one that may write what it reads is not turned into vectors, and takes three times as long.

Error: of z 4 u of the larger of its two terms; of the gradients K u (dmu) and (K + 4) u (dlogvar) of the sum of the absolute
values, which are added one after the other; of the ratio 3 u of the sum of its terms, which are added in float64; u = 2^-24.

Legend: N rows, K samples of each, L latents. mu, logvar and their gradients (N, L); eps, z and dz (N, K, L); the ratio (N, K).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice
from ..vector_math import exp


def sample(mu: Array, logvar: Array, eps: Array) -> Array:
    """-> z (N, K, L)."""
    z = empty_like(eps)
    deviate.of(eps.size)(contiguous(mu), contiguous(logvar), contiguous(eps), z)
    return z


def gradient(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """-> dmu (N, L), dlogvar (N, L)."""
    dmu, dlogvar = empty_like(logvar), empty_like(logvar)
    gather.of(eps.size)(contiguous(dz), contiguous(logvar), contiguous(eps), dmu, dlogvar)
    return dmu, dlogvar


def log_ratio(logvar: Array, eps: Array, z: Array) -> Array:
    """-> (N, K)."""
    ratio = empty(eps.shape[:2], eps.dtype, like=eps)
    weigh.of(eps.size)(contiguous(logvar), contiguous(eps), contiguous(z), ratio)
    return ratio


@CompiledTwice
def deviate(mu: Array, logvar: Array, eps: Array, z: Array) -> None:
    """Fills z."""
    K, half = eps.shape[1], mu.dtype.type(0.5)
    for n in prange(eps.shape[0]):
        sigma = z[n, K - 1]
        for l in range(mu.shape[1]):
            sigma[l] = exp(half * logvar[n, l])
        for k in range(K - 1):
            for l in range(mu.shape[1]):
                z[n, k, l] = mu[n, l] + sigma[l] * eps[n, k, l]
        for l in range(mu.shape[1]):
            sigma[l] = mu[n, l] + sigma[l] * eps[n, K - 1, l]


@CompiledTwice
def gather(dz: Array, logvar: Array, eps: Array, dmu: Array, dlogvar: Array) -> None:
    """Fills dmu and dlogvar."""
    half, zero = logvar.dtype.type(0.5), logvar.dtype.type(0)
    for n in prange(dz.shape[0]):
        straight, turned = dmu[n], dlogvar[n]
        straight[:], turned[:] = zero, zero
        for k in range(dz.shape[1]):
            for l in range(dz.shape[2]):
                straight[l] += dz[n, k, l]
                turned[l] += dz[n, k, l] * eps[n, k, l]
        for l in range(dz.shape[2]):
            turned[l] *= half * exp(half * logvar[n, l])


@CompiledTwice
def weigh(logvar: Array, eps: Array, z: Array, ratio: Array) -> None:
    """Fills the ratio."""
    for n in prange(eps.shape[0]):
        for k in range(eps.shape[1]):
            total = 0.0
            for l in range(eps.shape[2]):
                total += np.float64(eps[n, k, l] * eps[n, k, l] + logvar[n, l] - z[n, k, l] * z[n, k, l])
            ratio[n, k] = 0.5 * total

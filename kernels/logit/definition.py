"""The logit, numbers between 0 and 1 onto the whole line (Dinh et al. 2017, section 4.1), plainly. With k = 1 - 2 alpha

    p = alpha + k x,  q = 1 - p = alpha + k (1 - x)

    forward      z = log p - log q,  logdet = sum (log k - log p - log q)
    of_pixels    forward of v = (pixel + u) / 256, the integer pixel = 255 x and u uniform on [0, 1)
    inverse      x = (s - alpha) / k,  s = 1 / (1 + e^-z),  logdet = sum (log s + log (1 - s) - log k)
    gradient     dx = v (dz + dlogdet (p - q)),  v = dz/dx = k / (p q)

since d(-log p - log q)/dx = k (1/q - 1/p) = v (p - q). q is computed for itself, since 1 - p would lose the digits of a small
q; so is log (1 - s), as -log(1 + e^z).

Legend: N rows; x, u, z, dz, dx (N, ...); logdet, dlogdet (N,), which stands beside every number of its row.
"""

from __future__ import annotations

import math

import numpy as np

from minigen.backend import Array

from ..activation.definition import forward as activated

LEVELS = 256


def forward(x: Array, alpha: float) -> tuple[Array, Array]:
    """-> z, logdet."""
    log_p, log_q = map(np.log, chances(x, alpha))
    return log_p - log_q, _sum_rows(math.log(1 - 2 * alpha) - log_p - log_q)


def of_pixels(x: Array, u: Array, alpha: float) -> tuple[Array, Array]:
    """-> z, logdet."""
    return forward(dequantise(x, u), alpha)


def inverse(z: Array, alpha: float) -> tuple[Array, Array]:
    """-> x, logdet."""
    k = 1 - 2 * alpha
    log_pq = -activated("softplus", -z) - activated("softplus", z)
    return (activated("sigmoid", z) - alpha) / k, _sum_rows(log_pq - math.log(k))


def gradient(dz: Array, dlogdet: Array, x: Array, alpha: float) -> Array:
    """-> dx."""
    v, gap = slope(x, alpha)
    return v * (dz + dlogdet.reshape(-1, *[1] * (x.ndim - 1)) * gap)


def dequantise(x: Array, u: Array) -> Array:
    """(pixel + u) / 256, in [0, 1]; x = pixel / 255, u uniform on [0, 1)."""
    filled: Array = (np.rint((LEVELS - 1) * x) + u) / LEVELS
    return filled


def chances(x: Array, alpha: float) -> tuple[Array, Array]:
    """p and q."""
    k = 1 - 2 * alpha
    return alpha + k * x, alpha + k * (1 - x)


def slope(x: Array, alpha: float) -> tuple[Array, Array]:
    """v and p - q."""
    p, q = chances(x, alpha)
    return (1 - 2 * alpha) / (p * q), p - q


def _sum_rows(x: Array) -> Array:
    return x.sum(tuple(range(1, x.ndim)))

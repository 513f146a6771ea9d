"""Samples of a Gaussian as a function of its parameters, plainly. With sigma = e^(logvar/2) and noise eps from N(0, 1),

    sample       z_k = mu + sigma eps_k
    gradient     dmu = sum_k dz_k,    dlogvar = (sigma / 2) sum_k dz_k eps_k
    log_ratio    sum_l (eps_k^2 + logvar - z_k^2) / 2 = log p(z_k) - log q(z_k), for p = N(0, 1) and q = N(mu, sigma^2)

In the last line log q(z) is -sum_l (log 2 pi + logvar + eps^2) / 2 at such a z, and log 2 pi is in both.

Legend: N rows, K samples of each, L latents. mu, logvar and their gradients (N, L); eps, z and dz (N, K, L); the ratio (N, K).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array


def sample(mu: Array, logvar: Array, eps: Array) -> Array:
    """-> z (N, K, L)."""
    return mu[:, None] + np.exp(0.5 * logvar)[:, None] * eps


def gradient(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """-> dmu (N, L), dlogvar (N, L)."""
    return dz.sum(1), 0.5 * np.exp(0.5 * logvar) * (dz * eps).sum(1)


def log_ratio(logvar: Array, eps: Array, z: Array) -> Array:
    """-> (N, K)."""
    return 0.5 * (eps * eps + logvar[:, None] - z * z).sum(-1)

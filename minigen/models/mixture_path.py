"""The straight paths from noise to a mixture of Gaussians: what a network has to learn of them is known in closed form.

    x_t = (1 - t) x_0 + t x_1,     x_0 ~ N(0, I),     x_1 ~ 1/M sum_m N(mean_m, sigma^2 I)

Given the mode m, (x_t, x_1 - x_0) are jointly Gaussian, with c^2 = (1 - t)^2 + t^2 sigma^2 the variance of x_t:

    x_t | m                 N(t mean_m, c^2 I)
    E[x_1 - x_0 | x_t, m]   mean_m + (t sigma^2 - (1 - t)) / c^2 (x_t - t mean_m)

With r_m the posterior of the mode, the softmax of -|x - t mean_m|^2 / 2 c^2, the velocity and the score of p_t are

    v(x, t) = sum_m r_m E[x_1 - x_0 | x, m]           grad log p_t(x) = -sum_m r_m (x - t mean_m) / c^2

v is what flow matching regresses on (Lipman et al. 2023, theorem 1). n points, M modes; float64.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array


def path_velocity(means: Array, sigma: float, x: Array, t: float) -> Array:
    """v(x, t), (n, 2), for means (M, 2)."""
    variance = (1 - t) ** 2 + (t * sigma) ** 2
    from_mode = x[:, None] - t * means  # (n, M, 2)
    given_mode = means + (t * sigma**2 - (1 - t)) / variance * from_mode
    velocity: Array = (_posterior(from_mode, variance)[..., None] * given_mode).sum(1)
    return velocity


def path_score(means: Array, sigma: float, x: Array, t: float) -> Array:
    """grad log p_t(x), (n, 2), for means (M, 2)."""
    variance = (1 - t) ** 2 + (t * sigma) ** 2
    from_mode = x[:, None] - t * means
    score: Array = -(_posterior(from_mode, variance)[..., None] * from_mode).sum(1) / variance
    return score


def path_log_density(means: Array, sigma: float, x: Array, t: float) -> Array:
    """log p_t(x), (n,), for means (M, 2)."""
    variance = (1 - t) ** 2 + (t * sigma) ** 2
    logs = -((x[:, None] - t * means) ** 2).sum(2) / (2 * variance)  # (n, M)
    top = logs.max(1)
    density: Array = top + np.log(np.exp(logs - top[:, None]).sum(1)) - math.log(len(means) * 2 * math.pi * variance)
    return density


def _posterior(from_mode: Array, variance: float) -> Array:
    """r_m, (n, M), of sum 1."""
    logs = -(from_mode**2).sum(2) / (2 * variance)
    weights = np.exp(logs - logs.max(1, keepdims=True))
    posterior: Array = weights / weights.sum(1, keepdims=True)
    return posterior

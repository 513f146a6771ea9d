"""The variational bound of a diffusion model on -log p(x), whole or by a sample of its terms, in bits per dimension.

A diffusion is a hierarchical VAE whose encoder is fixed. The bound of lesson 03, with x_1 .. x_T as latents, falls apart into
(Ho et al. 2020, eq. 5)

    L_T + sum_(t = 2 .. T) L_t + L_0
    L_T = KL(q(x_T | x_0) || N(0, 1))  = sum (a_T^2 x_0^2 + s_T^2 - 1 - log s_T^2) / 2          what noise still tells
    L_t = E KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t))                                       what a step back costs
    L_0 = E -log p(x_0 | x_1)                                                                   the last step, to pixels

p(x_(t-1) | x_t) is the posterior with the network's x_0 in place of the data, xhat, and the variance w: the posterior's own, or
beta_t (`wider` in schedules.py). With c the posterior's factor of x_0, the two means are c (x_0 - xhat) apart:

    L_t = E sum (w^-1 var - 1 - log(w^-1 var) + w^-1 c^2 (x_0 - xhat)^2) / 2

Of w = var only the last part remains: squared errors with weights, which the loss of training leaves out.

L_0 is that of 256 grey levels, 2/255 apart in [-1, 1]: the mass of N(xhat, beta_1) between x_0 - 1/255 and x_0 + 1/255, where
the darkest and the brightest level reach to infinity (section 3.3). E is over x_t, of which one sample is drawn.

N rows, D numbers of a row.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array, device_of, resident, to_device
from ..random import Key
from .objective import Terms
from .schedules import Schedule

if TYPE_CHECKING:
    from .diffusion import Diffusion

LEVELS = 255  # steps between black, -1, and white, 1


def bound(model: Diffusion, batch: Any, key: Key, *, whole: bool = False) -> Terms:
    """-log p(x) <= `bits` = `bits_prior` + `bits_steps` + `bits_pixels`, means over the rows, in bits per dimension.

    For the steps every row gets one t of 2 .. T, and its term is divided by the chance of that t: an estimate without bias.
    `whole` takes all T - 1 of them for every row, in T - 1 calls.
    """
    (x0, labels), T = model.parts(batch), model.schedule.T
    N = len(x0)
    prior = prior_kl(model, x0)
    pixels = decoder(model, x0, labels, key.at("pixels"))
    if whole:
        steps = np.zeros(N)
        for t in range(2, T + 1):
            steps += step_kl(model, x0, labels, np.full(N, t), key.at("step", t))
    elif T > 1:
        drawn = to_device(drawn_steps(T, N, key.at("t"), x0, first=2), "cpu")
        steps = step_kl(model, x0, labels, drawn, key.at("step")) / chances(T, 2)[drawn]
    else:
        steps = np.zeros(N)
    to_bits = 1 / (math.prod(x0.shape[1:]) * math.log(2))
    terms = {"bits_prior": prior, "bits_steps": steps, "bits_pixels": pixels}
    means = {name: float(nats.mean()) * to_bits for name, nats in terms.items()}
    return {"bits": sum(means.values()), **means}


@cache
def chances(T: int, first: int) -> Array:
    """With what chance a row is given step t of first .. T: (T + 1,), by t. It falls like 1 / t, as the terms do.

    So a term divided by its chance is nearly one number, whatever t.
    """
    t = np.arange(T + 1)
    likely = np.where(t >= first, 1 / np.maximum(t, 1), 0.0)
    return likely / likely.sum()


@cache
def _ends(T: int, first: int) -> Array:
    """Where the parts of t = 0 .. T - 1 end, if [0, 1) is cut by the chances: (T,)."""
    return np.cumsum(chances(T, first))[:-1]


@cache
def _places(N: int) -> Array:
    return np.arange(N) / max(1, N)


def drawn_steps(T: int, N: int, key: Key, like: Array, *, first: int) -> Array:
    """t (N,) integers of first .. T beside the rows of `like`, each with its chance, and together spread evenly over it.

    N places 1 / N apart on a circle, which is turned at random: every batch has its share of early and late steps.
    """
    turn = key.uniform(1, np.float32, like=like)
    place = (resident(_places(N), like) + turn) % 1  # (N,) in [0, 1)
    t: Array = np.searchsorted(resident(_ends(T, first), like), place, side="right")
    return t


def factors(plan: Schedule, variance: str) -> tuple[Array, Array]:
    """w^-1 var and w^-1 c^2, by t: (T + 1,) each, in float64. For t = 1, whose x_0 is known in full, 1 and s_1^-2.

    That is the last step as it would be of pixels that may be any number: -log N(x_0; xhat, s_1^2), but for a constant.
    """
    t = np.arange(2, plan.T + 1)
    beside = np.zeros((len(t), 1))
    q = plan.posterior(t, t - 1, beside)
    w = q.var if variance == "small" else plan.wider(t, t - 1, beside)
    ratio, weight = np.ones(plan.T + 1), np.zeros(plan.T + 1)
    ratio[2:], weight[2:] = (q.var / w)[:, 0], (q.of_x0**2 / w)[:, 0]
    weight[1] = 1 / (1 - plan.alpha_bar[1])
    return ratio, weight


def prior_kl(model: Diffusion, x0: Array) -> Array:
    """L_T (N,), nats."""
    left = float(model.schedule.alpha_bar[-1])
    squares = squared_norms(x0)
    return 0.5 * (left * squares - (left + math.log1p(-left)) * math.prod(x0.shape[1:]))


def step_kl(model: Diffusion, x0: Array, labels: Array | None, t: Array, key: Key) -> Array:
    """L_t (N,), nats, at one t of 2 .. T for each row and one sample of x_t."""
    ratio, weight = (by_step[t] for by_step in factors(model.schedule, model.variance))  # (N,), (N,)
    t = to_device(t, device_of(x0))
    x_t = model.schedule.diffuse(x0, t, key.normal(x0.shape, like=x0))
    distance = squared_norms(x0 - model.denoise(x_t, t, labels).x0)
    return 0.5 * (math.prod(x0.shape[1:]) * (ratio - 1 - np.log(ratio)) + weight * distance)


def decoder(model: Diffusion, x0: Array, labels: Array | None, key: Key) -> Array:
    """L_0 (N,), nats, at one sample of x_1; x0 is rounded to its grey level."""
    one = to_device(np.ones(len(x0), np.int64), device_of(x0))
    x_1 = model.schedule.diffuse(x0, one, key.normal(x0.shape, like=x0))
    mean = to_device(model.denoise(x_1, one, labels).x0, "cpu").astype(np.float64)
    log_p = log_mass(to_device(x0, "cpu"), mean, math.sqrt(1 - model.schedule.alpha_bar[1]))
    return -log_p.reshape(len(x0), -1).sum(1)


def log_mass(x: Array, mean: Array, std: float) -> Array:
    """log of the mass of N(mean, std^2) on the grey level of x, as x, in float64.

    By symmetry about the mean the level can be held below it, where both ends' log Phi are exact in the tail:
    log (Phi(b) - Phi(a)) = log Phi(b) + log(1 - Phi(a) / Phi(b)).
    """
    from scipy.special import log_ndtr

    level = np.rint((x.astype(np.float64) + 1) * LEVELS / 2)
    centre = 2 * level / LEVELS - 1
    low = np.where(level <= 0, -np.inf, (centre - 1 / LEVELS - mean) / std)
    high = np.where(level >= LEVELS, np.inf, (centre + 1 / LEVELS - mean) / std)
    above = low + high > 0
    low, high = np.where(above, -high, low), np.where(above, -low, high)
    upper: Array = log_ndtr(high)
    return upper + np.log1p(-np.exp(log_ndtr(low) - upper))


def squared_norms(x: Array) -> Array:
    """Of every row, (N,), in float64 on the CPU."""
    flat = to_device(x.reshape(len(x), -1), "cpu").astype(np.float64)
    sums: Array = (flat * flat).sum(1)
    return sums

"""From noise to data, by a network that sees through noise. Every way is a generator of the steps it takes, from x_T ~ N(0, 1).

A denoiser says what it makes of x at step t: x_0, and the noise eps in it, such that x = a x_0 + s eps. (a, s, alpha_bar, the
posterior: schedules.py.) From t to an earlier r:

ancestral   x_r ~ q(x_r | x, x_0), as if x_0 were the data; or with the `wider` variance                 (Ho et al. 2020)
ddim        x_r = a_r x_0 + sqrt(s_r^2 - sigma^2) eps + sigma z,   sigma = eta times the posterior's     (Song et al. 2021)
            eta = 1 is `ancestral` in other words, eta = 0 draws no noise after the first.
heun        ddim at eta = 0 turns (x_0, eps) into x: with a = cos phi, s = sin phi, that is a step of the probability flow

                dx / dphi = cos phi eps - sin phi x_0 =: v        (Song et al. 2021b, eq. 13; Salimans and Ho 2022, app. D)

            Heun's method takes the mean of v here and there: two calls a step, an error of second order.
langevin    at each noise level by itself, in u = x / a, whose noise is sigma = s / a and whose score is -eps / sigma

                u += rate sigma^2 (-eps / sigma) + sqrt(2 rate) sigma z,  some times;  in the end u = x_0
                                                                                                  (Song and Ermon 2019)

N rows; "..." the axes of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from ..backend import Array
from ..random import Key
from .schedules import Schedule


class Seen(NamedTuple):
    """What a denoiser makes of x_t = a x0 + s eps."""

    x0: Array  # (N, ...)
    eps: Array  # (N, ...)


class Step(NamedTuple):
    """Where a sampler has come to, and the data it saw on the way there."""

    t: int
    x: Array  # (N, ...)
    x0: Array  # (N, ...)


Denoiser: TypeAlias = Callable[[Array, int], Seen]


def times(T: int, steps: int) -> list[int]:
    """`steps` jumps of about the same length, from T down to 0. Raises ValueError where there are not so many steps."""
    if not 1 <= steps <= T:
        raise ValueError(f"a diffusion of T = {T} steps is sampled in 1 .. {T} steps, not in {steps}")
    return [int(t) for t in np.linspace(T, 0, steps + 1).round()]


def ancestral(
    denoise: Denoiser, schedule: Schedule, x: Array, at: list[int], key: Key, *, variance: str = "small"
) -> Iterator[Step]:
    """A sample of the posterior in every jump; no noise is drawn in the last."""
    for t, r in pairwise(at):
        x0 = denoise(x, t).x0
        q = schedule.posterior(t, r, x)
        x = q.of_x0 * x0 + q.of_xt * x
        if r:
            var = q.var if variance == "small" else schedule.wider(t, r, x)
            x = x + np.sqrt(var) * key.at(r).normal(x.shape, like=x)
        yield Step(r, x, x0)


def ddim(
    denoise: Denoiser, schedule: Schedule, x: Array, at: list[int], key: Key | None = None, eta: float = 0.0
) -> Iterator[Step]:
    """Implicit steps, without noise at eta = 0. Raises ValueError where eta is outside [0, 1], or needs a key and has none."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta = {eta:g} is outside 0 (no noise) .. 1 (the noise of the posterior)")
    if eta and key is None:
        raise ValueError(f"eta = {eta:g} draws noise: give it a key")
    for t, r in pairwise(at):
        x0, eps = denoise(x, t)
        a, s = schedule.scales(r, x)
        var = eta**2 * schedule.posterior(t, r, x).var
        x = a * x0 + np.sqrt(s * s - var) * eps
        if eta and r:
            assert key is not None
            x = x + np.sqrt(var) * key.at(r).normal(x.shape, like=x)
        yield Step(r, x, x0)


def heun(denoise: Denoiser, schedule: Schedule, x: Array, at: list[int]) -> Iterator[Step]:
    """The probability flow by Heun's method; the last jump, to a step at which there is no network, is that of `ddim`."""
    for t, r in pairwise(at):
        x0, eps = denoise(x, t)
        if r:
            (a, s), (a_r, s_r) = schedule.scales(t, x), schedule.scales(r, x)
            there = denoise(a_r * x0 + s_r * eps, r)
            v, v_r = a * eps - s * x0, a_r * there.eps - s_r * there.x0
            x = x + (np.arctan2(s_r, a_r) - np.arctan2(s, a)) * 0.5 * (v + v_r)
        else:
            x = x0
        yield Step(r, x, x0)


def langevin(
    denoise: Denoiser, schedule: Schedule, x: Array, at: list[int], key: Key, repeats: int = 5, rate: float = 0.1
) -> Iterator[Step]:
    """`repeats` steps of Langevin's dynamics at every level of `at`; between two levels u stays where it is."""
    for t, r in pairwise(at):
        a, s = schedule.scales(t, x)
        for i in range(repeats):
            x = x - rate * s * denoise(x, t).eps + (2 * rate) ** 0.5 * s * key.at(t, i).normal(x.shape, like=x)
        x0 = denoise(x, t).x0
        x = x / a * schedule.scales(r, x)[0] if r else x0
        yield Step(r, x, x0)


def levels(schedule: Schedule, count: int, largest: float, smallest: float) -> list[int]:
    """Steps whose noise levels sigma = s / a fall from `largest` to `smallest` by about one factor, then 0: for `langevin`."""
    sigma = np.sqrt(1 / schedule.alpha_bar[1:] - 1)  # of t = 1 .. T, rising
    wanted = np.geomspace(largest, smallest, count)
    nearest = np.searchsorted(sigma, wanted).clip(0, schedule.T - 1) + 1
    return [int(t) for t in sorted(set(nearest), reverse=True)] + [0]


def last(steps: Iterator[Step]) -> Array:
    """The end of the way."""
    x: Array | None = None
    for step in steps:
        x = step.x
    if x is None:
        raise ValueError("a way of no steps ends nowhere")
    return x

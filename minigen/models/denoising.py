"""The loss of a diffusion model: see a row through noise, at a random step.

    t uniform on 1 .. T,  eps ~ N(0, 1),  x_t = a x_0 + s eps           a, s of the schedule at t
    loss = mean (net(x_t, t) - target)^2                                target: eps, x_0 or v = a eps - s x_0

It is the variational bound of `diffusion_bound.py` with its weights left out (Ho et al. 2020, eq. 14), and, but for the factor
-1 / s, denoising score matching (Vincent 2011): the best eps there can be is -s times the slope of log q(x_t).

Who wants likelihood leaves the weights in. The bound's part that the network moves is weight_t |x_0 - xhat|^2 / 2 of every step
(`diffusion_bound.factors`), and each of the three targets tells x_0:

    x_0 - xhat = k (y - target)      k = 1 for x_0, -s / a for eps, -s for v
    loss = mean weight_t k^2 / (2 log 2 chance_t) (y - target)^2          bits per dimension; t drawn with chance_t

With labels, each is hidden with probability `drop`, so that one network learns p(x | y) and p(x) (Ho and Salimans 2022).

x_t and the target are constants, so the way back is the network's alone. N rows; "..." the axes of a row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backend import Array
from ..kernels.combine import add
from ..losses import mse
from ..random import Key
from .diffusion_bound import chances, drawn_steps, factors
from .objective import Forwarder, Forwards, Objective, Terms
from .schedules import ByStep, Schedule

if TYPE_CHECKING:
    from .diffusion import Diffusion


class DenoisingNoise(NamedTuple):
    t: Array  # (N,) integers, 1 .. T
    eps: Array  # (N, ...)
    hidden: Array | None  # (N,) booleans: whose label the network is not told; None without labels


class Denoising(Objective):
    """The mean over rows and dimensions of (net(x_t, t) - target)^2, in squared units of the target."""

    name, updates = "denoising", ("net",)

    def __init__(self, prediction: str, drop: float) -> None:
        self.prediction, self.drop = prediction, drop

    def steps(self, model: Diffusion, x0: Array, key: Key) -> Array:
        """t (N,), a random step for every row."""
        return key.integers(model.schedule.T, len(x0), start=1, like=x0)

    def loss(self, y: Array, target: Array, t: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
        """The loss, and `scale` times dy (N, ...)."""
        return mse(y, target, scale=scale)

    def draw(self, model: Diffusion, batch: Any, key: Key, forwards: Forwards | None = None) -> DenoisingNoise:
        x0, labels = model.parts(batch)
        hidden = None if labels is None else key.at("hidden").bernoulli(self.drop, (len(x0),), like=x0)
        return DenoisingNoise(self.steps(model, x0, key.at("t")), key.at("eps").normal(x0.shape, like=x0), hidden)

    def __call__(
        self,
        model: Diffusion,
        batch: Any,
        noise: DenoisingNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, (x0, labels), (t, eps, hidden) = Forwarder(model, forwards, train=train), model.parts(batch), noise
        x_t = model.schedule.diffuse(x0, t, eps)
        y, cache = forward("net", model.inputs(x_t, t, labels, hidden))  # (N, ...)

        loss, dy = self.loss(y, model.schedule.target(self.prediction, x0, t, eps), t, scale=scale)
        if backward:
            model.net.backward(dy, cache, need_dx=False)
        return {"denoising": loss}, forward.made(self.updates)


class WeightedDenoising(Denoising):
    """The same as an estimate of the variational bound, in bits per dimension, but for what no parameter moves."""

    def __init__(self, prediction: str, drop: float, plan: Schedule, variance: str) -> None:
        super().__init__(prediction, drop)
        t = np.arange(1, plan.T + 1)
        a2, s2 = plan.alpha_bar[t], 1 - plan.alpha_bar[t]
        k2 = {"x0": 1.0, "noise": s2 / a2, "v": s2}[prediction]
        weight, chance = factors(plan, variance)[1], chances(plan.T, 1)
        weights = np.concatenate(([0.0], weight[t] * k2 / (2 * math.log(2) * chance[t])))  # (T + 1,), by t
        self.roots = ByStep(np.sqrt(weights))

    def steps(self, model: Diffusion, x0: Array, key: Key) -> Array:
        return drawn_steps(model.schedule.T, len(x0), key, x0, first=1)

    def loss(self, y: Array, target: Array, t: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
        root = self.roots.at(t, y)  # (N, 1 ...): weight (y - target)^2 = (root y - root target)^2
        value, d = mse(add((root, y)), add((root, target)), scale=scale)
        return value, add((root, d))

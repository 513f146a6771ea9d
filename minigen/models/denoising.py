"""The loss of a diffusion model: see a row through noise, at a random step.

    t uniform on 1 .. T,  eps ~ N(0, 1),  x_t = a x_0 + s eps           a, s of the schedule at t
    loss = mean (net(x_t, t) - target)^2                                target: eps, x_0 or v = a eps - s x_0

It is the variational bound of `diffusion_bound.py` with its weights left out (Ho et al. 2020, eq. 14), and, but for the factor
-1 / s, denoising score matching (Vincent 2011): the best eps there can be is -s times the slope of log q(x_t).

With labels, each is hidden with probability `drop`, so that one network learns p(x | y) and p(x) (Ho and Salimans 2022).

x_t and the target are constants, so the way back is the network's alone. N rows; "..." the axes of a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..backend import Array
from ..losses import mse
from ..random import Key
from .objective import Forwarder, Forwards, Objective, Terms

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

    def draw(self, model: Diffusion, batch: Any, key: Key, forwards: Forwards | None = None) -> DenoisingNoise:
        x0, labels = model.parts(batch)
        N = len(x0)
        t = key.at("t").integers(model.schedule.T, N, like=x0) + 1
        hidden = None if labels is None else key.at("hidden").bernoulli(self.drop, (N,), like=x0)
        return DenoisingNoise(t, key.at("eps").normal(x0.shape, like=x0), hidden)

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

        loss, dy = mse(y, model.schedule.target(self.prediction, x0, t, eps))
        if backward:
            model.net.backward(scale * dy, cache, need_dx=False)
        return {"denoising": loss}, forward.made(self.updates)

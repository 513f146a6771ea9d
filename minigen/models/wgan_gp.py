"""WGAN-GP (Gulrajani et al. 2017): the Wasserstein GAN whose critic pays for every slope that is not 1.

Clipping bounds f's slope from above and makes f crude. The best f has slope 1 almost everywhere along the straight lines on
which mass is carried (the paper's proposition 1), so that is what is asked for, at points between real rows and fakes:

    x^ = t x + (1 - t) G(z),    t ~ U[0, 1), one number a row: a whole image is mixed with a whole image
    L  = mean f(G(z)) - mean f(x) + penalty mean_n (|df/dx^_n| - 1)^2

G(z) and x^ are constants here. The penalty is of second order in f and is derived in penalties.py and lesson 08. f has no batch
normalisation: a row's slope should be its own (section 4 of the paper).

N batch, L latents; "..." the axes of an image or a point.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape
from ..kernels.combine import add, concatenate
from ..losses.adversarial import Game
from ..random import Key
from . import penalties
from .minimax import GANNoise
from .model import Recipe
from .objective import Forwarder, Forwards, Objective, Terms
from .penalties import Penalty
from .wgan import CriticLoss, WassersteinGAN, on_points

# Of 25 Gaussians, with an average of G and a critic nearer its best more of the width is kept: see benchmarks/grid.py.
GRID: dict[str, Any] = {
    "batch": 512,
    "steps": 18000,
    "rate": 2e-3,
    "options": {
        "latents": 16,
        "critic_steps": 3,
        "beta1": 0.5,
        "decay": True,
        "final_rate": 0.5,
        "average": 0.99,
        "scale": 2.83,
        "penalty": 0.1,
    },
}


class MixNoise(NamedTuple):
    z: Array  # (N, L)
    t: Array  # (N, 1, ...), one number a row in [0, 1)
    key: Key  # for layers that draw noise


class PenalisedCriticLoss(CriticLoss):
    """mean f(G(z)) - mean f(x) + the penalty on f's slope between the two."""

    def __init__(self, game: Game, penalty: Penalty) -> None:
        super().__init__(game)
        self.between = penalty

    def draw(self, model: Any, batch: Array, key: Key, forwards: Forwards | None = None) -> Any:
        z = model.latent(len(batch), key.at("z"))
        t = key.at("t").uniform((len(batch), *(1 for _ in batch.shape[1:])), like=model.theta)
        return MixNoise(z, t, key)

    def __call__(
        self,
        model: Any,
        batch: Array,
        noise: GANNoise | MixNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        assert isinstance(noise, MixNoise)
        forward, f = Forwarder(model, forwards, train=train, key=noise.key), model.discriminator
        real, N = batch, len(batch)
        fake, _ = forward("generator", noise.z)  # (N, ...)
        height, cache = forward("discriminator:both", concatenate((real, fake)))  # (2N, 1): f mixes no rows
        mixed = add((noise.t, real), fake, (-1, noise.t, fake))  # (N, ...)
        mixed_height, mixed_cache = forward("discriminator:mixed", mixed)  # (N, 1)

        real_loss, dreal = self.game.real(height[:N], scale=scale)
        fake_loss, dfake = self.game.fake(height[N:], scale=scale)
        if backward:
            f.backward(concatenate((dreal, dfake)), cache, need_dx=False)
        paid, _ = self.between.of(f, mixed_height, mixed_cache, backward=backward, scale=scale)
        return {"real": real_loss, "fake": fake_loss, self.between.name: paid}, forward.made(self.updates)


class WGANGP(WassersteinGAN):
    """The critic of the reference configuration on images; `penalty` weighs the term of the slope."""

    name = "wgan_gp"
    recipe = Recipe(
        family="gan",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour", "ring8", "grid25"),
        batch=64,
        steps=10000,
        rate=1e-4,
        lesson="08",
        options={
            "latents": 100,
            "width": 64,
            "hidden": 128,
            "critic_steps": 5,
            "penalty": 10.0,
            "beta1": 0.0,
            "rate_ratio": 1.0,
            "decay": False,
            "final_rate": 0.0,
            "average": 0.0,
            "scale": 1.0,
        },
        objectives=("critic", "generator"),
        by_data={**on_points(penalty=0.1), "grid25": GRID},
        proof={"options": {"width": 8, "latents": 8}, "data_options": {"size": 16}},
    )

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, penalty: float = 10.0, **options: Any) -> None:
        self.between = penalties.gradient_penalty(penalty)
        super().__init__(shape, key, dtype, **options)

    def make_critic_loss(self, rules: Game) -> Objective:
        return PenalisedCriticLoss(rules, self.between)

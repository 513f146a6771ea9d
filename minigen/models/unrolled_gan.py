"""The unrolled GAN (Metz et al. 2017): G is judged by the discriminator that will have answered it.

    theta_k+1 = theta_k - rate dL_D/dtheta (theta_k, fake),   k = 0 .. K-1,        L_G = mean generator(D_theta_K(fake))

A generator that puts all its samples on one mode is answered by a D that rejects this mode; looking K steps ahead, G sees the
answer before it moves. L_G depends on the fakes directly and through every step. Back through step k, with a = dL_G/dtheta_k+1:

    dL_G/dtheta_k = a - rate H a                          H = d2 L_D / dtheta dtheta
    dfake        -= rate (d/dfake dL_D/dtheta) a

Both products say how D's own gradients change as theta moves along a: `jvp(move_params=True)`, then `backward_jvp`, whose grads
are H a and whose dx_dot is the mixed product. Every step has a discriminator of its own (`clone`), so all caches stay fresh.

N batch, K steps; "..." the axes of an image or a point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..layers.layer import Layer
from ..losses.adversarial import Game
from ..random import Key
from .gan import GAN
from .minimax import GANNoise, GeneratorLoss
from .model import Recipe
from .objective import Forwards, Terms


class UnrolledGeneratorLoss(GeneratorLoss):
    """mean generator(D_K(G(z))), D_K being D after `steps` steps of plain descent at `rate` on this batch and these fakes.

    The reals are constants, and so is D_0: gradients reach G alone.
    """

    def __init__(self, game: Game, steps: int, rate: float) -> None:
        super().__init__(game)
        self.steps, self.rate = steps, rate

    def __call__(
        self,
        model: GAN,
        batch: Array,
        noise: GANNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        G, key = model.generator, noise.key
        made = (forwards or {}).get("generator") or G.forward(noise.z, train=train, key=key.at("generator"))
        fake, made_cache = made  # (N, ...)
        sides = ((batch, self.game.real, key.at("real")), (fake, self.game.fake, key.at("fake")))

        D: Any = model.discriminator.clone()
        played: list[tuple[Layer, list[Any]]] = []
        for _ in range(self.steps):
            D.zero_grads()
            seen = [(side, *D.forward(x, train=train, key=at)) for x, side, at in sides]
            for side, logits, cache in seen:
                D.backward(side(logits)[1], cache, need_dx=False)
            played.append((D, seen))
            D = D.clone()
            D.vector.theta -= self.rate * played[-1][0].vector.grad  # type: ignore[union-attr]
        D.zero_grads()
        logits, cache = D.forward(fake, train=train, key=key.at("fake"))  # (N, 1)
        loss, dlogits = self.game.generator(logits)

        if backward:
            dfake = D.backward(scale * dlogits, cache)
            a = D.vector.grad  # dL_G / dtheta_K
            for D, seen in reversed(played):
                D.zero_grads()
                D.vector.theta_dot[...] = a
                for (x, _, _), (side, logits, cache) in zip(sides, seen, strict=True):
                    logits_dot, tangents = D.jvp(np.zeros_like(x), cache, move_params=True)
                    dlogits, dlogits_dot = side(logits)[1], side.dot(logits, logits_dot)
                    _, dx_dot = D.backward_jvp(dlogits, dlogits_dot, cache, tangents, need_dx=x is fake)
                dfake = dfake - self.rate * dx_dot  # of the last call: the fakes'
                a = a - self.rate * D.vector.grad  # D's grads are H a
            G.backward(dfake, made_cache, need_dx=False)
        return {"generator": loss}, {"generator": made}


class UnrolledGAN(GAN):
    """GAN, whose generator looks `unroll` steps ahead. Each costs about three more of D's: use it where D is small."""

    name = "unrolled_gan"
    recipe = Recipe(
        family="gan",
        data=("ring8", "grid25", "glyphs"),
        batch=128,
        steps=4000,
        rate=1e-4,
        lesson="02",
        options={
            "latents": 16,
            "hidden": 128,
            "unroll": 5,
            "unroll_rate": 0.5,
            "game": "non_saturating",
            "rate_ratio": 10.0,
        },
        objectives=("discriminator", "generator"),
    )

    def __init__(
        self,
        shape: Any,
        key: Key,
        dtype: Any = np.float32,
        *,
        unroll: int = 5,
        unroll_rate: float = 0.5,
        **options: Any,
    ) -> None:
        if options.get("r1"):
            raise ValueError(
                f"{self.name}: D's imagined steps know no penalty, whose derivative is of third order: leave r1 out"
            )
        self.unroll, self.unroll_rate = unroll, unroll_rate
        super().__init__(shape, key, dtype, **options)

    def play(self, name: str, smoothing: float = 0.0, matching: bool = False) -> None:
        super().play(name, smoothing)
        d_loss: Any = self.objectives[0]
        self.objectives = (d_loss, UnrolledGeneratorLoss(d_loss.game, self.unroll, self.unroll_rate))

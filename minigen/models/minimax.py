"""The objectives of the two players of a GAN, each at fixed latents: what D pays, and what G pays by D's logits or features.

D's loss treats the fakes as constants; G's goes back through D, which does not learn from it. `updates` says so, and the proof
checks that nothing leaks. The games, functions of a logit, are in losses.adversarial, the penalty on D's slope in penalties.py.
Derived in lessons/02_gan.py.

N batch, L latents, F features of D, "..." the axes of an image or a point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..backend import Array
from ..kernels import squares
from ..kernels.combine import add
from ..kernels.sums import over_rows
from ..losses.adversarial import Game
from ..random import Key
from .objective import Forwarder, Forwards, Objective, Terms
from .penalties import Penalty

if TYPE_CHECKING:
    from .gan import GAN


class GANNoise(NamedTuple):
    z: Array  # (N, L)
    key: Key  # for layers that draw noise


class DiscriminatorLoss(Objective):
    """mean real(D(x)) + mean fake(D(G(z))), with the sides of a `Game`. The fakes are constants.

    A `penalty` (R1) is paid for D's slope at the real rows.
    """

    name, updates = "discriminator", ("discriminator",)

    def __init__(self, game: Game, penalty: Penalty | None = None) -> None:
        self.game, self.penalty = game, penalty
        if game.name == "wasserstein":
            self.dead = {"discriminator.out.b": "a constant that is added to every logit cancels between real and fake"}

    def draw(self, model: GAN, batch: Array, key: Key, forwards: Forwards | None = None) -> GANNoise:
        return GANNoise(model.latent(len(batch), key.at("z")), key)

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
        forward, D = Forwarder(model, forwards, train=train, key=noise.key), model.discriminator
        fake, _ = forward("generator", noise.z)  # (N, ...)
        real_logits, real_cache = forward("discriminator:real", batch)  # (N, 1)
        fake_logits, fake_cache = forward("discriminator:fake", fake)  # (N, 1)

        real_loss, dreal = self.game.real(real_logits, scale=scale)
        fake_loss, dfake = self.game.fake(fake_logits, scale=scale)
        if backward:
            D.backward(dreal, real_cache, need_dx=False)
            D.backward(dfake, fake_cache, need_dx=False)
        terms = {"real": real_loss, "fake": fake_loss}
        if self.penalty:
            terms[self.penalty.name], _ = self.penalty.of(D, real_logits, real_cache, backward=backward, scale=scale)
        return terms, forward.made(self.updates)


class GeneratorLoss(Objective):
    """mean generator(D(G(z))): the gradient passes through D, which does not learn from it."""

    name, updates = "generator", ("generator",)

    def __init__(self, game: Game) -> None:
        self.game = game

    draw = DiscriminatorLoss.draw

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
        forward = Forwarder(model, forwards, train=train, key=noise.key)
        fake, made_cache = forward("generator", noise.z)  # (N, ...)
        logits, seen_cache = forward("discriminator:fake", fake)  # (N, 1)

        loss, dlogits = self.game.generator(logits, scale=scale)
        if backward:
            dfake = model.discriminator.backward(dlogits, seen_cache, param_grads=False)
            model.generator.backward(dfake, made_cache, need_dx=False)
        return {"generator": loss}, forward.made(self.updates)


class FeatureMatching(GeneratorLoss):
    """|mean h(x) - mean h(G(z))|^2, h the features of D (Salimans et al. 2016, section 3.1): G matches what D looks at.

    With d = mean h(x) - mean h(fake), (F,), each fake row's features receive dh = -2 d / N. Squared units of a feature. It is
    F / N^2 times the mean squared error of the sums over the rows.
    """

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
        G, h, key = model.generator, model.discriminator.features, noise.key
        made = (forwards or {}).get("generator") or G.forward(noise.z, train=train, key=key.at("generator"))
        fake, made_cache = made  # (N, ...)
        real_features, _ = h.forward(batch, train=train, key=key.at("real"))  # (N, F)
        fake_features, seen_cache = h.forward(fake, train=train, key=key.at("fake"))  # (N, F)

        N, F = fake_features.shape
        share = F / N**2  # of sums of N rows, and of a mean over F numbers
        sums = over_rows(fake_features), over_rows(real_features)
        value, dh = squares.loss(*sums, scale=share * scale)  # dh (F,), of each row
        if backward:
            dfake = h.backward(add(np.broadcast_to(dh, (N, F))), seen_cache, param_grads=False)
            G.backward(dfake, made_cache, need_dx=False)
        return {"matching": share * value}, {"generator": made}

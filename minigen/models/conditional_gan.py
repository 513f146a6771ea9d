"""The conditional GAN (Mirza and Osindero 2014): both players are told the class, so G draws what it is asked for.

G: z and E[y] side by side -- dense, BN, ReLU, conv' 4/2/1, BN, ReLU, conv' 4/2/1, tanh: the generator of `dcgan`
D: one of two ways to look at an image x of class y

    channel      x and an image E[y] of one channel, learned for each class, side by side -- the discriminator of `dcgan`
    projection   h = trunk(x),  logit = w h + b + <E[y], h>                                       (Miyato and Koyama 2018)

The projection is what the best logit looks like: log p(x, y) / q(x, y) = log p(y|x) / q(y|x) + log p(x) / q(x), and if both
p(y|x) and q(y|x) are softmax of linear functions of h, the first part is linear in h with coefficients that depend on y.

Fakes get the labels of the real rows beside them, so classes are asked for as often as the data shows them.

The networks are in conditional_networks.py. N batch, L latents, K classes, W width of G's embedding, F features of D,
(H, W, C) an image in [-1, 1].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape, device_of, to_device
from ..losses.adversarial import Game
from ..losses.adversarial import game as find_game
from ..random import Key
from . import penalties
from .conditional_networks import ChannelDiscriminator, ConditionalGenerator, ProjectionDiscriminator
from .dcgan import quarterable
from .labelled import Labelled, asked_for, labelled
from .model import Model, Recipe
from .objective import Forwarder, Forwards, Objective, Terms
from .penalties import Penalty

# ---- the objectives: those of `gan`, with labels beside the images


class ConditionalNoise(NamedTuple):
    z: Array  # (N, L)
    key: Key  # for layers that draw noise


class ConditionalDiscriminatorLoss(Objective):
    """mean real(D(x, y)) + mean fake(D(G(z, y), y)), with the sides of a `Game`. The fakes are constants.

    A `penalty` (R1) is paid for D's slope in the real images.
    """

    name, updates = "discriminator", ("discriminator",)

    def __init__(self, game: Game, penalty: Penalty | None = None) -> None:
        self.game, self.penalty = game, penalty
        if game.name == "wasserstein":
            self.dead = {"discriminator.out.b": "a constant that is added to every logit cancels between real and fake"}

    def draw(self, model: ConditionalGAN, batch: Labelled, key: Key, forwards: Forwards | None = None) -> ConditionalNoise:
        return ConditionalNoise(model.latent(len(batch.images), key.at("z")), key)

    def __call__(
        self,
        model: ConditionalGAN,
        batch: Labelled,
        noise: ConditionalNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, (x, y), D = Forwarder(model, forwards, train=train, key=noise.key), batch, model.discriminator
        fake, _ = forward("generator", (noise.z, y))  # (N, H, W, C)
        real_logits, real_cache = forward("discriminator:real", (x, y))  # (N, 1)
        fake_logits, fake_cache = forward("discriminator:fake", (fake, y))  # (N, 1)

        real_loss, dreal = self.game.real(real_logits, scale=scale)
        fake_loss, dfake = self.game.fake(fake_logits, scale=scale)
        if backward:
            D.backward(dreal, real_cache, need_dx=False)
            D.backward(dfake, fake_cache, need_dx=False)
        terms = {"real": real_loss, "fake": fake_loss}
        if self.penalty:
            terms[self.penalty.name], _ = self.penalty.of(D, real_logits, real_cache, backward=backward, scale=scale)
        return terms, forward.made(self.updates)


class ConditionalGeneratorLoss(Objective):
    """mean generator(D(G(z, y), y)): the gradient passes through D, which does not learn from it."""

    name, updates = "generator", ("generator",)

    def __init__(self, game: Game) -> None:
        self.game = game

    draw = ConditionalDiscriminatorLoss.draw

    def __call__(
        self,
        model: ConditionalGAN,
        batch: Labelled,
        noise: ConditionalNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, y = Forwarder(model, forwards, train=train, key=noise.key), batch.labels
        fake, made_cache = forward("generator", (noise.z, y))  # (N, H, W, C)
        logits, seen_cache = forward("discriminator:fake", (fake, y))  # (N, 1)

        loss, dlogits = self.game.generator(logits, scale=scale)
        if backward:
            dfake, _ = model.discriminator.backward(dlogits, seen_cache, param_grads=False)
            model.generator.backward(dfake, made_cache, need_dx=False)
        return {"generator": loss}, forward.made(self.updates)


class ConditionalGAN(Model):
    """The networks of `dcgan`, told the class; `projection` chooses how D is told, `r1` weighs a penalty on its slope."""

    name = "conditional_gan"
    recipe = Recipe(
        family="gan",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour"),
        batch=64,
        steps=4000,
        rate=2e-4,
        lesson="02",
        options={
            "classes": 10,
            "latents": 100,
            "width": 32,
            "projection": True,
            "game": "non_saturating",
            "smoothing": 0.0,
            "r1": 0.0,
        },
        objectives=("discriminator", "generator"),
        by_data={"mnist": {"steps": 6000}},
    )
    generator: ConditionalGenerator
    discriminator: ChannelDiscriminator | ProjectionDiscriminator

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        classes: int = 10,
        latents: int = 100,
        width: int = 32,
        projection: bool = True,
        game: str = "non_saturating",
        smoothing: float = 0.0,
        r1: float = 0.0,
    ) -> None:
        self.shape, self.classes, self.latents = quarterable(self.name, shape), classes, latents
        G = ConditionalGenerator(latents, classes, width, self.shape)
        D = (ProjectionDiscriminator if projection else ChannelDiscriminator)(classes, self.shape)
        super().__init__(key, dtype, generator=G, discriminator=D)
        rules = find_game(game, smoothing)
        self.objectives = (ConditionalDiscriminatorLoss(rules, penalties.r1(r1)), ConditionalGeneratorLoss(rules))

    def start(self, rate: float, steps: int) -> None:
        self.optimize(
            d=optim.Adam(self, self.spans("discriminator"), rate, betas=(0.5, 0.999)),
            g=optim.Adam(self, self.spans("generator"), rate, betas=(0.5, 0.999)),
        )

    def latent(self, n: int, key: Key) -> Array:
        """n latents from N(0, 1): (n, L)."""
        return key.normal((n, self.latents), like=self.theta)

    def batch_of(self, batch: Any) -> Labelled:
        """Images from [0, 1] to [-1, 1], with their labels. Raises ValueError where there are none."""
        images, labels = labelled(batch, self.name, self.classes)
        return Labelled(2 * images - 1, labels)

    def step(self, batch: Labelled, key: Key) -> Terms:
        d_loss, g_loss = self.objectives
        noise = d_loss.draw(self, batch, key)
        made = self.generator.forward((noise.z, batch.labels), train=True, key=noise.key.at("generator"))
        forwards = {"generator": made}

        self.discriminator.zero_grads()
        d_terms, seen = d_loss(self, batch, noise, forwards=forwards)
        self.optimizers["d"].step()
        self.commit(noise, seen)

        self.generator.zero_grads()
        g_terms, seen = g_loss(self, batch, noise, forwards=forwards)
        self.optimizers["g"].step()
        self.commit(noise, seen)
        return d_terms | g_terms

    def health(self, batch: Labelled, key: Key) -> dict[str, Any]:
        d_loss: Any = self.objectives[0]
        (x, y), D = batch, self.discriminator
        fake = self.generator.forward((self.latent(len(x), key), y))[0]
        logits = {"real_logits": D.forward((x, y))[0], "fake_logits": D.forward((fake, y))[0]}
        return {"real": x, "fake": fake, **logits, "critic": d_loss.game.name == "wasserstein"}

    # ---- what it is used for

    def embed(self, labels: Array) -> Array:
        """What G knows of these classes: (N,) -> (N, W). Points between two of them are classes in between."""
        return self.generator.label.forward(labels)[0]

    def generate_at(self, z: Array, e: Array) -> Array:
        """Images (N, H, W, C) in [0, 1] at latents z (N, L) and embeddings e (N, W), those of classes or any others."""
        return 0.5 * (self.generator.net.forward(np.concatenate((z, e), 1))[0] + 1)

    def sample_class(self, labels: Any, key: Key) -> Array:
        """An image (N, H, W, C) of each of these classes (N,). Raises ValueError on a label that is not in 0 .. K - 1."""
        y = asked_for(labels, self.classes, self.name, self.theta)
        return self.generate_at(self.latent(len(y), key), self.embed(y))

    def sample(self, n: int, key: Key) -> Array:
        """n images, as many of each class as of the others, in the order of the classes."""
        return self.sample_class(np.arange(n) * self.classes // max(1, n), key)

    def between(self, a: int, b: int, z: Array, steps: int) -> Array:
        """The same latents z (L,) on the straight line from class a to class b: (steps, H, W, C) in [0, 1]."""
        ends = self.embed(to_device(np.array((a, b)), device_of(z)))  # (2, W)
        t = to_device(np.linspace(0, 1, steps, dtype=self.dtype), device_of(z))[:, None]  # (steps, 1)
        return self.generate_at(z + 0 * t, (1 - t) * ends[0] + t * ends[1])

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """`samples`: a row for each class, a column for each z. `between`: from each class to the next, z fixed."""
        z = self.latent(8, key)  # (8, L)
        columns = [self.sample_at(z, k) for k in range(self.classes)]
        ways = [self.between(k, (k + 1) % self.classes, z[0], 8) for k in range(self.classes)]
        return {"samples": np.stack(columns), "between": np.stack(ways)}

    def sample_at(self, z: Array, label: int) -> Array:
        """Images of one class at latents z: (N, L) -> (N, H, W, C) in [0, 1]."""
        return self.generate_at(z, self.embed(to_device(np.full(len(z), label), device_of(z))))

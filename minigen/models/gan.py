"""The generative adversarial network (Goodfellow et al. 2014), dense: two networks that play a game.

G turns latents z into images; D tells real images from G's. Each turn of a step updates one of them and holds the other still:

    D's turn:   z -- G --> fake (a constant here) -- D --> logits --> loss;  real -- D --> logits --> loss
    G's turn:   z -- G --> fake -- D (frozen) --> logits --> loss; the gradient comes back through D into G

Both turns share one draw of z and one forward of G: D's step does not touch G, so its cache is still fresh in G's turn.

N batch, L latents, "..." the axes of an image. Images lie in [-1, 1], tanh's range. Derived in lessons/02_gan.py.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..layers.composite import Sequential
from ..layers.elementwise import LeakyReLU, Tanh
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..losses.adversarial import Game, game
from ..random import Key
from .model import Model, Recipe
from .objective import Forwards, Objective, Terms


class GANNoise(NamedTuple):
    z: Array  # (N, L)
    key: Key  # for layers that draw noise


class DiscriminatorLoss(Objective):
    """mean real(D(x)) + mean fake(D(G(z))), with the sides of a `Game`. The fakes are constants."""

    name, updates = "discriminator", ("discriminator",)

    def __init__(self, game: Game) -> None:
        self.game = game
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
        D, key, known = model.discriminator, noise.key, forwards or {}
        fake, _ = known.get("generator") or model.generator.forward(noise.z, train=train, key=key.at("generator"))
        real_seen = known.get("discriminator:real") or D.forward(batch, train=train, key=key.at("real"))
        fake_seen = known.get("discriminator:fake") or D.forward(fake, train=train, key=key.at("fake"))
        (real_logits, real_cache), (fake_logits, fake_cache) = real_seen, fake_seen  # (N, 1), (N, 1)

        real_loss, dreal = self.game.real(real_logits)
        fake_loss, dfake = self.game.fake(fake_logits)
        if backward:
            D.backward(scale * dreal, real_cache, need_dx=False)
            D.backward(scale * dfake, fake_cache, need_dx=False)
        return {"real": real_loss, "fake": fake_loss}, {"discriminator:real": real_seen, "discriminator:fake": fake_seen}


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
        G, D, key = model.generator, model.discriminator, noise.key
        made = (forwards or {}).get("generator") or G.forward(noise.z, train=train, key=key.at("generator"))
        fake, made_cache = made  # (N, ...)
        logits, seen_cache = D.forward(fake, train=train, key=key.at("fake"))  # (N, 1)

        loss, dlogits = self.game.generator(logits)
        if backward:
            dfake = D.backward(scale * dlogits, seen_cache, param_grads=False)
            G.backward(dfake, made_cache, need_dx=False)
        return {"generator": loss}, {"generator": made}


class GAN(Model):
    """G 100-256-512-1024-784 with tanh, D 784-512-256-1, LeakyReLU 0.2 in both."""

    name = "gan"
    recipe = Recipe(
        family="gan",
        data=("glyphs", "mnist", "fashion_mnist"),
        batch=64,
        steps=8000,
        rate=2e-4,
        lesson="02",
        options={"latents": 100, "game": "non_saturating", "smoothing": 0.0},
    )
    generator: Layer
    discriminator: Layer

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        latents: int = 100,
        game: str = "non_saturating",
        smoothing: float = 0.0,
    ) -> None:
        self.shape, self.latents = shape, latents
        super().__init__(key, dtype, generator=self.make_generator(), discriminator=self.make_discriminator())
        self.play(game, smoothing)

    def play(self, name: str, smoothing: float = 0.0) -> None:
        """Sets the game: see `losses.adversarial`."""
        rules = game(name, smoothing)
        self.objectives = (DiscriminatorLoss(rules), GeneratorLoss(rules))

    def make_generator(self) -> Layer:
        """(N, L) -> (N, *shape) in (-1, 1)."""
        layers: list[Layer] = []
        for inputs, outputs in ((self.latents, 256), (256, 512), (512, 1024)):
            layers += [Linear(inputs, outputs), LeakyReLU(0.2)]
        return Sequential(*layers, out=Linear(1024, math.prod(self.shape)), tanh=Tanh(), shape=Reshape(*self.shape))

    def make_discriminator(self) -> Layer:
        """(N, *shape) -> logits (N, 1)."""
        pixels = math.prod(self.shape)
        return Sequential(
            flat=Flatten(),
            hidden1=Linear(pixels, 512),
            leaky1=LeakyReLU(0.2),
            hidden2=Linear(512, 256),
            leaky2=LeakyReLU(0.2),
            out=Linear(256, 1),
        )

    def latent(self, n: int, key: Key) -> Array:
        """n latents from N(0, 1): (n, L)."""
        return key.normal((n, self.latents), like=self.theta)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(
            d=optim.Adam(self, self.spans("discriminator"), rate, betas=(0.5, 0.999)),
            g=optim.Adam(self, self.spans("generator"), rate, betas=(0.5, 0.999)),
        )

    def step(self, batch: Array, key: Key) -> Terms:
        d_loss, g_loss = self.objectives
        noise = d_loss.draw(self, batch, key)
        forwards = {"generator": self.generator.forward(noise.z, train=True, key=noise.key.at("generator"))}

        self.discriminator.zero_grads()
        d_terms, seen = d_loss(self, batch, noise, forwards=forwards)
        self.optimizers["d"].step()
        self.commit(noise, seen)

        self.generator.zero_grads()
        g_terms, seen = g_loss(self, batch, noise, forwards=forwards)
        self.optimizers["g"].step()
        self.commit(noise, seen)
        return d_terms | g_terms

    def batch_of(self, batch: Any) -> Array:
        """Images from [0, 1] to [-1, 1]."""
        return 2 * batch.images - 1

    def generate(self, z: Array) -> Array:
        """Images (N, *shape) in [0, 1] at latents z (N, L)."""
        return 0.5 * (self.generator.forward(z)[0] + 1)

    def sample(self, n: int, key: Key) -> Array:
        return self.generate(self.latent(n, key))

"""The generative adversarial network (Goodfellow et al. 2014), dense: two networks that play a game.

G turns latents z into images; D tells real images from G's. Each turn of a step updates one of them and holds the other still:

    D's turn:   z -- G --> fake (a constant here) -- D --> logits --> loss;  real -- D --> logits --> loss
    G's turn:   z -- G --> fake -- D (frozen) --> logits --> loss; the gradient comes back through D into G

What the two pay is in minimax.py. Both turns share one draw of z and one forward of G: D's step does not touch G, so its cache
is still fresh in G's turn.

N batch, L latents, F features of D, "..." the axes of an image, which lies in [-1, 1], tanh's range. Rows that are points (2,)
are taken as they are. Derived in lessons/02_gan.py.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..layers.composite import Composite, Sequential
from ..layers.elementwise import LeakyReLU, ReLU, Tanh
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.minibatch import MinibatchDiscrimination
from ..layers.shape import Flatten, Reshape
from ..losses.adversarial import game
from ..random import Key
from . import penalties
from .minimax import DiscriminatorLoss, FeatureMatching, GANNoise, GeneratorLoss
from .model import Model, Recipe
from .objective import Terms

__all__ = ["GAN", "Discriminator", "DiscriminatorLoss", "FeatureMatching", "GANNoise", "GeneratorLoss", "mlp"]


class Discriminator(Composite):
    """x -> features (N, F) -> logits (N, 1); between the two `kernels` of minibatch discrimination (Salimans et al. 2016)."""

    dims = 4  # of each kernel

    def __init__(self, features: Layer, width: int, kernels: int = 0) -> None:
        super().__init__()
        self.features = features
        if kernels:
            self.minibatch = MinibatchDiscrimination(width, kernels, self.dims)
        self.kernels, self.out = kernels, Linear(width + kernels, 1)

    def wire(self, f: Any, x: Array) -> Any:
        h = f.features(x)
        return f.out(f.minibatch(h) if self.kernels else h)

    def unwire(self, b: Any, dlogits: Array) -> Any:
        dh = b.out(dlogits)
        return b.features(b.minibatch(dh) if self.kernels else dh, need_dx=b.need_dx)


BETAS = (0.5, 0.999)  # of both Adams (Radford et al. 2016)

# On points: small networks. G is faster than D, which without minibatch discrimination ends on one mode (benchmarks/ring.py).
POINTS: dict[str, Any] = {
    "batch": 128,
    "steps": 6000,
    "rate": 1e-4,
    "options": {"latents": 16, "hidden": 128, "minibatch": 4, "rate_ratio": 10.0},
}


class GAN(Model):
    """On images G 100-256-512-1024-784 with tanh, D 784-512-256-1; on points two layers of `hidden` units in both.

    `smoothing` lowers the real rows' label (losses.adversarial.game); `matching` trains G by FeatureMatching; `minibatch` is
    the number of kernels of minibatch discrimination in D, whose logits then depend on the size of the batch, so that held-out
    losses are not those of training; `rate_ratio` is G's learning rate over D's (two time scales, Heusel et al. 2017); `r1` is
    the weight of R1, a penalty on D's slope at real rows (penalties.py).
    """

    name = "gan"
    recipe = Recipe(
        family="gan",
        data=("glyphs", "mnist", "fashion_mnist", "ring8", "grid25"),
        batch=64,
        steps=8000,
        rate=2e-4,
        lesson="02",
        options={
            "latents": 100,
            "hidden": 256,
            "game": "non_saturating",
            "smoothing": 0.0,
            "matching": False,
            "minibatch": 0,
            "rate_ratio": 1.0,
            "r1": 0.0,
        },
        objectives=("discriminator", "generator"),
        by_data=dict.fromkeys(("ring8", "grid25"), POINTS),
    )
    generator: Layer
    discriminator: Discriminator

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        latents: int = 100,
        hidden: int = 256,
        game: str = "non_saturating",
        smoothing: float = 0.0,
        matching: bool = False,
        minibatch: int = 0,
        rate_ratio: float = 1.0,
        r1: float = 0.0,
    ) -> None:
        self.shape, self.latents, self.hidden, self.rate_ratio = tuple(shape), latents, hidden, rate_ratio
        features, width = self.make_features()
        discriminator = Discriminator(features, width, minibatch)
        super().__init__(key, dtype, generator=self.make_generator(), discriminator=discriminator)
        self.penalty = penalties.r1(r1)
        self.play(game, smoothing, matching)

    def play(self, name: str, smoothing: float = 0.0, matching: bool = False) -> None:
        """Sets the game: see `losses.adversarial`."""
        rules = game(name, smoothing)
        self.objectives = (DiscriminatorLoss(rules, self.penalty), FeatureMatching(rules) if matching else GeneratorLoss(rules))

    @property
    def draws_images(self) -> bool:
        """Whether rows are images (H, W, C); else they are points (d,)."""
        return len(self.shape) == 3

    def make_generator(self) -> Layer:
        """(N, L) -> (N, *shape): images in (-1, 1), or points."""
        H = self.hidden
        if not self.draws_images:
            return mlp(ReLU, self.latents, H, H, out=Linear(H, *self.shape))
        image = {"out": Linear(4 * H, math.prod(self.shape)), "tanh": Tanh(), "shape": Reshape(*self.shape)}
        return mlp(LeakyReLU, self.latents, H, 2 * H, 4 * H, **image)

    def make_features(self) -> tuple[Layer, int]:
        """D without its last layer, (N, *shape) -> (N, F), and F."""
        H, inputs = self.hidden, math.prod(self.shape)
        return Sequential(flat=Flatten(), hidden=mlp(LeakyReLU, inputs, 2 * H if self.draws_images else H, H)), H

    def latent(self, n: int, key: Key) -> Array:
        """n latents from N(0, 1): (n, L)."""
        return key.normal((n, self.latents), like=self.theta)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(
            d=optim.Adam(self, self.spans("discriminator"), rate, betas=BETAS),
            g=optim.Adam(self, self.spans("generator"), self.rate_ratio * rate, betas=BETAS),
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
        """Images from [0, 1] to [-1, 1]; points as they are."""
        images: Array = batch.images
        return 2 * images - 1 if self.draws_images else images

    def health(self, batch: Array, key: Key) -> dict[str, Any]:
        d_loss: Any = self.objectives[0]
        fake = self.generator.forward(self.latent(len(batch), key))[0]
        logits = {"real_logits": self.discriminator.forward(batch)[0], "fake_logits": self.discriminator.forward(fake)[0]}
        return {"real": batch, "fake": fake, **logits, "critic": d_loss.game.name == "wasserstein"}

    def generate(self, z: Array) -> Array:
        """Images (N, *shape) in [0, 1], or points, at latents z (N, L)."""
        made: Array = self.generator.forward(z)[0]
        return 0.5 * (made + 1) if self.draws_images else made

    def sample(self, n: int, key: Key) -> Array:
        return self.generate(self.latent(n, key))


def mlp(activation: type[ReLU] | type[LeakyReLU], *widths: int, **tail: Layer) -> Sequential:
    """Linear layers of these widths, each followed by the activation; then `tail`."""
    layers: dict[str, Layer] = {}
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        bend = activation(0.2) if activation is LeakyReLU else activation()
        layers[str(2 * i)] = Linear(inputs, outputs, activation=bend)  # counting the activations too, as weights files do
    return Sequential(**layers, **tail)

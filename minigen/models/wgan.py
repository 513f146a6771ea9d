"""The Wasserstein GAN (Arjovsky et al. 2017): a critic that measures a distance, in place of a discriminator that guesses.

The least effort to carry the mass of q over to p, mass times length, is the Wasserstein-1 distance. By Kantorovich and
Rubinstein's duality it is a maximum over functions that are nowhere steeper than 1:

    W(p, q) = max over |f|_L <= 1 of E_p f(x) - E_q f(x)

The critic f, the network called `discriminator`, is a GAN's D in the game `wasserstein`, which minimises E_q f - E_p f. It does
not saturate: where p and q do not overlap, a logit loses its slope, and f keeps one that says how to move. But the maximum
needs the bound on the slope, and needs to be reached: `critic_steps` updates of f come before each of G.

    wgan      after every update of f all its parameters are clipped to [-clip, clip], which bounds f's slope by some K
    wgan_gp   a penalty on the slope itself (wgan_gp.py)

f's last bias is declared dead: a constant that is added to f cancels in the difference.

N batch, L latents, F features of f, "..." the axes of an image in [-1, 1] or of a point, which is divided by `scale`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..averaging import Average
from ..backend import Array, Shape
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d
from ..layers.elementwise import LeakyReLU, ReLU
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten
from ..losses.adversarial import Game
from ..random import Key
from .dcgan import DCGAN, quarterable
from .gan import mlp
from .minimax import DiscriminatorLoss, GeneratorLoss
from .model import Recipe
from .objective import Objective, Terms


class CriticLoss(DiscriminatorLoss):
    """mean f(G(z)) - mean f(x): DiscriminatorLoss in the Wasserstein game."""

    name = "critic"


class WassersteinGAN(DCGAN):
    """What `wgan` and `wgan_gp` have in common: networks, the order of updates, the distance.

    On images G is `dcgan`'s and f has two convolutions without normalisation; on points both have three layers of `hidden`
    units. A step is one update of f; every `critic_steps`-th step one of G follows. Adam has (beta1, 0.9); with `decay` its
    rates, G's `rate_ratio` times f's, fall in a straight line to `final_rate` times what they were.

    f and G chase each other: at a rate that still learns, G's samples wander about where they belong. With an `average`, the
    decay of a running average of G's parameters (Yazici et al. 2019), samples of points are the averaged G's, which stands
    still in the middle. Training, and what `evaluate` and `health` say of the game, go on with the last G.
    """

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        critic_steps: int = 5,
        beta1: float = 0.0,
        decay: bool = False,
        final_rate: float = 0.0,
        average: float = 0.0,
        scale: float = 1.0,
        **options: Any,
    ) -> None:
        if critic_steps < 1:
            raise ValueError(f"{self.name}: critic_steps={critic_steps}: the critic needs at least one update for each of G")
        if not scale > 0:
            raise ValueError(f"{self.name}: scale={scale:g}: points are divided by it, so it must be positive")
        if not 0 <= average < 1:
            raise ValueError(f"{self.name}: average={average:g}: the decay of an average is below 1, such as 0.99; 0 is none")
        if average and len(shape) == 3:
            raise ValueError(
                f"{self.name}: average={average:g} is for points: the batch normalisation of images has running means of the "
                f"last parameters, not of the averaged ones"
            )
        if not 0 <= final_rate <= 1:
            raise ValueError(f"{self.name}: final_rate={final_rate:g}: the share of the rate that is left must lie in [0, 1]")
        if final_rate and not decay:
            raise ValueError(f"{self.name}: final_rate={final_rate:g} needs decay: without it the rate does not fall")
        self.critic_steps, self.beta1, self.decay, self.final_rate = critic_steps, beta1, decay, final_rate
        self.average, self.scale = average, scale
        super().__init__(shape, key, dtype, game="wasserstein", **options)

    def play(self, name: str, smoothing: float = 0.0, matching: bool = False) -> None:
        super().play(name)
        rules: Game = self.objectives[0].game  # type: ignore[attr-defined]
        self.objectives = (self.make_critic_loss(rules), GeneratorLoss(rules))

    def make_critic_loss(self, rules: Game) -> Objective:
        """What f minimises."""
        return CriticLoss(rules)

    def make_generator(self) -> Layer:
        H = self.hidden
        return super().make_generator() if self.draws_images else mlp(ReLU, self.latents, H, H, H, out=Linear(H, *self.shape))

    def make_features(self) -> tuple[Layer, int]:
        if not self.draws_images:
            return mlp(LeakyReLU, *self.shape, self.hidden, self.hidden, self.hidden), self.hidden
        (H, W, C), n = quarterable(self.name, self.shape), self.width
        features = Sequential(
            conv1=Conv2d(C, n, 4, stride=2, padding=1, activation=LeakyReLU(0.2)),  # (N, H/2, W/2, n)
            conv2=Conv2d(n, 2 * n, 4, stride=2, padding=1, activation=LeakyReLU(0.2)),  # (N, H/4, W/4, 2n)
            flat=Flatten(),
        )
        return features, H // 4 * (W // 4) * 2 * n

    def start(self, rate: float, steps: int) -> None:
        def adam(network: str, rate: float, updates: int) -> optim.Adam:
            falls = optim.linear_decay(rate, updates, self.final_rate * rate) if self.decay else rate
            return optim.Adam(self, self.spans(network), falls, betas=(self.beta1, 0.9))

        g_rate, g_steps = self.rate_ratio * rate, steps // self.critic_steps
        self.optimize(d=adam("discriminator", rate, steps), g=adam("generator", g_rate, g_steps))
        if self.average:
            self.averages = {"generator": Average(self, self.spans("generator"), decay=self.average)}

    def step(self, batch: Array, key: Key) -> Terms:
        terms = self.step_critic(batch, key.at("critic"))
        if self.optimizers["d"].t % self.critic_steps:  # how many updates of f there were, which a checkpoint knows
            return terms
        return terms | self.step_generator(batch, key.at("generator"))

    def phase(self) -> bool:
        """Whether G moves too."""
        return not (self.optimizers["d"].t + 1) % self.critic_steps

    def step_critic(self, batch: Array, key: Key) -> Terms:
        """One update of f, against fakes of its own."""
        critic_loss, _ = self.objectives
        noise = critic_loss.draw(self, batch, key)
        self.discriminator.zero_grads()
        terms, seen = critic_loss(self, batch, noise)
        self.optimizers["d"].step()
        self.bound_slope()
        self.commit(noise, seen)
        return terms

    def step_generator(self, batch: Array, key: Key) -> Terms:
        """One update of G, downhill in f."""
        _, g_loss = self.objectives
        noise = g_loss.draw(self, batch, key)
        self.generator.zero_grads()
        terms, seen = g_loss(self, batch, noise)
        self.optimizers["g"].step()
        if self.averages:
            self.averages["generator"].update()
        self.commit(noise, seen)
        return terms

    def bound_slope(self) -> None:
        """What is done to f after its update; nothing where its loss has a penalty."""

    def batch_of(self, batch: Any) -> Array:
        """Images from [0, 1] to [-1, 1]; points divided by `scale`."""
        rows = super().batch_of(batch)
        return rows if self.draws_images else rows / rows.dtype.type(self.scale)

    def generate(self, z: Array) -> Array:
        with self.averaged():
            made = super().generate(z)
        return made if self.draws_images else made * made.dtype.type(self.scale)

    def evaluate(self, batch: Any, key: Key) -> Terms:
        """The terms, and `distance`: how far f puts real rows above the last G's, its estimate of W (of K W in `wgan`)."""
        terms = super().evaluate(batch, key)
        return terms | {"distance": -terms["real"] - terms["fake"]}


def on_points(**options: Any) -> dict[str, dict[str, Any]]:
    """What differs on the two mixtures in the plane: three layers of 128 units, two latents, rates that fall."""
    common = {"latents": 2, "critic_steps": 2, "beta1": 0.5, "decay": True, **options}
    recipe = {"batch": 128, "steps": 16000, "rate": 2e-3}
    return {name: {**recipe, "options": {**common, "scale": scale}} for name, scale in (("ring8", 0.7), ("grid25", 2.83))}


class WGAN(WassersteinGAN):
    """f's slope is bounded by clipping its parameters. The paper calls it "a clearly terrible way", and it works."""

    name = "wgan"
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
            "clip": 0.02,
            "beta1": 0.0,
            "rate_ratio": 1.0,
            "decay": False,
            "final_rate": 0.0,
            "average": 0.0,
            "scale": 1.0,
        },
        objectives=("critic", "generator"),
        by_data=on_points(clip=0.1),
        proof={"options": {"width": 8, "latents": 8}, "data_options": {"size": 16}},
    )

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, clip: float = 0.02, **options: Any) -> None:
        if not clip > 0:
            raise ValueError(f"{self.name}: clip={clip:g}: a critic whose parameters are all zero measures nothing")
        self.clip = clip
        super().__init__(shape, key, dtype, **options)

    def bound_slope(self) -> None:
        optim.clip_values(self, self.spans("discriminator"), self.clip)

"""Our side of the reference configurations, without PyTorch: the model, the batch's shape, and a training step.

    ours = build("dcgan", batch_size=64)
    ours.step(key)

The weights are our own here; `pairs.py` copies the peer's over them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigen.backend import Array, Shape
from minigen.models.dcgan import DCGAN
from minigen.models.ddpm import DDPM
from minigen.models.gan import GAN
from minigen.models.model import Model
from minigen.models.pixelcnn import PixelCNN
from minigen.models.rbm import RBM
from minigen.models.realnvp import RealNVP
from minigen.models.vae import VAE
from minigen.models.wgan_gp import WGANGP
from minigen.random import Key

IMAGE: Shape = (28, 28, 1)


@dataclass
class Config:
    """One reference configuration."""

    make: Callable[[], Model]
    rows: Shape  # of the batch, beyond its first axis
    batch_size: int
    rate: float
    steps: int = 0  # that the learning rate's schedule is told; no schedule by default
    bits: bool = False  # pixels are 0 or 1
    update: str = "step"  # the method that is one training step


CONFIGS = {
    "vae": Config(lambda: VAE((784,), Key(0)), (784,), 128, 1e-3),
    "gan": Config(lambda: GAN(IMAGE, Key(0)), IMAGE, 64, 2e-4),
    "dcgan": Config(lambda: DCGAN(IMAGE, Key(0)), IMAGE, 64, 2e-4),
    "wgan_gp": Config(lambda: WGANGP(IMAGE, Key(0)), IMAGE, 64, 1e-4, update="step_critic"),
    "pixelcnn": Config(lambda: PixelCNN(IMAGE, Key(0)), IMAGE, 32, 1e-3, bits=True),
    "ddpm": Config(lambda: DDPM(IMAGE, Key(0), width=32, schedule="linear", prediction="noise", decay=0.0), IMAGE, 32, 2e-4),
    "realnvp": Config(
        lambda: RealNVP((784,), Key(0), depth=6, hidden=512, bound=1.0, clip=0.0), (784,), 128, 1e-4, steps=10**6
    ),
    "rbm": Config(
        lambda: RBM(IMAGE, Key(0), hidden=500, persistent=False, centered=False, final_rate=1.0), (784,), 128, 0.05, bits=True
    ),
}


@dataclass
class Ours:
    """A model that is ready to train, and a batch."""

    model: Model
    batch: Array
    update: str

    def step(self, key: Key) -> object:
        """One training step with the noise of `key`."""
        return getattr(self.model, self.update)(self.batch, key)


def build(name: str, batch: Array | None = None, *, batch_size: int | None = None) -> Ours:
    """The configuration `name` on this batch, or on a random one."""
    config = CONFIGS[name]
    if batch is None:
        drawn = Key(3).uniform((batch_size or config.batch_size, *config.rows))
        batch = (drawn > 0.8).astype(np.float32) if config.bits else drawn
    model: Any = config.make()
    model.start(rate=config.rate, steps=config.steps)
    return Ours(model, batch, config.update)

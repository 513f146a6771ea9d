"""The networks of `vae_gan` that `dcgan` does not have: an encoder, and a discriminator that shows its features.

N batch, L latents, F features, (H, W, C) an image in [-1, 1].
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..layers.batch_norm import BatchNorm
from ..layers.composite import Composite, Sequential
from ..layers.conv2d import Conv2d
from ..layers.elementwise import ReLU
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten
from ..layers.tree import Tree
from ..layers.wiring import add
from .vae import Encoder


class FeatureDiscriminator(Composite):
    """x -> (features h (N, F), logits l (N, 1)), where l is a linear function of h."""

    def __init__(self, features: Layer, width: int) -> None:
        super().__init__()
        self.features, self.out = features, Linear(width, 1)

    def wire(self, f: Any, x: Array) -> Tree:
        h = f.features(x)
        return h, f.out(h)

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dh, dl = dy
        return b.features(add(b.out(dl), dh), need_dx=b.need_dx)


def convolutional_encoder(shape: tuple[int, int, int], latents: int, n: int) -> Encoder:
    """(N, H, W, C) -> mu, logvar (N, L), at width n: the mirror image of dcgan's generator."""
    H, W, C = shape
    trunk = Sequential(
        conv1=Conv2d(C, n, 4, stride=2, padding=1, activation=ReLU()),  # (N, H/2, W/2, n)
        conv2=Conv2d(n, 2 * n, 4, stride=2, padding=1, bias=False),  # (N, H/4, W/4, 2n)
        norm2=BatchNorm(2 * n, activation=ReLU()),
        flat=Flatten(),
    )
    return Encoder(trunk, H // 4 * (W // 4) * 2 * n, latents)

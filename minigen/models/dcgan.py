"""DCGAN (Radford et al. 2016): the game of `gan`, played by convolutions with batch normalisation.

G: z -- dense --> H/4 x W/4 x 128, BN, ReLU -- conv' 4/2/1 --> 64, BN, ReLU -- conv' 4/2/1 --> C, tanh
D: x -- conv 4/2/1 --> 64, LeakyReLU -- conv 4/2/1 --> 128, BN, LeakyReLU -- dense --> 1        at width 64

Weights begin as N(0, 0.02^2), as in the paper: with larger ones tanh is flat where G begins. A layer before a batch
normalisation has no bias: the normalisation would take it away again. D sees real and fake rows in two calls, each normalised
with the moments of its own batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..layers.batch_norm import BatchNorm
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d, ConvTranspose2d
from ..layers.elementwise import LeakyReLU, ReLU, Tanh
from ..layers.initialisers import normal
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..random import Key
from .gan import GAN
from .model import Recipe

FIRST = normal(0.02)  # of every weight but that of D's last layer, which is `gan`'s


class DCGAN(GAN):
    """28x28 grey as in the reference configuration; any (H, W, C) with H and W multiples of 4."""

    name = "dcgan"
    recipe = Recipe(
        family="gan",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour", "stacked_glyphs", "stacked_mnist"),
        batch=64,
        steps=4000,
        rate=2e-4,
        lesson="02",
        options={
            "latents": 100,
            "width": 64,
            "game": "non_saturating",
            "smoothing": 0.0,
            "matching": False,
            "minibatch": 0,
            "rate_ratio": 1.0,
            "r1": 0.0,
        },
        objectives=("discriminator", "generator"),
        by_data={"mnist": {"steps": 8000}},
    )

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, width: int = 64, **options: Any) -> None:
        self.width = width
        super().__init__(shape, key, dtype, **options)

    def make_generator(self) -> Layer:
        return convolutional_generator(quarterable(self.name, self.shape), self.latents, self.width)

    def make_features(self) -> tuple[Layer, int]:
        return convolutional_features(quarterable(self.name, self.shape), self.width)


def convolutional_generator(shape: tuple[int, int, int], latents: int, n: int) -> Sequential:
    """(N, L) -> (N, H, W, C) in (-1, 1), at width n."""
    H, W, C = shape
    return Sequential(
        dense=Linear(latents, H // 4 * (W // 4) * 2 * n, bias=False, initialiser=FIRST),
        shape=Reshape(H // 4, W // 4, 2 * n),
        norm0=BatchNorm(2 * n, activation=ReLU()),
        conv1=ConvTranspose2d(2 * n, n, 4, stride=2, padding=1, bias=False, initialiser=FIRST),  # (N, H/2, W/2, n)
        norm1=BatchNorm(n, activation=ReLU()),
        conv2=ConvTranspose2d(n, C, 4, stride=2, padding=1, initialiser=FIRST),  # (N, H, W, C)
        tanh=Tanh(),
    )


def convolutional_features(shape: tuple[int, int, int], n: int) -> tuple[Sequential, int]:
    """D without its last layer, (N, H, W, C) -> (N, F), at width n; and F."""
    H, W, C = shape
    features = Sequential(
        conv1=Conv2d(C, n, 4, stride=2, padding=1, activation=LeakyReLU(0.2), initialiser=FIRST),  # (N, H/2, W/2, n)
        conv2=Conv2d(n, 2 * n, 4, stride=2, padding=1, bias=False, initialiser=FIRST),  # (N, H/4, W/4, 2n)
        norm2=BatchNorm(2 * n, activation=LeakyReLU(0.2)),
        flat=Flatten(),
    )
    return features, H // 4 * (W // 4) * 2 * n


def quarterable(name: str, shape: Shape) -> tuple[int, int, int]:
    """(H, W, C), or ValueError where the image cannot be halved twice."""
    if len(shape) != 3 or shape[0] % 4 or shape[1] % 4:
        raise ValueError(f"{name} halves images twice, so it needs (H, W, C) with H and W multiples of 4; got {shape}")
    H, W, C = shape
    return H, W, C

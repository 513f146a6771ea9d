"""DCGAN (Radford et al. 2016): the game of `gan`, played by convolutions with batch normalisation.

G: z -- dense --> H/4 x W/4 x 128, BN, ReLU -- conv' 4/2/1 --> 64, BN, ReLU -- conv' 4/2/1 --> C, tanh
D: x -- conv 4/2/1 --> 64, LeakyReLU -- conv 4/2/1 --> 128, BN, LeakyReLU -- dense --> 1

A layer before a batch normalisation has no bias: the normalisation would take it away again. D sees real and fake rows in two
calls, each normalised with the moments of its own batch.
"""

from __future__ import annotations

from ..backend import Shape
from ..layers.batch_norm import BatchNorm
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d, ConvTranspose2d
from ..layers.elementwise import LeakyReLU, ReLU, Tanh
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from .gan import GAN
from .model import Recipe


class DCGAN(GAN):
    """28x28 grey as in the reference configuration; any (H, W, C) with H and W multiples of 4."""

    name = "dcgan"
    recipe = Recipe(
        family="gan",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour"),
        batch=64,
        steps=4000,
        rate=2e-4,
        lesson="02",
        options={
            "latents": 100,
            "game": "non_saturating",
            "smoothing": 0.0,
            "matching": False,
            "minibatch": 0,
            "rate_ratio": 1.0,
        },
        objectives=("discriminator", "generator"),
    )

    def make_generator(self) -> Layer:
        H, W, C = quarterable(self.name, self.shape)
        return Sequential(
            dense=Linear(self.latents, H // 4 * (W // 4) * 128, bias=False),
            shape=Reshape(H // 4, W // 4, 128),
            norm0=BatchNorm(128),
            relu0=ReLU(),
            conv1=ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),  # (N, H/2, W/2, 64)
            norm1=BatchNorm(64),
            relu1=ReLU(),
            conv2=ConvTranspose2d(64, C, 4, stride=2, padding=1),  # (N, H, W, C)
            tanh=Tanh(),
        )

    def make_features(self) -> tuple[Layer, int]:
        H, W, C = quarterable(self.name, self.shape)
        features = Sequential(
            conv1=Conv2d(C, 64, 4, stride=2, padding=1),  # (N, H/2, W/2, 64)
            leaky1=LeakyReLU(0.2),
            conv2=Conv2d(64, 128, 4, stride=2, padding=1, bias=False),  # (N, H/4, W/4, 128)
            norm2=BatchNorm(128),
            leaky2=LeakyReLU(0.2),
            flat=Flatten(),
        )
        return features, H // 4 * (W // 4) * 128


def quarterable(name: str, shape: Shape) -> tuple[int, int, int]:
    """(H, W, C), or ValueError where the image cannot be halved twice."""
    if len(shape) != 3 or shape[0] % 4 or shape[1] % 4:
        raise ValueError(f"{name} halves images twice, so it needs (H, W, C) with H and W multiples of 4; got {shape}")
    H, W, C = shape
    return H, W, C

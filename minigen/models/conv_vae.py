"""The variational autoencoder with convolutions: the objective of `vae`, with networks that know what an image is.

encoder: 28x28 -- conv 4/2/1, 32 --> 14x14 -- conv 4/2/1, 64 --> 7x7 -- dense --> mu, logvar; the decoder is its mirror image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d, ConvTranspose2d
from ..layers.elementwise import ReLU
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..random import Key
from .model import Recipe
from .vae import VAE, Encoder


class ConvVAE(VAE):
    """Two strided convolutions there, two transposed ones back; `hidden` is the width of the first."""

    name = "conv_vae"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "mnist"),
        batch=128,
        steps=1500,
        rate=1e-3,
        lesson="03",
        options={"hidden": 32, "latents": 20, "beta": 1.0},
        objectives=("elbo",),
        by_data={"glyphs": {"steps": 2000, "rate": 2e-3, "options": {"latents": 8}}},  # as the dense VAE has it
    )

    def __init__(
        self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, hidden: int = 32, latents: int = 20, beta: float = 1.0
    ) -> None:
        super().__init__(shape, key, dtype, hidden=hidden, latents=latents, beta=beta)

    def networks(self, shape: Shape, hidden: int, latents: int) -> tuple[Encoder, Sequential]:
        if len(shape) != 3 or shape[0] % 4 or shape[1] % 4:
            raise ValueError(f"conv_vae halves images twice, so it needs (H, W, C) with H and W multiples of 4; got {shape}")
        H, W, C = shape
        h, w, deep = H // 4, W // 4, 2 * hidden
        width = h * w * deep
        trunk = Sequential(
            conv1=Conv2d(C, hidden, 4, stride=2, padding=1, activation=ReLU()),  # (N, H/2, W/2, hidden)
            conv2=Conv2d(hidden, deep, 4, stride=2, padding=1, activation=ReLU()),  # (N, H/4, W/4, deep)
            flat=Flatten(),
        )
        decoder = Sequential(
            dense=Linear(latents, width, activation=ReLU()),
            shape=Reshape(h, w, deep),
            conv1=ConvTranspose2d(deep, hidden, 4, stride=2, padding=1, activation=ReLU()),
            conv2=ConvTranspose2d(hidden, C, 4, stride=2, padding=1),
        )
        return Encoder(trunk, width, latents), decoder

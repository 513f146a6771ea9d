"""The autoencoder with convolutions: the objective of `autoencoder`, with networks that know what an image is.

    28x28xC -- conv 4/2/1, 32 --> 14x14 -- conv 4/2/1, 64 --> 7x7 -- dense --> code;      the decoder is its mirror image

Images may be grey or in colour. A pixel of a feature map sees its neighbourhood alone and every place is treated alike, so far
fewer numbers describe what a stroke looks like (Masci et al. 2011). The dense layer in the middle makes a code of any size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d, ConvTranspose2d
from ..layers.elementwise import LeakyReLU, Sigmoid
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..random import Key
from .autoencoder import Autoencoder
from .model import Recipe


class ConvAutoencoder(Autoencoder):
    """Two strided convolutions and a dense layer to the code, two transposed ones back; `hidden` is the width of the first."""

    name = "conv_autoencoder"
    recipe = Recipe(
        family="autoencoder",
        data=("glyphs", "glyphs_colour", "mnist", "fashion_mnist"),
        batch=128,
        steps=1500,
        rate=2e-3,
        lesson="01",
        options={"codes": 64, "hidden": 32},
        objectives=("reconstruction",),
    )

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, codes: int = 64, hidden: int = 32) -> None:
        super().__init__(shape, key, dtype, codes=codes, hidden=hidden)

    def networks(self) -> tuple[Layer, Layer]:
        if len(self.shape) != 3 or self.shape[0] % 4 or self.shape[1] % 4:
            raise ValueError(f"conv_autoencoder halves images twice, so it needs (H, W, C), multiples of 4; got {self.shape}")
        H, W, C = self.shape
        h, w, deep = H // 4, W // 4, 2 * self.hidden
        encoder = Sequential(
            conv1=Conv2d(C, self.hidden, 4, stride=2, padding=1, activation=LeakyReLU(0.2)),  # (N, H/2, W/2, hidden)
            conv2=Conv2d(self.hidden, deep, 4, stride=2, padding=1, activation=LeakyReLU(0.2)),  # (N, H/4, W/4, deep)
            flat=Flatten(),
            code=Linear(h * w * deep, self.codes),
        )
        decoder = Sequential(
            dense=Linear(self.codes, h * w * deep, activation=LeakyReLU(0.2)),
            shape=Reshape(h, w, deep),
            conv1=ConvTranspose2d(deep, self.hidden, 4, stride=2, padding=1, activation=LeakyReLU(0.2)),
            conv2=ConvTranspose2d(self.hidden, C, 4, stride=2, padding=1),
            sigmoid=Sigmoid(),
        )
        return encoder, decoder

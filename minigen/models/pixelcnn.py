"""PixelCNN (van den Oord et al. 2016, "Pixel recurrent neural networks"): masked convolutions from the first layer to the last.

    x -- 7x7 A, 64 -- (ReLU -- 3x3 B, 64) x 6 -- ReLU -- 1x1, 64 -- ReLU -- 1x1 --> logits

Mask A hides the pixel itself, mask B shows what was computed for it from those before. With `blocks="residual"` a layer is
the paper's residual block,

    h + [ ReLU -- 1x1, width/2 -- ReLU -- 3x3 B, width/2 -- ReLU -- 1x1, width ](h)

A stack of square masks has a blind spot: pixels above and to the right that no path reaches. Lesson 07 draws it, and
`gated_pixelcnn` has none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape
from ..layers.composite import Residual, Sequential
from ..layers.elementwise import Elementwise, ReLU
from ..layers.layer import Layer
from ..layers.masked_conv2d import MaskedConv2d, raster
from ..random import Key
from .model import Recipe
from .pixels import Levels
from .raster import Predict, RasterModel, before

BLOCKS = "plain", "residual"


class PixelCNN(RasterModel):
    """Raises ValueError on images with colours, and on blocks that are neither plain nor residual."""

    name = "pixelcnn"
    recipe = Recipe(
        family="autoregressive",
        data=("glyphs", "mnist", "binarized_mnist", "fashion_mnist"),
        batch=32,
        steps=5000,
        rate=1e-3,
        lesson="07",
        options={"width": 64, "layers": 6, "blocks": "plain", "levels": 2},
        objectives=("nll",),
        proof={"rows": 2, "options": {"width": 6, "layers": 2}, "data_options": {"size": 16}},
    )
    net: Sequential

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        width: int = 64,
        layers: int = 6,
        blocks: str = "plain",
        levels: int = 2,
    ) -> None:
        if blocks not in BLOCKS:
            raise ValueError(f"blocks={blocks!r}: blocks are {' or '.join(map(repr, BLOCKS))}")
        pixels = Levels(levels)
        hidden: dict[str, Layer] = {}
        for l in range(layers):
            if blocks == "residual":
                hidden[f"block{l}"] = residual(width)
            else:
                hidden[f"conv{l}"] = MaskedConv2d(width, width, raster("B", 3), activation=ReLU())
        first = {"first": MaskedConv2d(1, width, raster("A", 7), activation=ReLU())}
        last = {"head": pointwise(width, width, ReLU()), "out": pointwise(width, pixels.logits)}
        super().__init__(shape, key, dtype, Sequential(**first, **hidden, **last), pixels)

    def predictor(self, n: int, labels: Array | None) -> Predict:
        memory = self.net.stream(n, self.shape[1])
        return lambda images, i, j: self.net.advance(before(images, i, j), memory)


def pointwise(inputs: int, outputs: int, activation: Elementwise | None = None) -> MaskedConv2d:
    """A 1x1 convolution."""
    return MaskedConv2d(inputs, outputs, raster("B", 1), activation=activation)


def residual(width: int) -> Residual:
    """h + [1x1, 3x3 B, 1x1](h)."""
    half = width // 2
    return Residual(
        Sequential(
            relu1=ReLU(),
            narrow=pointwise(width, half),
            relu2=ReLU(),
            conv=MaskedConv2d(half, half, raster("B", 3)),
            relu3=ReLU(),
            wide=pointwise(half, width),
        )
    )

"""Cases for the layers of autoregressive models of images: masked convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..layers.elementwise import Tanh
from ..layers.masked_conv2d import MaskedConv2d, horizontal, raster, vertical
from .case import Case, Sizes


def looking_around(layer: Any, x: Array) -> Array:
    """Every pixel by itself: the sum over the pixels of the image that it looks at."""
    W, b = layer.params["W"], layer.params.get("b", 0)
    y = np.zeros((*x.shape[:3], W.shape[2]))
    for i, j in np.ndindex(x.shape[1:3]):
        for (r, s), matrix in zip(layer.taps, W, strict=True):
            if 0 <= i + r < x.shape[1] and 0 <= j + s < x.shape[2]:
                y[:, i, j] += x[:, i + r, j + s] @ matrix
    return y + b


def _image(s: Sizes) -> Any:
    return s.N, s.h, s.w, s.a


AUTOREGRESSIVE_CASES: tuple[Case, ...] = (
    Case("MaskedConv2d A", MaskedConv2d, lambda s: MaskedConv2d(s.a, s.b, raster("A", 5)), _image, reference=looking_around),
    Case("MaskedConv2d B", MaskedConv2d, lambda s: MaskedConv2d(s.a, s.b, raster("B", 3)), _image, reference=looking_around),
    Case(
        "MaskedConv2d of the rows above",
        MaskedConv2d,
        lambda s: MaskedConv2d(s.a, s.b, vertical("A", 3), bias=False),
        _image,
        reference=looking_around,
    ),
    Case(
        "MaskedConv2d of the rows down to its own",
        MaskedConv2d,
        lambda s: MaskedConv2d(s.a, s.b, vertical("B", 3)),
        _image,
        reference=looking_around,
    ),
    Case(
        "MaskedConv2d of the row to the left",
        MaskedConv2d,
        lambda s: MaskedConv2d(s.a, s.c, horizontal("A", 5)).compute("W", Tanh()),
        _image,
    ),
    Case(
        "MaskedConv2d of any taps",
        MaskedConv2d,
        lambda s: MaskedConv2d(s.c, s.b, ((-2, 1), (1, -1), (0, 2))),
        lambda s: (s.N, s.h, s.w, s.c),
        reference=looking_around,
    ),
)

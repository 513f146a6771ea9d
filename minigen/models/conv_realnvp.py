"""RealNVP of images (Dinh et al. 2017, section 3.6): couplings by masks, at several scales.

    level       three couplings on a checkerboard of pixels -- squeeze -- three on halves of the channels -- half of them leave
    last level  four couplings on a checkerboard

A coupling moves every second pixel as a convolution of the others says: neighbours know most about a pixel. The squeeze puts
every 2 x 2 pixels into channels, so that further couplings keep other pixels, and what stays sees twice as far.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..layers.act_norm import ActNorm
from ..layers.bijection import Bijection, Chain
from ..layers.coupling import AffineCoupling
from ..layers.masks import checkerboard
from ..layers.multi_scale import MultiScale
from ..layers.squeeze import Squeeze
from ..random import Key
from .glow import BOUND, coupling_net
from .image_flow import ImageFlow, check_sides
from .model import Recipe


def by_pixels(shape: Shape, width: int, count: int) -> list[Bijection]:
    """`count` couplings on a checkerboard and its negative in turn, each before it with an ActNorm."""
    chain: list[Bijection] = []
    for i in range(count):
        net = coupling_net(shape[2], width, 2 * shape[2])
        chain += ActNorm(shape[2]), AffineCoupling(net, mask=checkerboard(shape), flip=bool(i % 2), bound=BOUND)
    return chain


def by_channels(channels: int, width: int, count: int) -> list[Bijection]:
    """`count` couplings on the halves of the channels in turn."""
    chain: list[Bijection] = []
    for i in range(count):
        net = coupling_net(channels // 2, width, channels)
        chain += ActNorm(channels), AffineCoupling(net, flip=bool(i % 2), bound=BOUND)
    return chain


class ConvRealNVP(ImageFlow):
    """`levels` levels; `width` is that of the couplings' networks, `alpha` that of the logit, `store` as in `Glow`.

    Raises ValueError where the sides are not multiples of 2^(levels - 1).
    """

    name = "conv_realnvp"
    recipe = Recipe(
        family="flow",
        data=("glyphs", "mnist"),
        batch=64,
        steps=2500,
        rate=2e-3,
        lesson="05",
        options={"levels": 3, "width": 32, "alpha": 1e-6, "store": True},
        objectives=("likelihood",),
        proof={"rows": 2, "options": {"levels": 2, "width": 3}, "data_options": {"size": 16}},
    )

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        levels: int = 3,
        width: int = 32,
        alpha: float = 1e-6,
        store: bool = True,
    ) -> None:
        check_sides(self.name, shape, levels, levels - 1)
        H, W, C = shape
        chains, z_shapes = [], []
        for _ in range(levels - 1):
            pixels = by_pixels((H, W, C), width, 3)
            H, W, C = H // 2, W // 2, 2 * C
            chains.append(Chain(*pixels, Squeeze(), *by_channels(2 * C, width, 3), store=store))
            z_shapes.append((H, W, C))
        chains.append(Chain(*by_pixels((H, W, C), width, 4), store=store))
        z_shapes.append((H, W, C))
        super().__init__(shape, key, dtype, MultiScale(*chains), z_shapes, alpha)

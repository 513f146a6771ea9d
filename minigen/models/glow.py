"""Glow (Kingma and Dhariwal 2018): L levels of K steps, each step three bijections.

    step    ActNorm -- invertible 1x1 convolution -- affine coupling, whose network's last layer begins at zero
    level   squeeze -- K steps -- half of the channels leave, but after the last level

    28 x 28 x 1 -- squeeze, K steps --> 14 x 14 x 4, of which 2 leave -- squeeze, K steps --> 7 x 7 x 8

At step 0 every coupling is the identity, and every ActNorm has seen the first batch: the flow begins as a random rotation of
normalised pixels, whatever its depth. Derived in lessons/05_normalizing_flows.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..layers.act_norm import ActNorm
from ..layers.bijection import Bijection, Chain
from ..layers.composite import Sequential
from ..layers.conv2d import Conv2d
from ..layers.coupling import AffineCoupling
from ..layers.elementwise import ReLU
from ..layers.initialisers import he_normal, zeros
from ..layers.invertible_conv import InvertibleConv
from ..layers.multi_scale import MultiScale
from ..layers.squeeze import Squeeze
from ..random import Key
from .image_flow import ImageFlow, check_sides
from .model import Recipe

BOUND = 2.0  # a coupling scales by e^-2 to e^2


def coupling_net(inputs: int, width: int, outputs: int) -> Sequential:
    """(N, H, W, inputs) -> (N, H, W, outputs): two hidden layers of ReLU units; zero at first."""
    return Sequential(
        conv1=Conv2d(inputs, width, 3, padding="same", activation=ReLU(), initialiser=he_normal),
        conv2=Conv2d(width, width, 1, activation=ReLU(), initialiser=he_normal),
        out=Conv2d(width, outputs, 3, padding="same", initialiser=zeros),
    )


def glow_step(channels: int, width: int) -> tuple[Bijection, Bijection, Bijection]:
    """(N, H, W, channels) -> the same, for an even number of channels."""
    net = coupling_net(channels // 2, width, channels)
    return ActNorm(channels), InvertibleConv(channels), AffineCoupling(net, bound=BOUND)


class Glow(ImageFlow):
    """`steps` steps on each of `levels` levels; `width` is that of the couplings' networks, `alpha` that of the logit.

    With `store=False` no activation is stored: each bijection's input is recomputed from its output (layers.bijection.Chain).
    In float32 the gradient then differs by less than 1e-5 of its length, by 5e-7 at 32 steps (benchmarks/flow_memory.py).
    Raises ValueError where the sides are not multiples of 2^levels.
    """

    name = "glow"
    recipe = Recipe(
        family="flow",
        data=("glyphs", "mnist"),
        batch=64,
        steps=4000,
        rate=2e-3,
        lesson="05",
        options={"levels": 2, "steps": 4, "width": 48, "alpha": 1e-6, "store": True},
        objectives=("likelihood",),
        proof={"rows": 2, "options": {"steps": 1, "width": 4}, "data_options": {"size": 16}},
    )

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        levels: int = 2,
        steps: int = 4,
        width: int = 48,
        alpha: float = 1e-6,
        store: bool = True,
    ) -> None:
        check_sides(self.name, shape, levels, levels)
        H, W, C = shape
        chains, z_shapes = [], []
        for level in range(levels):
            H, W, C = H // 2, W // 2, 4 * C
            chains.append(Chain(Squeeze(), *(f for _ in range(steps) for f in glow_step(C, width)), store=store))
            C = C // 2 if level < levels - 1 else C
            z_shapes.append((H, W, C))
        super().__init__(shape, key, dtype, MultiScale(*chains), z_shapes, alpha)

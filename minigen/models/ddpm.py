"""Denoising diffusion probabilistic models (Ho et al. 2020) of images, with a small U-Net.

The model is that of diffusion.py, the network that of unet.py. Derived in lessons/04_diffusion.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..random import Key
from .dcgan import quarterable
from .diffusion import OPTIONS, Diffusion
from .model import Recipe
from .unet import UNet


class DDPM(Diffusion):
    """A U-Net of `width` channels at full resolution, 2 `width` below; the other options are those of `diffusion.OPTIONS`.

    Raises ValueError where images cannot be halved twice.
    """

    name = "ddpm"
    recipe = Recipe(
        family="diffusion",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour"),
        batch=64,
        steps=8000,
        rate=5e-4,
        lesson="04",
        options={"width": 32, **OPTIONS},
        objectives=("denoising",),
        proof={"rows": 2, "options": {"width": 16}, "data_options": {"size": 16}},
    )
    net: UNet

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, width: int = 32, **options: Any) -> None:
        _, _, C = quarterable(self.name, shape)
        super().__init__(shape, key, dtype, UNet(C, width, options.get("classes") or 0), **options)

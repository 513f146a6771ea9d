"""Denoising diffusion probabilistic models (Ho et al. 2020): of images with a small U-Net, of points with a small MLP.

The model is that of diffusion.py, the networks those of unet.py and point_field.py. Derived in lessons/04_diffusion.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..layers.layer import Layer
from ..random import Key
from .dcgan import quarterable
from .diffusion import OPTIONS, TIME_UNIT, Diffusion
from .model import Recipe
from .point_field import PLANE, PointField
from .unet import UNet

# At the end of the cosine schedule a is 5e-5, so that x_0 = (x_t - s eps) / a multiplies an error of eps by 20,000. Of v it is
# never divided. Images whose noise is predicted are clipped to their range there; points have none. The linear schedule leaves
# 6e-3.
LEAST_LEFT = 1e-3
POINTS: dict[str, Any] = {"batch": 256, "steps": 10_000, "rate": 2e-3, "options": {"width": 128}}


class DDPM(Diffusion):
    """On images a U-Net of `width` channels at full resolution, 2 `width` below; on points an MLP of `width` units.

    The other options are those of `diffusion.OPTIONS`. Raises ValueError where images cannot be halved twice, and where points
    have classes or are to be sampled by a noise that says nothing of them.
    """

    name = "ddpm"
    recipe = Recipe(
        family="diffusion",
        data=("glyphs", "mnist", "fashion_mnist", "glyphs_colour", *PLANE),
        batch=64,
        steps=3000,
        rate=1e-3,
        lesson="04",
        options={"width": 32, **OPTIONS},
        objectives=("denoising",),
        by_data=dict.fromkeys(PLANE, POINTS),
        proof={"rows": 2, "options": {"width": 16}, "data_options": {"size": 16}},
    )

    def __init__(self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, width: int = 32, **options: Any) -> None:
        classes = options.get("classes") or 0
        net: Layer
        if len(shape) == 1:
            if classes:
                raise ValueError(f"{self.name} learns from labels on images alone; points have classes={classes}: leave it out")
            net = PointField(shape[0], width, TIME_UNIT)
        else:
            _, _, C = quarterable(self.name, shape)
            net = UNet(C, width, classes)
        super().__init__(shape, key, dtype, net, **options)
        left = float(self.schedule.alpha_bar[-1]) ** 0.5
        if not self.images and self.prediction == "noise" and left < LEAST_LEFT:
            raise ValueError(
                f"points cannot be sampled by their noise where the schedule leaves {left:.0e} of them, by which an error of "
                "the network is divided: use prediction=v, or schedule=linear"
            )

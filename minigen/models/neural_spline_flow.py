"""Neural spline flow (Durkan et al. 2019): RealNVP whose couplings bend instead of stretching.

A chain of affine couplings makes a density with holes out of a Gaussian, which has none, only by pulling it into threads, and a
bridge is left over each hole. A monotone spline has a slope of its own in each of its bins, and makes the hole at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Shape
from ..layers.coupling import Transform
from ..layers.initialisers import by_name
from ..layers.spline import Spline
from ..random import Key
from .model import Recipe
from .realnvp import PLANE, RealNVP


class NeuralSplineFlow(RealNVP):
    """Rows (D,): as RealNVP, with splines of `bins` bins on [-reach, reach] in place of b e^s + t; outside nothing is moved, so
    the data should lie inside."""

    name = "neural_spline_flow"
    recipe = Recipe(
        family="flow",
        data=PLANE,
        batch=512,
        steps=4000,
        rate=3e-3,
        lesson="05",
        options={
            "depth": 4,
            "hidden": 64,
            "bins": 32,
            "reach": 5.0,
            "store": True,
            "clip": 0.0,
            "initialiser": "fan_in_uniform",
            "spread": 1.0,
        },
        objectives=("likelihood",),
    )

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        depth: int = 4,
        hidden: int = 64,
        bins: int = 32,
        reach: float = 5.0,
        store: bool = True,
        clip: float = 0.0,
        initialiser: str = "fan_in_uniform",
        spread: float = 1.0,
    ) -> None:
        self.bins, self.reach = bins, reach
        self.initialiser, self.spread = by_name(initialiser), spread
        self.build(shape, key, dtype, depth, hidden, store, clip)

    def transform(self) -> Transform:
        return Spline(self.bins, self.reach)

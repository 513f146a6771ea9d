"""A field on points: (x, t) -> a vector at each point x, from an MLP that has the time beside the coordinates.

N batch, D dimensions, H hidden units.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ..backend import Array
from ..kernels.combine import add
from ..layers.combine import Concatenate
from ..layers.composite import Composite, Sequential
from ..layers.elementwise import SiLU
from ..layers.initialisers import he_normal
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Reshape
from ..layers.tree import Tree

PLANE = ("gaussians8", "checkerboard", "moons", "spirals", "pinwheel", "ring8", "grid25")  # what it learns


class PointField(Composite):
    """(x (N, D), t (N,)) -> (N, D), with hidden layers of SiLU: smooth, so that its divergence is smooth too.

    The network sees t / duration, which lies in [0, 1]. It is given plainly: from sines and cosines of many wavelengths the
    field learns ripples in t, and its likelihood is worse. Weights begin as large as He et al. (2015) have it: smaller ones
    learn the edges of a density late.
    """

    def __init__(self, dims: int, hidden: int, duration: float = 1.0, depth: int = 3) -> None:
        super().__init__()
        self.pace, self.column, self.join = 1 / duration, Reshape(1), Concatenate()
        layers: list[Layer] = []
        for inputs, outputs in pairwise([dims + 1, *[hidden] * depth]):
            layers += [Linear(inputs, outputs, initialiser=he_normal), SiLU()]
        self.mlp = Sequential(*layers, out=Linear(hidden, dims))

    def wire(self, f: Any, x: Tree) -> Array:
        x, t = x
        return f.mlp(f.join((x, f.column(add((self.pace, t))))))

    def unwire(self, b: Any, dy: Array) -> Tree:
        parts = b.join(b.mlp(dy, need_dx=b.need_dx))
        return parts[0], self.pace * b.column(parts[1], need_dx=b.need_dx)

"""A field on points: (x, t) -> a vector at each point x, from an MLP that has the time beside the coordinates.

N batch, D dimensions, H hidden units.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..layers.combine import Concatenate
from ..layers.composite import Composite, Sequential
from ..layers.elementwise import SiLU
from ..layers.linear import Linear
from ..layers.shape import Reshape
from ..layers.tree import Tree

PLANE = ("gaussians8", "checkerboard", "moons", "spirals", "pinwheel", "ring8", "grid25")  # what it learns


class PointField(Composite):
    """(x (N, D), t (N,)) -> (N, D), with three hidden layers of SiLU: smooth, so that its divergence is smooth too.

    The network sees t / duration, which lies in [0, 1]. It is given plainly: from sines and cosines of many wavelengths the
    field learns ripples in t, and its likelihood is worse.
    """

    def __init__(self, dims: int, hidden: int, duration: float = 1.0) -> None:
        super().__init__()
        self.pace, self.column, self.join = 1 / duration, Reshape(1), Concatenate()
        H = hidden
        self.mlp = Sequential(Linear(dims + 1, H), SiLU(), Linear(H, H), SiLU(), Linear(H, H), SiLU(), out=Linear(H, dims))

    def wire(self, f: Any, x: Tree) -> Array:
        x, t = x
        return f.mlp(f.join((x, f.column(self.pace * t))))

    def unwire(self, b: Any, dy: Array) -> Tree:
        parts = b.join(b.mlp(dy, need_dx=b.need_dx))
        return parts[0], self.pace * b.column(parts[1], need_dx=b.need_dx)

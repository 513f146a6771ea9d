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


class PointField(Composite):
    """(x (N, D), t (N,)) -> (N, D), three hidden layers of SiLU: smooth, so that its divergence is smooth too."""

    def __init__(self, dims: int, hidden: int) -> None:
        super().__init__()
        self.column, self.join = Reshape(1), Concatenate()
        self.mlp = Sequential(
            Linear(dims + 1, hidden), SiLU(), Linear(hidden, hidden), SiLU(), Linear(hidden, hidden), SiLU(), out=Linear(hidden, dims)
        )

    def wire(self, f: Any, x: Tree) -> Array:
        x, t = x
        return f.mlp(f.join((x, f.column(t))))

    def unwire(self, b: Any, dy: Array) -> Tree:
        parts = b.join(b.mlp(dy, need_dx=b.need_dx))
        return parts[0], b.column(parts[1], need_dx=b.need_dx)

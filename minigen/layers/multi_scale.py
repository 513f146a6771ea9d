"""MultiScale: levels of a flow, between which half of the channels leave (Dinh et al. 2017, section 3.6).

    x -- level 1 --> (z1, h1)     h1 -- level 2 --> (z2, h2)     h2 -- level 3 --> z3        z = (z1, z2, z3)

All that leaves after a level is part of z, and costs nothing further on: of three levels the last works on a quarter of the
numbers. Where each begins with a squeeze, what is left is coarser at each level: the last see large shapes, the first ones the
grain. As bijections, levels add up their logdets; that half of the channels leave is a rearrangement, with logdet 0.

With levels `Chain(..., store=False)` nothing is stored but the levels' outputs: less than twice the size of x, however deep.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from .bijection import Bijection
from .composite import Composite
from .masks import Halves
from .tree import Tree
from .wiring import add


class MultiScale(Composite, Bijection):
    """(N, ..., C) -> z, a tuple of one array a level, and logdet. Raises TypeError where a level is not a Bijection."""

    def __init__(self, *levels: Bijection) -> None:
        super().__init__()
        for i, level in enumerate(levels):
            if not isinstance(level, Bijection):
                raise TypeError(f"MultiScale: level {i}, {type(level).__name__}, is not a Bijection: it has no inverse")
        self.levels, self.halves = list(levels), Halves()

    def wire(self, f: Any, x: Array) -> tuple[Tree, Any]:
        z: tuple[Array, ...] = ()
        logdets = []
        for i in range(len(self.levels)):
            if i:
                out, x = f.halves(x)
                z = (*z, out)
            x, logdet = f.levels[i](x)
            logdets.append(logdet)
        return (*z, x), add(0, *logdets)

    def unwire(self, b: Any, dy: tuple[Tree, Any]) -> Tree:
        (*dz, dx), dlogdet = dy
        for i in reversed(range(len(self.levels))):
            dx = b.levels[i]((dx, dlogdet), need_dx=b.need_dx or any(level.can_learn for level in self.levels[:i]))
            if i:
                dx = b.halves((dz[i - 1], dx))
        return dx

    def inverse(self, z: Tree) -> tuple[Array, Any]:
        *outs, x = z
        logdets = []
        for i in reversed(range(len(self.levels))):
            x, logdet = self.levels[i].inverse(x)
            logdets.append(logdet)
            if i:
                x = self.halves.join((outs[i - 1], x))
        return x, add(0, *logdets)

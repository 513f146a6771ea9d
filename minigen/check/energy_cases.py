"""Cases for the layers of energy-based models."""

from __future__ import annotations

import numpy as np

from ..layers.elementwise import Tanh
from ..layers.free_energy import FreeEnergy
from .case import Case, rows

ENERGY_CASES: tuple[Case, ...] = (
    Case(
        "FreeEnergy",
        FreeEnergy,
        lambda s: FreeEnergy(s.a, s.b),
        rows,
        reference=lambda l, x: (
            -x @ l.params["b"] - np.log(np.prod(1 + np.exp(x @ l.params["W"] + l.params["c"]), axis=1, dtype=x.dtype))
        ),
    ),
    Case(
        "FreeEnergy with computed weights",
        FreeEnergy,
        lambda s: FreeEnergy(s.a, s.c).compute("W", Tanh()).compute("b", Tanh()).compute("c", Tanh()),
        rows,
    ),
)

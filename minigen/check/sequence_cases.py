"""Cases for the layers of autoregressive stacks: their gates."""

from __future__ import annotations

import numpy as np

from ..layers.gated import GatedUnit
from .case import Case

SEQUENCE_CASES: tuple[Case, ...] = (
    Case(
        "GatedUnit",
        GatedUnit,
        lambda s: GatedUnit(),
        lambda s: (s.N, s.T, 2 * s.a),
        reference=lambda _, x: np.tanh(np.split(x, 2, -1)[0]) / (1 + np.exp(-np.split(x, 2, -1)[1])),
    ),
)

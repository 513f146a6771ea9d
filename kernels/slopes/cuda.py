"""What is paid for slopes on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: one launch for all norms and the gradient, one for the mean. The value stays on the device, as an array
without axes: nothing here waits for it.

Error: of dg 2 u, of what a row pays nothing beside it, u = 2^-24.

Legend: N rows of M numbers. g, dg (N, M).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.sums import Walk, total
from .definition import RULES


def paid(rule: str, g: Array, *, weight: float = 1.0, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dg)."""
    N, M = g.shape
    dg, pays = empty_like(g), empty(N, np.float64, like=g)
    arguments = contiguous(g), dg, pays, M, scale * weight / N
    Walk(N, M, 1, whole=True).launch("slopes/one_pass.cu", "slopes_paid", *arguments, RULE=RULES.index(rule))
    return total(pays, weight / N), dg

"""The mean squared error with its gradient on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: one pass over memory for the value and the gradient. The value stays on the device, as an array without
axes: nothing here waits for it.

Error: of the gradient 2 u relative to the rounded y - target, of a term of the sum nothing beside it, u = 2^-24.

Legend: n numbers, flat.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.sums import Walk, total


def loss(y: Array, target: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dy)."""
    walk, dy = Walk(1, y.size, 1), empty_like(y)
    parts = empty(walk.many, np.float64, like=y)
    arguments = contiguous(y), contiguous(target), dy, parts, y.size, walk.chunk, scale * 2 / y.size
    walk.launch("squares/one_pass.cu", "squares_loss", *arguments)
    return total(parts, 1 / y.size), dy

"""The mean squared error, plainly. With n the number of elements,

    value = sum (y - target)^2 / n        dy = scale 2 (y - target) / n

Legend: y, target and dy of any one shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array


def loss(y: Array, target: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dy)."""
    error = y - target
    total = (error * error).sum(dtype=np.result_type(error.dtype, np.float64))
    return total / y.size, error * (scale * 2 / y.size)

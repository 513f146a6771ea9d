"""Gaussian likelihood and divergence with their gradients on a GPU, in CUDA C (`one_pass.cu`). The formulas
are in `definition.py`.

Against the definition: one pass over memory for the value and both gradients. The value stays on the device, as an array
without axes: nothing here waits for it.

Error: 4 u of the largest of what is added in a term, u = 2^-24.

Legend: N rows; all arrays (N, ...), of one shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.sums import Walk, total


def loss(mean: Array, logvar: Array, x: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-log N(x; mean, e^logvar) per row, and its gradients by mean and logvar."""
    return _run("gaussian_loss", scale, mean, logvar, x)


def divergence(mean: Array, logvar: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """KL(N(mean, e^logvar) || N(0, 1)) per row, and its gradients by mean and logvar."""
    return _run("gaussian_divergence", scale, mean, logvar)


def _run(kernel: str, scale: float, *values: Any) -> tuple[Any, Array, Array]:
    mean = values[0]
    walk, share = Walk(1, mean.size, 1), 1 / len(mean)
    dmean, dlogvar, parts = empty_like(mean), empty_like(mean), empty(walk.many, np.float64, like=mean)
    arguments = (*map(contiguous, values), dmean, dlogvar, parts, mean.size, walk.chunk, scale * share)
    walk.launch("gaussian/one_pass.cu", kernel, *arguments)
    return total(parts, share), dmean, dlogvar

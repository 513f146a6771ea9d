"""Gaussian likelihood and divergence with their gradients on a GPU, in CUDA C (`one_pass.cu`).

Against the definition (losses/likelihood.py): one pass over memory for the value and both gradients. The value is a number on
the host, so these wait for the device.

Error: 4 u of the largest of what is added in a term, u = 2^-24.

Legend: N rows; all arrays (N, ...), of one shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like, to_device

from ..arguments import contiguous
from ..cuda.sums import Walk


def loss(mean: Array, logvar: Array, x: Array) -> tuple[float, Array, Array]:
    """-log N(x; mean, e^logvar) per row, and its gradients by mean and logvar."""
    return _run("gaussian_loss", mean, logvar, x)


def divergence(mean: Array, logvar: Array) -> tuple[float, Array, Array]:
    """KL(N(mean, e^logvar) || N(0, 1)) per row, and its gradients by mean and logvar."""
    return _run("gaussian_divergence", mean, logvar)


def _run(kernel: str, *values: Any) -> tuple[float, Array, Array]:
    mean = values[0]
    walk, share = Walk(1, mean.size, 1), 1 / len(mean)
    dmean, dlogvar, parts = empty_like(mean), empty_like(mean), empty(walk.many, np.float64, like=mean)
    arguments = (*map(contiguous, values), dmean, dlogvar, parts, mean.size, walk.chunk, share)
    walk.launch("gaussian/one_pass.cu", kernel, *arguments)
    return float(np.sum(to_device(parts, "cpu"))) * share, dmean, dlogvar

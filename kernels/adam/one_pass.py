"""Adam in one pass. The formula is in `definition.py`.

Against the definition: there, every operation of NumPy is a pass of its own over memory, about fifteen in all, and at the size
of a network memory is what takes the time. Here each parameter is read once with its three companions, and three are written:
7 numbers moved for a parameter instead of about 40. The bias corrections are two numbers, so they leave the loop.

Legend: P parameters. theta, grad, m, v (P,).
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from minigen.backend import Array

from ..jit import compiled


def step(
    theta: Array,
    grad: Array,
    m: Array,
    v: Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    t: int,
) -> None:
    """Moves theta, m and v in place."""
    numbers = (
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        rate / (1 - beta1**t),  # m_hat's correction
        1 / math.sqrt(1 - beta2**t),  # v_hat's, taken out of the root
        eps,
        rate * weight_decay,
    )
    sweep(theta, grad, m, v, *(theta.dtype.type(number) for number in numbers))  # else float32 meets float64 in the loop


@compiled
def sweep(
    theta: Array,
    grad: Array,
    m: Array,
    v: Array,
    keep1: float,
    take1: float,
    keep2: float,
    take2: float,
    rate: float,
    root: float,
    eps: float,
    decay: float,
) -> None:
    """One pass over the parameters."""
    for i in prange(theta.shape[0]):
        g = grad[i]
        m[i] = keep1 * m[i] + take1 * g
        v[i] = keep2 * v[i] + take2 * g * g
        theta[i] -= rate * m[i] / (np.sqrt(v[i]) * root + eps) + decay * theta[i]

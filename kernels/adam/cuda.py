"""Adam on a GPU, in CUDA C (`one_pass.cu`). The formula is in `definition.py`.

Against the definition: one pass over memory instead of some fifteen.

Legend: P parameters. theta, grad, m, v (P,).
"""

from __future__ import annotations

import math

from minigen.backend import Array

from ..arguments import contiguous
from ..cuda.launch import each


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
    """Moves theta, m and v, slices of flat vectors, in place."""
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
    each("adam/one_pass.cu", "adam_step", theta.size, theta, contiguous(grad), m, v, theta.size, *numbers)

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
    chosen = numbers(rate=rate, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, t=t)
    each("adam/one_pass.cu", "adam_step", theta.size, theta, contiguous(grad), m, v, theta.size, *chosen)


def step_read(theta: Array, grad: Array, m: Array, v: Array, numbers: Array) -> None:
    """The same with what `numbers` gives, (8,) float32, in the device's memory: what a captured step launches."""
    each("adam/one_pass.cu", "adam_step_read", theta.size, theta, contiguous(grad), m, v, theta.size, numbers)


def numbers(*, rate: float, beta1: float, beta2: float, eps: float, weight_decay: float, t: int) -> tuple[float, ...]:
    """What the kernel takes, worked out in float64."""
    return (
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        rate / (1 - beta1**t),  # m_hat's correction
        1 / math.sqrt(1 - beta2**t),  # v_hat's, taken out of the root
        eps,
        rate * weight_decay,
    )

"""Adam on a GPU, in CUDA C (`one_pass.cu`, `imagined.cu`). The formulas are in `definition.py`.

Against the definition: one pass over memory instead of some fifteen, and one each way of an imagined step.

Legend: P parameters. theta, grad, m, v, a, a_m, a_v, a_g (P,); kept1, kept2 (1,).
"""

from __future__ import annotations

import math

from minigen.backend import Array, empty_like

from ..combine import contiguous
from ..cuda.launch import each

IMAGINED = "adam/imagined.cu"


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


def imagined(
    theta: Array,
    grad: Array,
    m: Array,
    v: Array,
    kept1: Array,
    kept2: Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    k: int,
) -> tuple[Array, Array, Array]:
    """-> theta', m', v'."""
    made = empty_like(theta), empty_like(m), empty_like(v)
    given = [contiguous(x) for x in (theta, grad, m, v, kept1, kept2)]
    numbers = beta1, 1 - beta1, beta2, 1 - beta2, beta1**k, beta2**k, rate, eps
    each(IMAGINED, "adam_imagined", theta.size, *given, *made, theta.size, *numbers)
    return made


def imagined_back(
    a: Array,
    a_m: Array | None,
    a_v: Array | None,
    grad: Array,
    m: Array,
    v: Array,
    kept1: Array,
    kept2: Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    k: int,
) -> tuple[Array, Array, Array]:
    """-> a_g, and what is left for m and v."""
    made = empty_like(a), empty_like(a), empty_like(a)
    given = [None if x is None else contiguous(x) for x in (a, a_m, a_v, grad, m, v, kept1, kept2)]
    numbers = beta1, 1 - beta1, beta2, 2 * (1 - beta2), beta1**k, beta2**k, rate, eps
    each(IMAGINED, "adam_imagined_back", a.size, *given, *made, a.size, *numbers)
    return made

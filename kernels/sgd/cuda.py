"""Gradient descent with momentum on a GPU, in CUDA C (`one_pass.cu`). The formula is in `definition.py`.

Against the definition: one pass over memory instead of two, with momentum four.

Legend: P parameters. theta, grad, v (P,).
"""

from __future__ import annotations

from minigen.backend import Array

from ..combine import contiguous
from ..cuda.launch import each


def step(theta: Array, grad: Array, v: Array | None, *, rate: float, momentum: float) -> None:
    """Moves theta and v, slices of flat vectors, in place."""
    each("sgd/one_pass.cu", "sgd_step", theta.size, theta, contiguous(grad), v, theta.size, rate, momentum)


def step_read(theta: Array, grad: Array, v: Array | None, numbers: Array, momentum: float) -> None:
    """The same with a rate (1,) in the device's memory: what a captured step launches."""
    each("sgd/one_pass.cu", "sgd_step_read", theta.size, theta, contiguous(grad), v, theta.size, numbers, momentum)

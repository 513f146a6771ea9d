"""A running average of parameters on a GPU, in CUDA C (`one_pass.cu`). The formula is in `definition.py`.

Against the definition: one pass over memory instead of three.

Legend: P parameters. average, theta (P,).
"""

from __future__ import annotations

from minigen.backend import Array

from ..cuda.launch import each


def step(average: Array, theta: Array, share: float) -> None:
    """average += share (theta - average), in place."""
    each("average/one_pass.cu", "average_step", theta.size, average, theta, theta.size, share)


def step_read(average: Array, theta: Array, share: Array) -> None:
    """The same with a share (1,) in the device's memory: what a captured step launches."""
    each("average/one_pass.cu", "average_step_read", theta.size, average, theta, theta.size, share)

"""Layer normalisation on a GPU, in CUDA C (`rows.cu`). The formulas are in `definition.py`.

Against the definition: one kernel each way, which reads from memory once.

Legend: P places, C channels.
"""

from __future__ import annotations

from typing import Any

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import launch

ROWS = 8  # of a block


def forward(x: Array, gain: Array, b: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """xhat, y and r."""
    made = empty_like(x), empty_like(x), empty((*x.shape[:-1], 1), x.dtype, like=x)
    _run("layer_norm_forward", x, gain, b, *made, eps=(eps,))
    return made


def gradient(dy: Array, xhat: Array, gain: Array, r: Array) -> Array:
    """dx."""
    dx = empty_like(dy)
    _run("layer_norm_gradient", dy, xhat, gain, r, dx)
    return dx


def _run(kernel: str, *arrays: Array, eps: tuple[Any, ...] = ()) -> None:
    C = arrays[0].shape[-1]
    P = arrays[0].size // C
    launch("layer_norm/rows.cu", kernel, (-(-P // ROWS),), (32 * ROWS,), *map(contiguous, arrays), P, C, *eps)

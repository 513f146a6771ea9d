"""The gated unit on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: one pass over memory each way, instead of one for every step of a formula.

Legend: C numbers that come out, "..." any axes. y, dy (..., C), x, dx (..., 2 C).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each

FILE = "gated/one_pass.cu"


def forward(x: Array) -> Array:
    """y."""
    y = empty((*x.shape[:-1], x.shape[-1] // 2), x.dtype, like=x)
    each(FILE, "gated_forward", y.size, contiguous(x), y, y.size, y.shape[-1])
    return y


def gradient(dy: Array, x: Array) -> Array:
    """dx."""
    dx = empty_like(x)
    each(FILE, "gated_gradient", dy.size, contiguous(dy), contiguous(x), dx, dy.size, dy.shape[-1])
    return dx

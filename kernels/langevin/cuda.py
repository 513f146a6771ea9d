"""One move of a chain on a GPU, in CUDA C (`one_pass.cu`). The formula is in `definition.py`.

Against the definition: one pass over memory and one launch, instead of one for each of its six steps.

Legend: x, slope, eps and y of any one shape.
"""

from __future__ import annotations

from minigen.backend import Array, empty_like

from ..combine import contiguous
from ..cuda.launch import each


def move(x: Array, slope: Array, eps: Array, *, step: float, noise: float, clip: float, bound: float) -> Array:
    """y."""
    y = empty_like(x)
    flat = contiguous(x), contiguous(slope), contiguous(eps), y
    each("langevin/one_pass.cu", "langevin_move", x.size, *flat, x.size, step, noise, clip, bound)
    return y

"""Binary units on a GPU, in CUDA C (`one_pass.cu`). Formulas: `definition.py`.

Against the definition: one pass over memory, instead of one for every step of a formula.

Legend: N rows, U units. a, p (N, U), bias (U,), the sums (N,).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..arguments import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk

FILE = "units/one_pass.cu"


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U)."""
    p = empty_like(a)
    each(FILE, "units_probabilities", a.size, contiguous(a), contiguous(bias), p, a.size, a.shape[1])
    return p


def summed_out(a: Array, bias: Array) -> tuple[Array, Array]:
    """-> p (N, U), the sums (N,)."""
    N, U = a.shape
    p, sums = empty_like(a), empty((N,), a.dtype, like=a)
    Walk(N, U, 1, whole=True).launch(FILE, "units_summed_out", contiguous(a), contiguous(bias), p, sums, U)
    return p, sums

"""Binary units on a GPU, in CUDA C (`one_pass.cu`). Formulas: `definition.py`.

Against the definition: one pass over memory, instead of one for every step of a formula.

Legend: N rows, U units, V others. a, p (N, U), bias or c (U,), v (N, V), b (V,), F (N,).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk

FILE = "units/one_pass.cu"


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U)."""
    p = empty_like(a)
    each(FILE, "units_probabilities", a.size, contiguous(a), contiguous(bias), p, a.size, a.shape[1])
    return p


def free_energy(v: Array, b: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """-> F (N,), p (N, U)."""
    N, U, V = *a.shape, v.shape[1]
    F, p = empty((N,), a.dtype, like=a), empty_like(a)
    walk = Walk(N, max(U, V), 1, whole=True)  # a block for each row
    walk.launch(FILE, "units_free_energy", *map(contiguous, (v, b, a, c)), F, p, U, V)
    return F, p

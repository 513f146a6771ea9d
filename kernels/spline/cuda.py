"""The spline on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: one kernel each way, in place of a hundred passes over planes of K numbers.

Legend: N rows, M numbers that are moved, "..." places between, P = 3 K - 1. b, z, dz, db (N, ..., M), h, dh (N, ..., P M).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk

FILE = "spline/one_pass.cu"


def forward(b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> z, logdet (N,)."""
    return _walk("spline_forward", b, h, bins, reach, least)


def inverse(z: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> b, logdet (N,)."""
    return _walk("spline_inverse", z, h, bins, reach, least)


def gradient(dz: Array, dlogdet: Array, b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> db, dh."""
    db, dh, numbers = empty_like(b), empty_like(h), b.size // len(b)
    given = tuple(map(contiguous, (dz, dlogdet, b, h)))
    each(FILE, "spline_gradient", b.size, *given, db, dh, bins, reach, least, b.size, numbers, b.shape[-1])
    return db, dh


def _walk(kernel: str, x: Array, h: Array, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """Along all numbers of a row, for their sum."""
    N, numbers = len(x), x.size // len(x)
    made = empty_like(x), empty((N,), x.dtype, like=x)
    walk = Walk(N, numbers, 1, whole=True)
    walk.launch(FILE, kernel, contiguous(x), contiguous(h), *made, bins, reach, least, numbers, x.shape[-1])
    return made

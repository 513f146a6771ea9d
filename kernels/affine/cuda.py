"""The affine coupling on a GPU, in CUDA C (`one_pass.cu`). Formulas: `definition.py`.

Against the definition: one pass over memory each way, instead of seven and nine, and of the inverse's six.

Legend: N rows, M numbers that are moved, "..." places between. b, z, s, e and dz, db (N, ..., M), h and dh (N, ..., 2 M).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk

FILE = "affine/one_pass.cu"


def forward(b: Array, h: Array, bound: float | None) -> tuple[Array, Array, Array, Array]:
    """-> z, logdet (N,), s, e."""
    N, numbers = b.shape[0], b.size // max(b.shape[0], 1)
    z, s, e = (empty_like(b) for _ in range(3))
    logdet = empty((N,), b.dtype, like=b)
    walk = Walk(N, numbers, 1, whole=True)
    made = z, s, e, logdet
    walk.launch(FILE, "affine_forward", contiguous(b), contiguous(h), *made, np.float32(bound or 0), numbers, b.shape[-1])
    return z, logdet, s, e


def inverse(z: Array, h: Array, bound: float | None) -> tuple[Array, Array]:
    """-> b, logdet (N,)."""
    N, numbers = z.shape[0], z.size // max(z.shape[0], 1)
    b, logdet = empty_like(z), empty((N,), z.dtype, like=z)
    walk = Walk(N, numbers, 1, whole=True)
    walk.launch(FILE, "affine_inverse", contiguous(z), contiguous(h), b, logdet, np.float32(bound or 0), numbers, z.shape[-1])
    return b, logdet


def gradient(dz: Array, dlogdet: Array, b: Array, s: Array, e: Array, bound: float | None) -> tuple[Array, Array]:
    """-> db, dh."""
    db, dh = empty_like(b), empty((*b.shape[:-1], 2 * b.shape[-1]), b.dtype, like=b)
    given = tuple(map(contiguous, (dz, dlogdet, b, s, e)))
    numbers = b.size // max(b.shape[0], 1)
    each(FILE, "affine_gradient", b.size, *given, db, dh, np.float32(bound or 0), b.size, numbers, b.shape[-1])
    return db, dh

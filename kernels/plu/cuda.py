"""The matrix of an invertible convolution on a GPU, in CUDA C (`small.cu`). The formulas are in `definition.py`.

Against the definition: one launch each, instead of fifteen there, twelve back, and seven times C for an inverse.

Legend: C channels, N rows. A, W, X, dW, dA, P (C, C); sign (C,); logdet, dlogdet (N,).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import THREADS, each, launch

FILE = "plu/small.cu"
COLUMNS = 32  # of an inverse, for a block


def forward(A: Array, P: Array, sign: Array, positions: int, rows: int) -> tuple[Array, Array]:
    """-> W, logdet."""
    W, logdet = empty_like(A), empty(rows, A.dtype, like=A)
    given = contiguous(A), contiguous(P), contiguous(sign)
    each(FILE, "plu_forward", max(A.size, rows), *given, W, logdet, len(A), positions, rows)
    return W, logdet


def inverse(W: Array, A: Array, P: Array, sign: Array) -> Array:
    """-> W^-1."""
    X, left = empty_like(A), empty_like(A)
    given = tuple(map(contiguous, (W, A, P, sign)))
    launch(FILE, "plu_inverse", (-(-len(A) // COLUMNS),), (COLUMNS,), *given, X, left, len(A))
    return X


def gradient(dW: Array, dlogdet: Array, A: Array, P: Array, sign: Array, positions: int) -> Array:
    """-> dA."""
    dA, (C, N) = empty_like(A), (len(A), len(dlogdet))
    given = tuple(map(contiguous, (dW, dlogdet, A, P, sign)))
    launch(FILE, "plu_gradient", (-(-A.size // THREADS),), (THREADS,), *given, dA, C, positions, N, shared=4 * C)
    return dA

"""The matrix of an invertible convolution (Kingma and Dhariwal 2018, section 3.2), plainly. All that learns is A, packed as
LAPACK packs an LU decomposition,

    L = tril(A, -1),  U = triu(A, 1) + diag(sign e^s),  s = diag(A)

    forward     W = P (L + 1) U,  logdet = positions sum s, since |det W| = prod e^s
    inverse     W^-1 = U^-1 (L + 1)^-1 P'
    gradient    D = P' dW,  dL = D U',  dU = (L + 1)' D,
                dA = tril(dL, -1) + triu(dU, 1) + diag(diag(dU) diag(U) + positions sum dlogdet)

By products alone, which a captured step can hold, where a solver of the library would wait. Products with P move rows.

Legend: C channels, N rows. A, W, dW, dA, L, U, P (C, C), P a permutation; sign, s (C,); logdet, dlogdet (N,).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array, zeros

from ..matmul import matmul


def forward(A: Array, P: Array, sign: Array, positions: int, rows: int) -> tuple[Array, Array]:
    """-> W, logdet."""
    L, U = triangles(A, sign)
    return matmul(P, matmul(L, U) + U), zeros(rows, A.dtype, like=A) + positions * np.diag(A).sum()


def inverse(W: Array, A: Array, P: Array, sign: Array) -> Array:
    """-> W^-1.

    W was rounded after its factors, and it is W that went forward: a step of Newton's method, X + X (1 - W X), makes of the
    factors' inverse that of W.
    """
    L, U = triangles(A, sign)
    one = np.diag(np.ones_like(np.diag(A)))
    below, above = inverse_of_lower(L + one), inverse_of_lower(U.T)
    X = matmul(matmul(above, below, transpose_a=True), P, transpose_b=True)
    return X + matmul(X, one - matmul(W, X))


def gradient(dW: Array, dlogdet: Array, A: Array, P: Array, sign: Array, positions: int) -> Array:
    """-> dA."""
    L, U = triangles(A, sign)
    D = matmul(P, dW, transpose_a=True)
    dL, dU = matmul(D, U, transpose_b=True), matmul(L, D, transpose_a=True) + D
    return np.tril(dL, -1) + np.triu(dU, 1) + np.diag(np.diag(dU) * np.diag(U) + positions * dlogdet.sum())


def triangles(A: Array, sign: Array) -> tuple[Array, Array]:
    """L and U."""
    return np.tril(A, -1), np.triu(A, 1) + np.diag(sign * np.exp(np.diag(A)))


def inverse_of_lower(T: Array) -> Array:
    """T^-1 of a lower triangular T (C, C), by halves, [a 0; b c]^-1 = [a^-1 0; -c^-1 b a^-1 c^-1]."""
    if len(T) == 1:
        return 1 / T
    h = len(T) // 2
    a, c, whole = inverse_of_lower(T[:h, :h]), inverse_of_lower(T[h:, h:]), np.zeros_like(T)
    whole[:h, :h], whole[h:, h:], whole[h:, :h] = a, c, -matmul(c, matmul(T[h:, :h], a))
    return whole

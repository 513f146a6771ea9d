"""The matrix of an invertible convolution, for one thread. The formulas are in `definition.py`.

Against the definition: C C is some hundred numbers, and NumPy is called fifteen times there, twelve times back, and for an
inverse seven times for each channel; here is one call. P is not multiplied with: where the 1 of its row stands, there a row
comes from. The inverse goes down through L and up through U in float64, and once more for what W, which was rounded after its
factors, is off.

Error, with exp within 4 u: of W 6 u (|L| + 1) |U|; of logdet u of itself. The inverse is that of W to 2 u of itself, where the
condition of its factors times C u is below 1e-3. Of dA 6 u of the sums of the absolute values that it adds up, all in float64.
u = 2^-24.

Legend: C channels, N rows. A, W, X, dW, D, dA, P (C, C); sign, u, row (C,), u = sign e^s on U's diagonal; logdet, dlogdet (N,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import ARITHMETIC, compiled_for_one
from ..vector_math import exp

part_of_a_kernel = register_jitable(fastmath=ARITHMETIC)


def forward(A: Array, P: Array, sign: Array, positions: int, rows: int) -> tuple[Array, Array]:
    """-> W, logdet."""
    W, logdet, u, row = empty_like(A), empty(rows, A.dtype), empty_like(sign), empty(len(A), np.float64)
    multiply(contiguous(A), contiguous(P), contiguous(sign), u, row, positions, W, logdet)
    return W, logdet


def inverse(W: Array, A: Array, P: Array, sign: Array) -> Array:
    """-> W^-1."""
    X, u, columns = empty_like(A), empty_like(sign), empty((2, len(A)), np.float64)
    solve(contiguous(W), contiguous(A), contiguous(P), contiguous(sign), u, columns, X)
    return X


def gradient(dW: Array, dlogdet: Array, A: Array, P: Array, sign: Array, positions: int) -> Array:
    """-> dA."""
    D, dA, u, row = empty_like(A), empty_like(A), empty_like(sign), empty(len(A), np.float64)
    given = contiguous(dW), contiguous(dlogdet), contiguous(A), contiguous(P), contiguous(sign)
    pull_back(*given, u, row, positions, D, dA)
    return dA


@part_of_a_kernel
def place_of_one(row: Array) -> Any:
    """Where it stands in a row of P."""
    at = 0
    while at < row.shape[0] - 1 and row[at] == 0:
        at += 1
    return at


@part_of_a_kernel
def fill_diagonal(A: Array, sign: Array, u: Array) -> None:
    """u = sign e^s."""
    for c in range(u.shape[0]):
        u[c] = sign[c] * exp(A[c, c])


@compiled_for_one
def multiply(A: Array, P: Array, sign: Array, u: Array, row: Array, positions: int, W: Array, logdet: Array) -> None:
    """Fills W and logdet."""
    C, total = A.shape[0], 0.0
    fill_diagonal(A, sign, u)
    for i in range(C):
        r = place_of_one(P[i])
        row[:r], row[r] = 0, u[r]
        for j in range(r + 1, C):
            row[j] = A[r, j]
        for k in range(r):
            below = np.float64(A[r, k])
            row[k] += below * np.float64(u[k])
            for j in range(k + 1, C):
                row[j] += below * np.float64(A[k, j])
        W[i, :] = row
        total += np.float64(A[i, i])
    logdet[:] = positions * total


@part_of_a_kernel
def through(A: Array, u: Array, y: Array) -> None:
    """y = U^-1 (L + 1)^-1 y, a column."""
    C = A.shape[0]
    for r in range(C):
        for k in range(r):
            y[r] -= np.float64(A[r, k]) * y[k]
    for below in range(C):
        r = C - 1 - below
        for k in range(r + 1, C):
            y[r] -= np.float64(A[r, k]) * y[k]
        y[r] /= np.float64(u[r])


@compiled_for_one
def solve(W: Array, A: Array, P: Array, sign: Array, u: Array, columns: Array, X: Array) -> None:
    """Fills X."""
    C, x, left = A.shape[0], columns[0], columns[1]
    fill_diagonal(A, sign, u)
    for j in range(C):
        x[:] = P[j]
        through(A, u, x)
        for i in range(C):
            rest = 1.0 if i == j else 0.0
            for k in range(C):
                rest -= np.float64(W[i, k]) * x[k]
            left[place_of_one(P[i])] = rest
        through(A, u, left)
        for i in range(C):
            X[i, j] = x[i] + left[i]


@compiled_for_one
def pull_back(
    dW: Array, dlogdet: Array, A: Array, P: Array, sign: Array, u: Array, row: Array, positions: int, D: Array, dA: Array
) -> None:
    """Fills D = P' dW and dA."""
    C, stretch = A.shape[0], 0.0
    fill_diagonal(A, sign, u)
    for n in range(dlogdet.shape[0]):
        stretch += np.float64(dlogdet[n])
    for i in range(C):
        D[place_of_one(P[i])] = dW[i]
    for r in range(C):
        for c in range(r):
            found = np.float64(D[r, c]) * np.float64(u[c])
            for j in range(c + 1, C):
                found += np.float64(D[r, j]) * np.float64(A[c, j])
            dA[r, c] = found
        row[:] = D[r]
        for k in range(r + 1, C):
            below = np.float64(A[k, r])
            for c in range(r, C):
                row[c] += below * np.float64(D[k, c])
        row[r] = row[r] * np.float64(u[r]) + positions * stretch
        dA[r, r:] = row[r:]

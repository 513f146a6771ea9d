"""The matrix W = P (L + 1) U of an invertible convolution, from its packed factors, its inverse, and the way back to them."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="small", numba_from=1 << 4)  # work: C C


def forward(A: Array, P: Array, sign: Array, positions: int, rows: int) -> tuple[Array, Array]:
    """-> W (C, C) = P (L + 1) U, and logdet (rows,) = positions sum s, the same for all rows.

    L = tril(A, -1), U = triu(A, 1) + diag(sign e^s), s = diag(A); A (C, C), P (C, C) a permutation, sign (C,) of 1 and -1.
    Like those below, it raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check("plu.forward", A, P, sign)
    arguments.same_kind("plu.forward", A=A, P=P, sign=sign)
    made: tuple[Array, Array] = LADDER.choose(A.size, A, P, sign).forward(A, P, sign, positions, rows)
    return made


def inverse(W: Array, A: Array, P: Array, sign: Array) -> Array:
    """-> W^-1 (C, C) of W as `forward` has rounded it, by its factors."""
    _check("plu.inverse", A, P, sign, W=W)
    arguments.same_kind("plu.inverse", W=W, A=A, P=P, sign=sign)
    X: Array = LADDER.choose(A.size, W, A, P, sign).inverse(W, A, P, sign)
    return X


def gradient(dW: Array, dlogdet: Array, A: Array, P: Array, sign: Array, positions: int) -> Array:
    """-> dA (C, C), from the gradients of W and of logdet, (N,)."""
    _check("plu.gradient", A, P, sign, dW=dW)
    arguments.check_ndim("plu.gradient", 1, dlogdet=dlogdet)
    arguments.same_kind("plu.gradient", dW=dW, dlogdet=dlogdet, A=A, P=P, sign=sign)
    dA: Array = LADDER.choose(A.size, dW, dlogdet, A, P, sign).gradient(dW, dlogdet, A, P, sign, positions)
    return dA


def _check(operation: str, A: Array, P: Array, sign: Array, **matrices: Array) -> None:
    arguments.check_ndim(operation, 2, A=A)
    arguments.check_equal_shapes(operation, A=A, P=P, **matrices)
    if A.shape[0] != A.shape[1] or sign.shape != A.shape[:1]:
        raise ValueError(f"{operation}: A {A.shape} must be (C, C) and sign {sign.shape} (C,)")

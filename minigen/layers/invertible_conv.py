"""The invertible 1x1 convolution: a learned mixture of channels, as P L U (Kingma and Dhariwal 2018, section 3.2).

    z_p = x_p W        logdet = P sum log |det W| / row        x_p = z_p W^-1        p a position, x_p (C,)

It takes the place of a fixed permutation between two couplings, of which it is a learned generalisation. The determinant of a
C x C matrix costs C^3; that of a triangular one is the product of its diagonal. So W is kept in its factors,

    W = P (L + 1) U        U = triu(A, 1) + diag(sign e^s)        L = tril(A, -1)        s = diag(A)        log |det W| = sum s
    W^-1 = U^-1 (L + 1)^-1 P'

P a permutation and `sign` of the diagonal are drawn and stay; all that learns is one matrix A, packed as LAPACK packs an LU
decomposition: L below the diagonal, U above, on the diagonal the logarithms s. W begins as a random rotation Q = P (L + 1) U.

Backward. D = P' dW is the gradient of (L + 1) U, hence

    dx = dz W'        dW = sum_p x_p' dz_p        dL = D U'        dU = (L + 1)' D = L' D + D
    dA = tril(dL, -1) + triu(dU, 1) + diag(diag(dU) diag(U) + sum over n, p of dlogdet_n)

Tangents: L_dot = tril(A_dot, -1), U_dot = triu(A_dot, 1) + diag(diag(U) s_dot), W_dot = P (L_dot U + L U_dot + U_dot), and the
product rule on the lines of backward. What is done with matrices of C x C numbers is kernels/plu.

N batch, C channels, "..." the axes of positions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, device_of, to_device, zeros
from ..kernels import plu
from ..kernels.matmul import matmul
from ..kernels.plu.definition import triangles
from ..random import Key
from . import initialisers
from .act_norm import check_channels, positions
from .bijection import Bijection
from .coupling import with_zeros
from .finish import rows
from .layer import Weights
from .vector import Spec


class InvertibleConvCache(NamedTuple):
    x: Array  # (N, ..., C)
    W: Array | None  # (C, C) = P (L + 1) U; of tangents None where the parameters stand still
    w: Weights | None  # A (C, C)


class InvertibleConv(Bijection):
    """(N, ..., C) -> z = x W at every position, and logdet (N,). Raises ValueError where x does not have C channels.

    P and `sign` are state, but constants: no commit moves them.
    """

    state_moves = False

    def __init__(self, channels: int) -> None:
        super().__init__(A=Spec((channels, channels), initialisers.zeros))
        self.channels = channels

    def begin_state(self, key: Key) -> None:
        """Draws a rotation, and takes it apart: P and sign into the state, the rest into A."""
        from scipy.linalg import lu

        super().begin_state(key)
        A = self.params["A"]
        P, L, U = lu(initialisers.orthogonal(key, (self.channels, self.channels)))
        u = np.diag(U)
        A[...] = to_device((np.tril(L, -1) + np.triu(U, 1) + np.diag(np.log(np.abs(u)))).astype(A.dtype), device_of(A))
        self.state |= {"P": P, "sign": np.sign(u)}

    # ---- W and its derivatives

    @property
    def fixed(self) -> tuple[Array, Array]:
        """P and sign."""
        return self.state["P"], self.state["sign"]

    def W_dot(self, A: Array, A_dot: Array) -> Array:
        """The tangent of W."""
        P, sign = self.fixed
        L, U = triangles(A, sign)
        L_dot, U_dot = triangles_dot(A_dot, U)
        return matmul(P, matmul(L_dot, U) + matmul(L, U_dot) + U_dot)

    def dA_dot(self, dW: Array, dW_dot: Array, dlogdet_dot: Array, x: Array, A: Array, A_dot: Array | None) -> Array:
        """The tangent of the gradient of A."""
        P, sign = self.fixed
        dA_dot = plu.gradient(dW_dot, dlogdet_dot, A, P, sign, positions(x))
        if A_dot is not None:
            L, U = triangles(A, sign)
            L_dot, U_dot = triangles_dot(A_dot, U)
            D = matmul(P, dW, transpose_a=True)
            dU, dU_dot = matmul(L, D, transpose_a=True) + D, matmul(L_dot, D, transpose_a=True)
            dA_dot += np.tril(matmul(D, U_dot, transpose_b=True), -1) + np.triu(dU_dot, 1)
            dA_dot += np.diag(np.diag(dU_dot) * np.diag(U) + np.diag(dU) * np.diag(U_dot))
        return dA_dot

    # ---- the passes

    def forward(
        self, x: Array, *, train: bool = False, key: Key | None = None
    ) -> tuple[tuple[Array, Array], InvertibleConvCache]:
        check_channels(f"InvertibleConv({self.channels})", x, self.channels)
        w = self.weights()
        W, logdet = plu.forward(w.A, *self.fixed, positions(x), len(x))
        return (_product(x, W), logdet), InvertibleConvCache(x, W, w)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        A = self.weights().A
        W, logdet = plu.forward(A, *self.fixed, -positions(z), len(z))
        return _product(z, plu.inverse(W, A, *self.fixed)), logdet

    def backward(self, dy: Any, cache: InvertibleConvCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, x, W = self.weights(cache), cache.x, cache.W
        assert W is not None
        dz, dlogdet = with_zeros(dy, x)
        if param_grads and self.learns:
            dW = matmul(rows(x), rows(dz), transpose_a=True)
            self.learn(w, A=plu.gradient(dW, dlogdet, w.A, *self.fixed, positions(x)))
        return _product(dz, W, transpose=True) if need_dx else None

    def jvp(
        self, x_dot: Array, cache: InvertibleConvCache, *, move_params: bool = False
    ) -> tuple[tuple[Array, Array], InvertibleConvCache]:
        w, x, W = self.weights(cache), cache.x, cache.W
        assert W is not None
        w_dot, W_dot = self.weights_dot(w, move_params), None
        z_dot = _product(x_dot, W)
        logdet_dot = zeros(len(x), x.dtype, like=x)
        if w_dot:
            W_dot = self.W_dot(w.A, w_dot.A)
            z_dot += _product(x, W_dot)
            logdet_dot += positions(x) * np.diag(w_dot.A).sum()
        return (z_dot, logdet_dot), InvertibleConvCache(x_dot, W_dot, w_dot)

    def backward_jvp(
        self,
        dy: Any,
        dy_dot: Any,
        cache: InvertibleConvCache,
        tangents: InvertibleConvCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        (x, W, _), (x_dot, W_dot, w_dot), w = cache, tangents, self.weights(cache)
        assert W is not None
        (dz, dlogdet), (dz_dot, dlogdet_dot) = with_zeros(dy, x), with_zeros(dy_dot, x)
        if param_grads and self.learns:
            dW = matmul(rows(x), rows(dz), transpose_a=True)
            dW_dot = matmul(rows(x_dot), rows(dz), transpose_a=True) + matmul(rows(x), rows(dz_dot), transpose_a=True)
            dA_dot = self.dA_dot(dW, dW_dot, dlogdet_dot, x, w.A, w_dot.A if w_dot else None)
            self.learn_dot(w, w_dot, A=(lambda: plu.gradient(dW, dlogdet, w.A, *self.fixed, positions(x)), dA_dot))
        if not need_dx:
            return None, None
        dx_dot = _product(dz_dot, W, transpose=True)
        if W_dot is not None:
            dx_dot += _product(dz, W_dot, transpose=True)
        return _product(dz, W, transpose=True), dx_dot


def triangles_dot(A_dot: Array, U: Array) -> tuple[Array, Array]:
    """L_dot and U_dot."""
    return np.tril(A_dot, -1), np.triu(A_dot, 1) + np.diag(np.diag(U) * np.diag(A_dot))


def _product(x: Array, W: Array, transpose: bool = False) -> Array:
    """x_p W, or x_p W', at every position p."""
    return matmul(rows(x), W, transpose_b=transpose).reshape(x.shape)

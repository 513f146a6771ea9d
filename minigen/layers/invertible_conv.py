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
product rule on the lines of backward.

N batch, C channels, "..." the axes of positions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, device_of, to_device, zeros
from ..kernels.act_norm.definition import on_every_row
from ..kernels.matmul import matmul
from ..random import Key
from . import initialisers
from .act_norm import check_channels, positions
from .bijection import Bijection
from .coupling import zeros_for_none
from .finish import rows
from .layer import Weights
from .vector import Spec


class Factors(NamedTuple):
    L: Array  # (C, C), below the diagonal
    U: Array  # (C, C), upper triangular
    W: Array  # (C, C) = P (L + 1) U


class InvertibleConvCache(NamedTuple):
    x: Array  # (N, ..., C)
    f: Factors | None  # of tangents None where the parameters stand still
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

    def factors(self, A: Array) -> Factors:
        """L, U and W of A."""
        L, U = np.tril(A, -1), np.triu(A, 1) + np.diag(self.state["sign"] * np.exp(np.diag(A)))
        return Factors(L, U, matmul(self.state["P"], matmul(L, U) + U))

    def factors_dot(self, A_dot: Array, f: Factors) -> Factors:
        """Their tangents."""
        L_dot, U_dot = np.tril(A_dot, -1), np.triu(A_dot, 1) + np.diag(np.diag(f.U) * np.diag(A_dot))
        return Factors(L_dot, U_dot, matmul(self.state["P"], matmul(L_dot, f.U) + matmul(f.L, U_dot) + U_dot))

    def dA(self, dW: Array, ds: Any, f: Factors) -> Array:
        """The gradient of A from that of W, and from that of every s by itself."""
        D = matmul(self.state["P"], dW, transpose_a=True)
        dL, dU = matmul(D, f.U, transpose_b=True), matmul(f.L, D, transpose_a=True) + D
        return np.tril(dL, -1) + np.triu(dU, 1) + np.diag(np.diag(dU) * np.diag(f.U) + ds)

    def dA_dot(self, dW: Array, dW_dot: Array, ds_dot: Any, f: Factors, f_dot: Factors | None) -> Array:
        """Its tangent."""
        dA_dot = self.dA(dW_dot, ds_dot, f)
        if f_dot:
            D = matmul(self.state["P"], dW, transpose_a=True)
            dU, dU_dot = matmul(f.L, D, transpose_a=True) + D, matmul(f_dot.L, D, transpose_a=True)
            dA_dot += np.tril(matmul(D, f_dot.U, transpose_b=True), -1) + np.triu(dU_dot, 1)
            dA_dot += np.diag(np.diag(dU_dot) * np.diag(f.U) + np.diag(dU) * np.diag(f_dot.U))
        return dA_dot

    # ---- the passes

    def forward(
        self, x: Array, *, train: bool = False, key: Key | None = None
    ) -> tuple[tuple[Array, Array], InvertibleConvCache]:
        check_channels(f"InvertibleConv({self.channels})", x, self.channels)
        w = self.weights()
        f = self.factors(w.A)
        return (_product(x, f.W), on_every_row(positions(x) * np.diag(w.A).sum(), x)), InvertibleConvCache(x, f, w)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        A = self.weights().A
        f = self.factors(A)
        return _product(z, self.W_inverse(f)), on_every_row(-positions(z) * np.diag(A).sum(), z)

    def W_inverse(self, f: Factors) -> Array:
        """U^-1 (L + 1)^-1 P' by products alone, which a captured step can hold, where a solver of the library would wait.

        W was rounded after its factors, and it is W that went forward: a step of Newton's method, X + X (1 - W X), makes of the
        factors' inverse that of W.
        """
        one = np.diag(np.ones_like(np.diag(f.L)))
        below, above = inverse_of_lower(f.L + one), inverse_of_lower(f.U.T)
        X = matmul(matmul(above, below, transpose_a=True), self.state["P"], transpose_b=True)
        return X + matmul(X, one - matmul(f.W, X))

    def backward(self, dy: Any, cache: InvertibleConvCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        w, x, f = self.weights(cache), cache.x, cache.f
        assert f is not None
        dz, dlogdet = zeros_for_none(dy, x)
        if param_grads and self.learns:
            dW = matmul(rows(x), rows(dz), transpose_a=True)
            self.learn(w, A=self.dA(dW, positions(x) * np.sum(dlogdet), f))
        return _product(dz, f.W, transpose=True) if need_dx else None

    def jvp(
        self, x_dot: Array, cache: InvertibleConvCache, *, move_params: bool = False
    ) -> tuple[tuple[Array, Array], InvertibleConvCache]:
        w, x, f = self.weights(cache), cache.x, cache.f
        assert f is not None
        w_dot, f_dot = self.weights_dot(w, move_params), None
        z_dot = _product(x_dot, f.W)
        logdet_dot = zeros(len(x), x.dtype, like=x)
        if w_dot:
            f_dot = self.factors_dot(w_dot.A, f)
            z_dot += _product(x, f_dot.W)
            logdet_dot += positions(x) * np.diag(w_dot.A).sum()
        return (z_dot, logdet_dot), InvertibleConvCache(x_dot, f_dot, w_dot)

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
        w, x, f, x_dot, f_dot = self.weights(cache), cache.x, cache.f, tangents.x, tangents.f
        assert f is not None
        (dz, dlogdet), (dz_dot, dlogdet_dot) = zeros_for_none(dy, x), zeros_for_none(dy_dot, x)
        if param_grads and self.learns:
            dW = matmul(rows(x), rows(dz), transpose_a=True)
            dW_dot = matmul(rows(x_dot), rows(dz), transpose_a=True) + matmul(rows(x), rows(dz_dot), transpose_a=True)
            dA_dot = self.dA_dot(dW, dW_dot, positions(x) * np.sum(dlogdet_dot), f, f_dot)
            self.learn_dot(w, tangents.w, A=(lambda: self.dA(dW, positions(x) * np.sum(dlogdet), f), dA_dot))
        if not need_dx:
            return None, None
        dx_dot = _product(dz_dot, f.W, transpose=True)
        if f_dot:
            dx_dot += _product(dz, f_dot.W, transpose=True)
        return _product(dz, f.W, transpose=True), dx_dot


def inverse_of_lower(T: Array) -> Array:
    """T^-1 of a lower triangular T (C, C), by halves, [a 0; b c]^-1 = [a^-1 0; -c^-1 b a^-1 c^-1]: nothing but products."""
    if len(T) == 1:
        return 1 / T
    h = len(T) // 2
    a, c, whole = inverse_of_lower(T[:h, :h]), inverse_of_lower(T[h:, h:]), np.zeros_like(T)
    whole[:h, :h], whole[h:, :h], whole[h:, h:] = a, -matmul(c, matmul(T[h:, :h], a)), c
    return whole


def _product(x: Array, W: Array, transpose: bool = False) -> Array:
    """x_p W, or x_p W', at every position p."""
    return matmul(rows(x), W, transpose_b=transpose).reshape(x.shape)

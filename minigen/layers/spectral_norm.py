"""SpectralNorm: a weight divided by its largest singular value (Miyato et al. 2018), so that the layer stretches nothing.

    M = W as a matrix (everything else, outputs)     sigma = u' M v     y = W / sigma

u and v are unit vectors that approach the first singular pair by power iteration, v <- M'u / |M'u|, u <- M v / |M v|. They are
state: `commit` moves them, and all passes take them as constants. So sigma is linear in W, with dsigma/dW = P := u v', and

    backward       dW = (dy - <dy, y> P) / sigma                                             <a, b> the sum of all products
    jvp            y_dot = (W_dot - y sigma_dot) / sigma,   sigma_dot = <P, W_dot>
    backward_jvp   dW_dot = (dy_dot - (<dy_dot, y> + <dy, y_dot>) P - dW sigma_dot) / sigma

With converged vectors dW is also the gradient of W / sigma_1(W), since moving u and v changes u' M v in second order only.

r = 1 / sigma. D the product of all axes of W but the last, M its last, the outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, real_dtype, to_device
from ..kernels.combine import add
from ..kernels.matmul import matmul
from ..kernels.sums import inner
from ..random import Key
from .layer import Layer


class SpectralNormCache(NamedTuple):
    W: Array  # as the layer holds it: commit iterates on what it is by then
    y: Array  # like W
    sigma: Array  # ()
    P: Any  # like W, u v'; None among tangents


class SpectralNorm(Layer):
    """Layer(...).compute("W", SpectralNorm()): the layer's effective weight is W / sigma.

    `commit` makes `iterations` power iterations on the weights of the moment; the first vectors come from `first` of them.
    Raises ValueError where a weight is zero at first: it has no direction in which it stretches most.
    """

    def __init__(self, *, iterations: int = 1, first: int = 20) -> None:
        super().__init__()
        self.iterations, self.first = iterations, first

    def begin_weight(self, W: Array, key: Key) -> None:
        if not to_device(W, "cpu").any():
            raise ValueError(
                f"SpectralNorm: a weight of shape {W.shape} is all zero, and has no largest singular value to divide by"
            )
        self.state["u"] = key.normal(W.size // W.shape[-1], real_dtype(W.dtype), like=W)  # (D,)
        self._iterate(W, self.first)

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, SpectralNormCache]:
        W, u, v = x, self.state["u"], self.state["v"]
        P = add((u[:, None], v)).reshape(W.shape)
        sigma = inner(P, W)
        y = add((1 / sigma, W))
        return y, SpectralNormCache(W, y, sigma, P)

    def backward(self, dy: Array, cache: SpectralNormCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return _back(dy, cache) if need_dx else None

    def jvp(self, x_dot: Array, cache: SpectralNormCache, *, move_params: bool = False) -> tuple[Array, SpectralNormCache]:
        r, sigma_dot = 1 / cache.sigma, inner(cache.P, x_dot)
        y_dot = add((r, x_dot), (-r * sigma_dot, cache.y))
        return y_dot, SpectralNormCache(x_dot, y_dot, sigma_dot, None)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: SpectralNormCache,
        tangents: SpectralNormCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        r, dW = 1 / cache.sigma, _back(dy, cache)
        along = inner(dy_dot, cache.y) + inner(dy, tangents.y)
        return dW, add((r, dy_dot), (-r * along, cache.P), (-r * tangents.sigma, dW))

    def commit(self, cache: SpectralNormCache) -> None:
        self._iterate(cache.W, self.iterations)

    def _iterate(self, W: Array, times: int) -> None:
        matrix, u = W.real.reshape(-1, W.shape[-1]), self.state["u"]  # (D, M), (D,)
        for _ in range(times):
            v = _unit(matmul(u[None], matrix)[0])  # (M,)
            u = _unit(matmul(matrix, v[:, None])[:, 0])
        self.state["u"], self.state["v"] = u, v


def _back(dy: Array, cache: SpectralNormCache) -> Array:
    """dW."""
    r = 1 / cache.sigma
    return add((r, dy), (-r * inner(dy, cache.y), cache.P))


def _unit(a: Array) -> Array:
    """a / |a|."""
    return add((1 / np.maximum(np.sqrt(inner(a, a)), 1e-12), a))

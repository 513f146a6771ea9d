"""Logit: numbers between 0 and 1 onto the whole line, as pixels need it before a flow (Dinh et al. 2017, section 4.1).

    p = alpha + k x    q = 1 - p = alpha + k (1 - x)    k = 1 - 2 alpha
    z = log p - log q                                   logdet = sum (log k - log p - log q)        dz/dx = k / (p q)

A Gaussian puts mass on the whole line, and a pixel has none below 0 and above 1: a flow would spend itself on the two walls.
alpha keeps z finite where x is 0 or 1. q is computed for itself, since 1 - p would lose the digits of a small q.

Backward, with v = k / (p q), the slope, and d(-log p - log q)/dx = k (1/q - 1/p) = v (p - q):

    dx = v (dz + dlogdet (p - q))

Tangents: p_dot = k x_dot = -q_dot, so v_dot = -k (p q)_dot / (p q)^2 = v^2 (p - q) x_dot and (p - q)_dot = 2 k x_dot.

The passes over memory are kernels/logit, which make v and p - q again from x: to read them would take as long.

N batch; every number of a row by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import Array
from ..kernels import logit
from ..kernels.logit.definition import slope
from ..random import Key
from .bijection import Bijection
from .coupling import sum_rows, with_zeros, zeros_for_none


class LogitCache(NamedTuple):
    x: Array  # (N, ...)


class Logit(Bijection):
    """(N, ...) -> z = log p - log(1 - p), p = alpha + (1 - 2 alpha) x, and logdet (N,).

    Raises ValueError where alpha is not in [0, 1/2). x must lie in [0, 1], and within it where alpha is 0.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 <= alpha < 0.5:
            raise ValueError(f"Logit: alpha is {alpha}, and must lie in [0, 0.5)")
        self.alpha = alpha

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[tuple[Array, Array], LogitCache]:
        return logit.forward(x, self.alpha), LogitCache(x)

    def of_pixels(self, x: Array, u: Array) -> tuple[Array, Array]:
        """z and logdet of (pixel + u) / 256, in one pass: x = pixel / 255 and u on [0, 1), of one shape."""
        return logit.of_pixels(x, u, self.alpha)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        return logit.inverse(z, self.alpha)

    def backward(self, dy: Any, cache: LogitCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return logit.gradient(*with_zeros(dy, cache.x), cache.x, self.alpha) if need_dx else None

    def jvp(self, x_dot: Array, cache: LogitCache, *, move_params: bool = False) -> tuple[tuple[Array, Array], LogitCache]:
        v, gap = slope(cache.x, self.alpha)
        z_dot = v * x_dot
        return (z_dot, sum_rows(gap * z_dot)), LogitCache(x_dot)

    def backward_jvp(
        self,
        dy: Any,
        dy_dot: Any,
        cache: LogitCache,
        tangents: LogitCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        (dz, dlogdet), (dz_dot, dlogdet_dot) = (zeros_for_none(d, cache.x) for d in (dy, dy_dot))
        v, gap = slope(cache.x, self.alpha)
        z_dot, k = v * tangents.x, 1 - 2 * self.alpha
        inner = dz + dlogdet * gap
        return v * inner, v * gap * z_dot * inner + v * (dz_dot + dlogdet_dot * gap + dlogdet * (2 * k * tangents.x))

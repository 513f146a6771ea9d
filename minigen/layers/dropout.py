"""Dropout: in training, each number is set to 0 with probability p and the others grow by 1 / (1 - p) (Srivastava et al. 2014).

    y = x mask / (1 - p),   mask = 1 with probability 1 - p, else 0          so E[y] = x, and evaluation is the identity

The mask is noise, drawn from the key and held fixed: y is linear in x, and every pass multiplies by the same mask.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array, real_dtype
from ..kernels import combine
from ..random import Key
from .layer import Layer


class DropoutCache(NamedTuple):
    mask: Array | None  # like x, 0 or 1; None where nothing is dropped


class Dropout(Layer):
    """Any shape. In training it needs a key: forward(x, train=True, key=key), or ValueError.

    Raises ValueError where p is not at least 0 and below 1. With p = 0 it is the identity and draws nothing.
    """

    streams = True

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout({p}): p is the probability to drop, at least 0 and below 1")
        self.p = p

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, DropoutCache]:
        if not train or self.p == 0:
            return x, DropoutCache(None)
        cache = DropoutCache(self.need(key).bernoulli(1 - self.p, x.shape, real_dtype(x.dtype), like=x))
        return self._through(x, cache), cache

    def backward(self, dy: Array, cache: DropoutCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return self._through(dy, cache) if need_dx else None

    def jvp(self, x_dot: Array, cache: DropoutCache, *, move_params: bool = False) -> tuple[Array, DropoutCache]:
        return self._through(x_dot, cache), cache

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array,
        cache: DropoutCache,
        tangents: DropoutCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        return (self._through(dy, cache), self._through(dy_dot, cache)) if need_dx else (None, None)

    def _through(self, u: Array, cache: DropoutCache) -> Array:
        return u if cache.mask is None else combine.add((1 / (1 - self.p), cache.mask, u))

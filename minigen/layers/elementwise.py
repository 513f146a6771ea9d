"""Elementwise activations: y = f(x), each number by itself.

    backward      dx = dy f'(x)
    jvp           y_dot = f'(x) x_dot
    backward_jvp  dx_dot = dy_dot f'(x) + dy f''(x) x_dot

So an activation is three lines: f, its slope f' and its curve f''. They are analytic except at the kinks, where they branch on
the real part: the complex step then is exact for them too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key
from .layer import Layer


class ElementwiseCache(NamedTuple):
    x: Array  # any shape


class Elementwise(Layer):
    """The four passes of y = f(x), from `f`, `slope` and `curve`."""

    streams = True
    takes_still = True

    def f(self, x: Array) -> Array:
        """f(x)."""
        raise NotImplementedError

    def slope(self, x: Array) -> Array:
        """f'(x)."""
        raise NotImplementedError

    def curve(self, x: Array) -> Array | float:
        """f''(x); 0 for a function of straight pieces."""
        raise NotImplementedError

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, ElementwiseCache]:
        return self.f(x), ElementwiseCache(x)

    def backward(self, dy: Array, cache: ElementwiseCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return dy * self.slope(cache.x) if need_dx else None

    def jvp(self, x_dot: Array, cache: ElementwiseCache, *, move_params: bool = False) -> tuple[Array, ElementwiseCache]:
        return x_dot * self.slope(cache.x), ElementwiseCache(x_dot)

    def backward_jvp(
        self,
        dy: Array,
        dy_dot: Array | None,
        cache: ElementwiseCache,
        tangents: ElementwiseCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Array | None, Array | None]:
        if not need_dx:
            return None, None
        slope, curve = self.slope(cache.x), self.curve(cache.x)
        dx, dx_dot = dy * slope, None if dy_dot is None else dy_dot * slope
        if np.ndim(curve) or curve:  # where it is the number 0, of straight pieces, a sum of zeros is spared
            bent = dy * curve * tangents.x
            dx_dot = bent if dx_dot is None else dx_dot + bent
        return dx, dx_dot


class ReLU(Elementwise):
    """max(x, 0)."""

    def f(self, x: Array) -> Array:
        return x * (x.real > 0)

    def slope(self, x: Array) -> Array:
        return (x.real > 0).astype(x.real.dtype)

    def curve(self, x: Array) -> float:
        return 0.0


class LeakyReLU(Elementwise):
    """x where x > 0, else leak x."""

    def __init__(self, leak: float = 0.2) -> None:
        super().__init__()
        self.leak = leak

    def f(self, x: Array) -> Array:
        return x * self.slope(x)

    def slope(self, x: Array) -> Array:
        above = (x.real > 0).astype(x.real.dtype)
        slope = 1 - above  # arithmetic, not np.where, whose branches nobody can predict: ten times as fast
        slope *= self.leak
        slope += above
        return slope

    def curve(self, x: Array) -> float:
        return 0.0


class Tanh(Elementwise):
    """tanh x; slope 1 - y^2, curve -2 y (1 - y^2)."""

    def f(self, x: Array) -> Array:
        return np.tanh(x)

    def slope(self, x: Array) -> Array:
        y = np.tanh(x)
        return 1 - y * y

    def curve(self, x: Array) -> Array:
        y = np.tanh(x)
        return -2 * y * (1 - y * y)


class Sigmoid(Elementwise):
    """s = 1 / (1 + e^-x); slope s (1 - s), curve s (1 - s) (1 - 2 s)."""

    def f(self, x: Array) -> Array:
        return sigmoid(x)

    def slope(self, x: Array) -> Array:
        s = sigmoid(x)
        return s * (1 - s)

    def curve(self, x: Array) -> Array:
        s = sigmoid(x)
        return s * (1 - s) * (1 - 2 * s)


class SiLU(Elementwise):
    """x s(x), with s the sigmoid (Elfwing et al. 2018); slope s + x s', curve 2 s' + x s''."""

    def f(self, x: Array) -> Array:
        return x * sigmoid(x)

    def slope(self, x: Array) -> Array:
        s = sigmoid(x)
        return s + x * s * (1 - s)

    def curve(self, x: Array) -> Array:
        s = sigmoid(x)
        return s * (1 - s) * (2 + x * (1 - 2 * s))


class Softplus(Elementwise):
    """log(1 + e^x); slope the sigmoid, curve its slope."""

    def f(self, x: Array) -> Array:
        return softplus(x)

    def slope(self, x: Array) -> Array:
        return sigmoid(x)

    def curve(self, x: Array) -> Array:
        s = sigmoid(x)
        return s * (1 - s)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) as (1 + tanh(x / 2)) / 2, which never overflows."""
    y: Any = 0.5 * (1 + np.tanh(0.5 * x))
    return y


def softplus(x: Array) -> Array:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), branching on the real part."""
    y: Array = x * (x.real > 0) + np.log1p(np.exp(np.where(x.real > 0, -x, x)))
    return y

"""Elementwise activations: y = f(x), each number by itself.

    backward      dx = dy f'(x)
    jvp           y_dot = f'(x) x_dot
    backward_jvp  dx_dot = dy_dot f'(x) + dy f''(x) x_dot

So an activation is three lines: f, its slope f' and its curve f''. Those that networks use most have their f and f' in
kernels/activation, which makes one pass over memory. They are analytic except at the kinks, where they branch on the real part:
the complex step then is exact for them too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..kernels import activation
from ..random import Key
from .layer import Layer


class ElementwiseCache(NamedTuple):
    x: Array  # any shape


class Elementwise(Layer):
    """The four passes of y = f(x), from `f`, `slope` and `curve`."""

    streams = True
    takes_still = True
    kind: str | None = None  # the name of f in kernels.activation, where it has a kernel
    leak = 0.0  # of "leaky"

    def f(self, x: Array) -> Array:
        """f(x)."""
        assert self.kind is not None
        return activation.forward(self.kind, x, leak=self.leak)

    def slope(self, x: Array) -> Array:
        """f'(x), where there is no kernel."""
        raise NotImplementedError(f"{type(self).__name__}.slope is not written")

    def curve(self, x: Array) -> Array | float:
        """f''(x); 0 for a function of straight pieces."""
        raise NotImplementedError

    def through(self, d: Array, x: Array) -> Array:
        """d f'(x): a gradient on its way back, or a tangent on its way there."""
        return d * self.slope(x) if self.kind is None else activation.gradient(self.kind, d, x, leak=self.leak)

    def forward(self, x: Array, *, train: bool = False, key: Key | None = None) -> tuple[Array, ElementwiseCache]:
        return self.f(x), ElementwiseCache(x)

    def backward(self, dy: Array, cache: ElementwiseCache, *, need_dx: bool = True, param_grads: bool = True) -> Array | None:
        return self.through(dy, cache.x) if need_dx else None

    def jvp(self, x_dot: Array, cache: ElementwiseCache, *, move_params: bool = False) -> tuple[Array, ElementwiseCache]:
        return self.through(x_dot, cache.x), ElementwiseCache(x_dot)

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
        return (self.through(dy, cache.x), self.through_dot(dy, dy_dot, cache.x, tangents.x)) if need_dx else (None, None)

    def through_dot(self, dy: Array, dy_dot: Array | None, x: Array, x_dot: Array) -> Array | None:
        """d/dt of dy f'(x): dy_dot f'(x) + dy f''(x) x_dot. None, where nothing moves and f is straight."""
        straight = None if dy_dot is None else self.through(dy_dot, x)
        curve = self.curve(x)
        if not np.ndim(curve) and not curve:  # the number 0, of straight pieces: a sum of zeros is spared
            return straight
        bent = dy * curve * x_dot
        return bent if straight is None else straight + bent


class ReLU(Elementwise):
    """max(x, 0)."""

    kind = "leaky"

    def curve(self, x: Array) -> float:
        return 0.0


class LeakyReLU(Elementwise):
    """x where x > 0, else leak x."""

    kind = "leaky"

    def __init__(self, leak: float = 0.2) -> None:
        super().__init__()
        self.leak = leak

    def curve(self, x: Array) -> float:
        return 0.0


class Tanh(Elementwise):
    """tanh x; slope 1 - y^2, curve -2 y (1 - y^2)."""

    kind = "tanh"

    def curve(self, x: Array) -> Array:
        y = np.tanh(x)
        return -2 * y * (1 - y * y)


class Sigmoid(Elementwise):
    """s = 1 / (1 + e^-x); slope s (1 - s), curve s (1 - s) (1 - 2 s)."""

    kind = "sigmoid"

    def curve(self, x: Array) -> Array:
        s = sigmoid(x)
        return s * (1 - s) * (1 - 2 * s)


class SiLU(Elementwise):
    """x s(x), with s the sigmoid (Elfwing et al. 2018); slope s + x s', curve 2 s' + x s''."""

    kind = "silu"

    def curve(self, x: Array) -> Array:
        s = sigmoid(x)
        return s * (1 - s) * (2 + x * (1 - 2 * s))


class Softplus(Elementwise):
    """log(1 + e^x); slope the sigmoid, curve its slope."""

    kind = "softplus"

    def curve(self, x: Array) -> Array:
        s = sigmoid(x)
        return s * (1 - s)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), which never overflows."""
    return activation.forward("sigmoid", x)


def softplus(x: Array) -> Array:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), branching on the real part."""
    return activation.forward("softplus", x)

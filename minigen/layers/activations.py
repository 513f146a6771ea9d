"""More activations, each again three lines: f, its slope f' and its curve f''. The commoner ones are in elementwise.py."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np

from ..backend import Array, device_of, to_device
from .elementwise import Elementwise, sigmoid, softplus


class GELU(Elementwise):
    """x Phi(x), Phi the normal distribution function (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016); exact, not the tanh
    approximation. With phi = Phi' the normal density, and phi' = -x phi: slope Phi + x phi, curve (2 - x^2) phi.
    """

    def f(self, x: Array) -> Array:
        return x * normal_cdf(x)

    def slope(self, x: Array) -> Array:
        return normal_cdf(x) + x * normal_density(x)

    def curve(self, x: Array) -> Array:
        return (2 - x * x) * normal_density(x)


class ELU(Elementwise):
    """x where x > 0, else alpha (e^x - 1) (Clevert et al. 2016); slope and curve alpha e^x there."""

    scale = 1.0  # of the whole function: SELU's is another

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def f(self, x: Array) -> Array:
        return self.scale * np.where(x.real > 0, x, self.alpha * np.expm1(_below(x)))

    def slope(self, x: Array) -> Array:
        return self.scale * np.where(x.real > 0, 1, self.alpha * np.exp(_below(x)))

    def curve(self, x: Array) -> Array:
        return self.scale * np.where(x.real > 0, 0, self.alpha * np.exp(_below(x)))


class SELU(ELU):
    """ELU times `scale`; its two constants make mean 0 and variance 1 a stable fixed point (Klambauer et al. 2017)."""

    scale = 1.0507009873554805

    def __init__(self) -> None:
        super().__init__(alpha=1.6732632423543772)


class Softsign(Elementwise):
    """x / (1 + |x|); slope 1 / (1 + |x|)^2, curve -2 sign(x) / (1 + |x|)^3."""

    def f(self, x: Array) -> Array:
        return x / (1 + x * np.sign(x.real))

    def slope(self, x: Array) -> Array:
        return (1 + x * np.sign(x.real)) ** -2

    def curve(self, x: Array) -> Array:
        sign = np.sign(x.real)
        return -2 * sign * (1 + x * sign) ** -3


class Mish(Elementwise):
    """x t with t = tanh(log(1 + e^x)) (Misra 2020). With s the sigmoid, which is the slope of log(1 + e^x),

    t' = (1 - t^2) s    t'' = (1 - t^2) s (1 - s) - 2 t t' s    and slope t + x t', curve 2 t' + x t''.
    """

    def f(self, x: Array) -> Array:
        return x * np.tanh(softplus(x))

    def slope(self, x: Array) -> Array:
        t, t1, _ = self._t(x)
        return t + x * t1

    def curve(self, x: Array) -> Array:
        _, t1, t2 = self._t(x)
        return 2 * t1 + x * t2

    @staticmethod
    def _t(x: Array) -> tuple[Array, Array, Array]:
        """t, t' and t''."""
        t, s = np.tanh(softplus(x)), sigmoid(x)
        t1 = (1 - t * t) * s
        return t, t1, t1 * (1 - s) - 2 * t * t1 * s


def _below(x: Array) -> Array:
    """x where it is below 0, else 0: what e^x is taken of, so that the branch not chosen cannot overflow."""
    return np.where(x.real > 0, 0, x)


def normal_density(x: Array) -> Array:
    """phi(x) = e^(-x^2 / 2) / sqrt(2 pi)."""
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def normal_cdf(x: Array) -> Array:
    """Phi(x) = (1 + erf(x / sqrt 2)) / 2, with SciPy's erf, which is exact for complex x too; on a GPU with CuPy's, which takes
    none: those of a proof travel."""
    if x.dtype.kind == "c" and device_of(x) == "cuda":
        return to_device(normal_cdf(to_device(x, "cpu")), "cuda")
    special = import_module("cupyx.scipy.special" if type(x).__module__.startswith("cupy") else "scipy.special")
    return 0.5 * (1 + special.erf(x / math.sqrt(2)))

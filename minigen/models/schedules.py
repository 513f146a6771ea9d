"""How a diffusion destroys data: how much of it is left after t steps, and what follows from Gaussians alone.

A row x_0 becomes noise in T steps, x_t = sqrt(1 - beta_t) x_(t-1) + sqrt(beta_t) eps_t. The product of the factors is

    alpha_bar_t = (1 - beta_1) ... (1 - beta_t),   alpha_bar_0 = 1

and a sum of Gaussians is one Gaussian, so all steps up to t are one:

    q(x_t | x_0) = N(a x_0, s^2)             a = sqrt(alpha_bar_t), s = sqrt(1 - alpha_bar_t)         (Ho et al. 2020, eq. 4)

A jump back from t to any earlier r, when x_0 is known, is a product of two Gaussians in x_r, q(x_t | x_r) q(x_r | x_0). With
A = alpha_bar_t / alpha_bar_r, what is left of x_r at t,

    q(x_r | x_t, x_0) = N(mean, var)
    var  = (1 - alpha_bar_r) / (1 - alpha_bar_t) (1 - A)
    mean = sqrt(alpha_bar_r) (1 - A) / (1 - alpha_bar_t) x_0 + sqrt(A) (1 - alpha_bar_r) / (1 - alpha_bar_t) x_t

For r = t - 1 this is eq. 7 of that paper. At r = 0 it is x_0 itself, without noise.

Who knows x_t and one of x_0, eps or v = a eps - s x_0 (Salimans and Ho 2022) knows all three:

    noise   x_0 = (x_t - s eps) / a          x0   eps = (x_t - a x_0) / s          v   x_0 = a x_t - s v,  eps = s x_t + a v

Steps count as in the paper, t = 1 .. T, and t = 0 is data. N rows; "..." the axes of a row.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, Constant, device_of, real_dtype, resident, to_device
from ..kernels.combine import add
from ..kernels.rows import take

SCHEDULES = ("linear", "cosine")
PREDICTIONS = ("noise", "x0", "v")
VARIANCES = ("small", "large")  # of a jump back: the posterior's, right where x_0 is known, or `wider`, right where nothing is
LARGEST_BETA = 0.999  # of the cosine schedule, whose last step would leave nothing (Nichol and Dhariwal 2021)


class Posterior(NamedTuple):
    """q(x_r | x_t, x_0) = N(of_x0 x_0 + of_xt x_t, var), each (N, 1 ...)."""

    of_x0: Array
    of_xt: Array
    var: Array


class ByStep:
    """Numbers by step, (T + 1,) in float64, and those of each row's step, in the type and on the device of the rows."""

    def __init__(self, numbers: Array) -> None:
        self.table = Constant(numbers)

    def at(self, t: Any, x: Array) -> Array:
        """Those of t, a number or integers (N,): (N, 1 ...) beside x (N, ...)."""
        return _of_rows(self.table.beside(x), t, x)


class Schedule:
    """alpha_bar (T + 1,) in float64, alpha_bar_0 = 1, and what is computed from it. t and r: a number, or integers (N,).

    Raises ValueError where alpha_bar does not fall from 1 towards 0.
    """

    def __init__(self, alpha_bar: Any) -> None:
        self.alpha_bar = np.asarray(alpha_bar, np.float64)
        falls = self.alpha_bar.ndim == 1 and len(self.alpha_bar) > 1 and (np.diff(self.alpha_bar) < 0).all()
        if not (falls and self.alpha_bar[0] == 1 and self.alpha_bar[-1] > 0):
            raise ValueError(f"a schedule falls from alpha_bar_0 = 1 and stays above 0; got {self.alpha_bar}")
        self.T = len(self.alpha_bar) - 1
        self._a, self._s = ByStep(np.sqrt(self.alpha_bar)), ByStep(np.sqrt(1 - self.alpha_bar))

    def bar(self, t: Any, x: Array) -> Array:
        """alpha_bar_t beside the rows of x: (N, 1 ...), in the real type and on the device of x."""
        return _of_rows(resident(self.alpha_bar, x), t, x)

    def scales(self, t: Any, x: Array) -> tuple[Array, Array]:
        """a and s: what of x_t is data, and what is noise; both (N, 1 ...)."""
        return self._a.at(t, x), self._s.at(t, x)

    def diffuse(self, x0: Array, t: Any, eps: Array) -> Array:
        """x_t = a x_0 + s eps: a sample of q(x_t | x_0) where eps (N, ...) is one of N(0, 1)."""
        a, s = self.scales(t, x0)
        return add((a, x0), (s, eps))

    def posterior(self, t: Any, r: Any, x: Array) -> Posterior:
        """The jump back from t to an earlier r; r = t - 1 is one step."""
        bar_t, bar_r = self.bar(t, x), self.bar(r, x)
        left, share = bar_t / bar_r, (1 - bar_r) / (1 - bar_t)
        parts = (np.sqrt(bar_r) * (1 - left) / (1 - bar_t), np.sqrt(left) * share, share * (1 - left))
        return Posterior(*(part.astype(real_dtype(x.dtype)) for part in parts))

    def wider(self, t: Any, r: Any, x: Array) -> Array:
        """1 - A (N, 1 ...), for one step beta_t: the variance of the jump back where x_0 is not known but N(0, 1)."""
        wide: Array = (1 - self.bar(t, x) / self.bar(r, x)).astype(real_dtype(x.dtype))
        return wide

    # ---- noise, data and v are each other's, given x_t

    def target(self, kind: str, x0: Array, t: Any, eps: Array) -> Array:
        """What a network of this kind of prediction should put out: (N, ...)."""
        if kind == "v":
            a, s = self.scales(t, x0)
            return add((a, eps), (-1, s, x0))
        return eps if kind == "noise" else x0

    def data(self, kind: str, y: Array, x_t: Array, t: Any) -> Array:
        """x_0 as a prediction y of this kind has it: (N, ...)."""
        a, s = self.scales(t, x_t)
        x0: Array = (x_t - s * y) / a if kind == "noise" else y if kind == "x0" else a * x_t - s * y
        return x0

    def noise(self, kind: str, y: Array, x_t: Array, t: Any) -> Array:
        """eps as a prediction y of this kind has it: (N, ...)."""
        a, s = self.scales(t, x_t)
        eps: Array = y if kind == "noise" else (x_t - a * y) / s if kind == "x0" else s * x_t + a * y
        return eps


def _of_rows(table: Array, t: Any, x: Array) -> Array:
    """The numbers of a table (T + 1,) at t, a number or integers (N,): (N, 1 ...) beside x (N, ...)."""
    if isinstance(t, int | np.integer):
        t = to_device(np.full(1, t), device_of(x))
    return take(table, t).reshape(-1, *(1,) * (x.ndim - 1))


def linear(T: int) -> Schedule:
    """beta from 1e-4 to 0.02 in equal steps, for T = 1000 (Ho et al. 2020); for other T both times 1000 / T.

    So about as much is left at the end (4e-5 at T = 1000). Raises ValueError below T = 21, where beta would reach 1.
    """
    if T < 21:
        raise ValueError(f"the linear schedule needs at least 21 steps, got T = {T}: use more, or the cosine schedule")
    beta = np.linspace(1e-4, 0.02, T) * (1000 / T)
    return Schedule(np.concatenate(([1.0], np.cumprod(1 - beta))))


def cosine(T: int, s: float = 0.008) -> Schedule:
    """alpha_bar_t = f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2) (Nichol and Dhariwal 2021, eq. 17).

    It falls more evenly than the linear one, which on small images is noise long before T.
    """
    if T < 1:
        raise ValueError(f"a schedule needs at least one step, got T = {T}")
    f = np.cos((np.arange(T + 1) / T + s) / (1 + s) * math.pi / 2) ** 2
    beta = np.minimum(1 - f[1:] / f[:-1], LARGEST_BETA)
    return Schedule(np.concatenate(([1.0], np.cumprod(1 - beta))))


def schedule(name: str, T: int) -> Schedule:
    """A schedule by name. Raises ValueError with the names there are."""
    if name not in SCHEDULES:
        raise ValueError(f"unknown schedule {name!r}: there is {', '.join(SCHEDULES)}")
    return linear(T) if name == "linear" else cosine(T)

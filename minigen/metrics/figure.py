"""A figure, and how far it may be trusted: what every metric hands to a table.

A number alone says little. Whether it is exact, a bound or an estimate, in which unit, of how many rows, with which interval
and by which protocol it was measured belongs to it, and two figures that differ in any of these cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..backend import Array

KINDS = "exact", "bound", "estimate"
NORMAL_95 = 1.959964  # standard errors to either side that hold 95 % of a normal distribution


@dataclass(frozen=True)
class Figure:
    """One measured number. `interval` is that of 95 %, None where it is not known.

    exact      of these rows it could not be otherwise: a likelihood in closed form, an error of a deterministic map
    bound      the truth is on one side of it: an ELBO, the bound of a diffusion
    estimate   it varies with random numbers around the truth, or with a bias that its protocol names

    Raises ValueError on another kind.
    """

    name: str
    value: float
    unit: str
    kind: str
    count: int  # rows or samples that it is of
    protocol: str
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a figure is {', '.join(KINDS[:-1])} or {KINDS[-1]}; {self.name} is said to be {self.kind!r}")

    def as_json(self) -> dict[str, Any]:
        """Plain values; `Figure.of_json` reads them."""
        return {**asdict(self), "interval": None if self.interval is None else list(self.interval)}

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Figure:
        """The figure of `as_json`."""
        interval = values.get("interval")
        return cls(**{**values, "interval": None if interval is None else tuple(interval)})


def mean_of(name: str, values: Array, unit: str, kind: str, protocol: str) -> Figure:
    """The mean of one value for each row, (N,), with the interval of its standard error. Raises ValueError on no rows."""
    if not len(values):
        raise ValueError(f"{name}: there are no rows to take a mean of")
    wide = np.asarray(values, np.float64)
    value, n = float(wide.mean()), len(wide)
    error = float(wide.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Figure(name, value, unit, kind, n, protocol, around(value, error))


def around(value: float, error: float | None) -> tuple[float, float] | None:
    """The interval of 95 % of a value with this standard error."""
    return None if error is None else (value - NORMAL_95 * error, value + NORMAL_95 * error)


def over_seeds(figures: Sequence[Figure]) -> Figure:
    """One figure of several seeds: their mean. The interval is Student's, over the seeds; that of the figure itself if alone.

    With n seeds and s their standard deviation it reaches t s / sqrt(n) to either side, t the 97.5 % point of Student's
    distribution with n - 1 degrees of freedom: 12.7 for two seeds, 4.3 for three. Raises ValueError on none.
    """
    if not figures:
        raise ValueError("a figure of no seeds has no value")
    first, n = figures[0], len(figures)
    if n == 1:
        return first
    from scipy.stats import t

    values = np.array([figure.value for figure in figures])
    value, reach = float(values.mean()), float(t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return replace(first, value=value, interval=(value - reach, value + reach))

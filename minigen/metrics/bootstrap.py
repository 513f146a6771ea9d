"""How far a figure of n rows may be from that of all rows there could be: the bootstrap (Efron 1979).

The truth F is unknown, and a sample of it is known. So let the sample stand for the truth, and draw n of its rows with
replacement, again and again. As a figure t* of such a draw is to the figure t of the sample, so is t to the truth tau:

    t - tau  ~  t* - t        so that, with q(p) the quantiles of t*,        2 t - q(0.975)  <  tau  <  2 t - q(0.025)

in 95 of 100 samples, about. This *basic* interval takes the bias away once: a figure that is too large on few rows, as the
Frechet distance, has a t* larger than t by as much as t is larger than tau. The percentile interval from q(0.025) to q(0.975)
would be off twice.

It supposes that a row drawn twice means nothing. Where it does, as in a distance to the nearest other row, resample the values
of the rows instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key

REPEATS = 200


class Interval(NamedTuple):
    """What `bootstrap` found."""

    value: float  # of the sample itself
    low: float
    high: float
    error: float  # the standard deviation of t*
    bias: float  # mean t* - t, an estimate of t - tau


def bootstrap(
    statistic: Callable[..., float], sizes: int | tuple[int, ...], key: Key, *, repeats: int = REPEATS, level: float = 0.95
) -> Interval:
    """The basic interval of `statistic(rows)`, or of `statistic(rows, others)` for samples of two sizes (n, m).

    The statistic is handed row numbers, (n,) int64 for each sample; the samples are drawn anew independently. Raises ValueError
    on an empty sample, fewer than 20 repeats, a level outside (0, 1), and a figure that is not finite.
    """
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    if min(sizes) < 1 or repeats < 20 or not 0 < level < 1:
        raise ValueError(f"bootstrap needs rows, 20 repeats and a level in (0, 1), got {sizes} rows, {repeats} and {level:g}")
    value = float(statistic(*(np.arange(n) for n in sizes)))
    drawn = np.empty(repeats)
    for i in range(repeats):
        drawn[i] = statistic(*(key.at(i, j).integers(n, n) for j, n in enumerate(sizes)))
    if not (math.isfinite(value) and np.isfinite(drawn).all()):
        raise ValueError(
            f"bootstrap: the figure is {value:g}, and {int((~np.isfinite(drawn)).sum())} redrawn ones are not finite"
        )
    below, above = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        value, 2 * value - float(above), 2 * value - float(below), float(drawn.std(ddof=1)), float(drawn.mean()) - value
    )


def of_mean(values: Array, key: Key, *, repeats: int = REPEATS, level: float = 0.95) -> Interval:
    """The interval of the mean of one value for each row, (n,)."""
    wide = np.asarray(values, np.float64)
    return bootstrap(lambda rows: float(wide[rows].mean()), len(wide), key, repeats=repeats, level=level)

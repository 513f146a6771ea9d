"""Energy distance: how far apart two distributions are, from the distances between their samples (Szekely and Rizzo 2004).

    D(P, Q) = 2 E|x - y| - E|x - x'| - E|y - y'|        x, x' ~ P and y, y' ~ Q, all independent

It is 0 where P = Q and positive elsewhere. With f and g the characteristic functions it is the integral, up to a constant, of
|f(t) - g(t)|^2 / |t|^(d + 1): large scales weigh most. Its unit is that of x.

Three forms are in use, and figures of different forms cannot be compared. Here it is D itself, not its root; and the two means
within a sample are over pairs of different rows (U-statistics), so that the estimate is unbiased and of the truth against the
truth it is 0 on average, below 0 half of the time. If a row is paired with itself too (V-statistics), it is too large by
E|x - x'| / n + E|y - y'| / m.

n rows of x, m of y, D numbers in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..backend import Array, to_device
from ..random import Key
from .health import distances

BLOCK = 512


class Floor(NamedTuple):
    """What the truth scores against the truth: no sampler can be told from it below that."""

    mean: float  # near 0
    spread: float  # the standard deviation of one figure
    repeats: int


def energy_distance(x: Array, y: Array) -> float:
    """The unbiased estimate of D, x (n, ...) and y (m, ...), in float64. It may be below 0.

    Raises ValueError where the shapes of rows differ, there are fewer than two rows, or a value is not finite.
    """
    if x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise ValueError(f"energy_distance needs two rows of one shape on both sides, got {x.shape} and {y.shape}")
    x, y = (to_device(part, "cpu").reshape(len(part), -1).astype(np.float64) for part in (x, y))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("energy_distance: a value is not finite")
    middle = x.mean(0)  # smaller numbers, less to cancel
    x, y = x - middle, y - middle
    return 2 * _across(x, y) - _within(x) - _within(y)


def floor(sample: Callable[[int, Key], Array], n: int, key: Key, repeats: int = 8) -> Floor:
    """`energy_distance` of two samples of n rows of one distribution, `repeats` times, with new rows each time.

    Raises ValueError on fewer than two repeats, which have no spread.
    """
    if repeats < 2:
        raise ValueError(f"a spread needs two repeats at least, not {repeats}")
    found = [energy_distance(sample(n, key.at(i, "one")), sample(n, key.at(i, "other"))) for i in range(repeats)]
    return Floor(math.fsum(found) / repeats, float(np.std(found, ddof=1)), repeats)


def _across(x: Array, y: Array) -> float:
    """The mean of |x_i - y_j| over all n m pairs."""
    sums = (float(distances(x[i : i + BLOCK], y).sum()) for i in range(0, len(x), BLOCK))
    return math.fsum(sums) / (len(x) * len(y))


def _within(x: Array) -> float:
    """The mean of |x_i - x_j| over the n (n - 1) / 2 pairs i < j."""
    sums = []
    for i in range(0, len(x), BLOCK):
        block = x[i : i + BLOCK]
        sums.append(float(np.triu(distances(block, block), 1).sum()))
        sums.append(float(distances(block, x[i + BLOCK :]).sum()))
    return 2 * math.fsum(sums) / (len(x) * (len(x) - 1))

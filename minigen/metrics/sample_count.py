"""What a figure of samples would be if there were endlessly many: its bias against their number (Chong and Forsyth 2020).

Many figures of n samples have a bias of first order,

    E t_n = tau + b / n + O(1 / n^2)

with b different for each generator, so that two generators may change places between 1,000 samples and 50,000. Figures of
several n lie on a straight line in 1/n, whose value at 0 is tau: a fit by least squares, where a mean of s figures of n rows
weighs like the s n rows it is of.

n rows are drawn without replacement, and disjoint sets of n from the same rows are averaged, as many as there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..backend import Array
from ..random import Key


class Counted(NamedTuple):
    """The figure of n rows."""

    rows: int  # n
    value: float  # the mean over the sets
    sets: int


class Endless(NamedTuple):
    """The line through figures of several n."""

    value: float  # tau
    slope: float  # b
    figures: list[Counted]

    def at(self, rows: int) -> float:
        """What the line says of n rows."""
        return self.value + self.slope / rows


def against_count(
    figure: Callable[[Array, Array], float], x: Array, y: Array, counts: Sequence[int], key: Key, most_sets: int = 8
) -> Endless:
    """`figure(x, y)` of n rows of each, for n in `counts`, and the line through them.

    Raises ValueError on fewer than two different counts, and on more rows than there are.
    """
    available = min(len(x), len(y))
    if len(set(counts)) < 2 or not 0 < min(counts) <= max(counts) <= available:
        raise ValueError(f"two different counts of 1 to {available} rows are needed, got {list(counts)}")
    order_x, order_y = key.at("x").permutation(len(x)), key.at("y").permutation(len(y))
    figures = []
    for n in counts:
        sets = min(available // n, most_sets)
        values = [figure(x[order_x[i * n : (i + 1) * n]], y[order_y[i * n : (i + 1) * n]]) for i in range(sets)]
        figures.append(Counted(n, math.fsum(values) / sets, sets))
    inverse = np.array([1 / f.rows for f in figures])
    weight = np.sqrt([f.rows * f.sets for f in figures])
    design = np.stack((np.ones_like(inverse), inverse), 1)
    (value, slope), *_ = np.linalg.lstsq(weight[:, None] * design, weight * [f.value for f in figures], rcond=None)
    return Endless(float(value), float(slope), figures)

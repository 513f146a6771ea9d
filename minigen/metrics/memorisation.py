"""Has a generator learned its training set by heart? Its samples' nearest training rows, beside those of held-out rows.

The distance of a sample to its nearest training row says nothing by itself: it is small in a crowded space. Held-out rows come
from the truth and cannot have been copied, so they are the measure:

    closer  the share of samples that are nearer to the training set than all but 1 % of held-out rows are: 1 % if nothing is
            copied, 1 if all is
    nearer  the share of samples whose nearest training row is nearer than their nearest held-out row, of as many rows of each:
            1/2 if the generator does not know which rows it was trained on       (Meehan et al. 2020, data-copying tests)

A generator that has learned the distribution well has `nearer` near 1/2 whatever its quality. Copies that were shifted or
brightened are found only in a space where that is a small change: pixels for copies as they are, features for the rest.

S samples, N training rows, M held-out rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, to_device
from ..random import Key
from .nearest import nearest

RARE = 0.01  # of held-out rows that lie closer to the training set than `threshold`


class Memorisation(NamedTuple):
    """What `memorisation` found."""

    closer: float
    nearer: float
    nearer_error: float  # the standard error of `nearer` if nothing is memorised, sqrt(1/4 S)
    threshold: float  # the distance that 1 % of held-out rows fall below
    distances: Array  # (S,) from each sample to its nearest training row
    rows: Array  # (S,) int64, which row that is

    def suspects(self, n: int) -> Array:
        """The n samples nearest to a training row, the nearest first: (n,), to be looked at beside their rows."""
        return np.argsort(self.distances, kind="stable")[:n]


def memorisation(samples: Array, train: Array, held_out: Array, key: Key) -> Memorisation:
    """Samples (S, ...), training rows (N, ...), held-out rows (M, ...).

    `key` draws as many training rows as there are held-out ones for `nearer`, or the other way round. A sample as near to both
    counts for a half. Raises ValueError as `nearest` does, and below 100 held-out rows, of which 1 % is no row.
    """
    if len(held_out) < 1 / RARE:
        raise ValueError(f"1 % of {len(held_out)} held-out rows is not one row: use {1 / RARE:.0f} at least")
    x, a, b = (to_device(rows, "cpu") for rows in (samples, train, held_out))
    found = nearest(x, a, 1)
    distances = found.distances[:, 0]
    threshold = float(np.quantile(nearest(b, a, 1).distances[:, 0], RARE))
    n = min(len(a), len(b))
    some_a, some_b = (rows[np.sort(key.at(name).permutation(len(rows))[:n])] for name, rows in (("train", a), ("held out", b)))
    to_a = distances if n == len(a) else nearest(x, some_a, 1).distances[:, 0]
    to_b = nearest(x, some_b, 1).distances[:, 0]
    nearer = (to_a < to_b).mean() + 0.5 * (to_a == to_b).mean()
    error = math.sqrt(0.25 / len(x))
    return Memorisation(float((distances < threshold).mean()), float(nearer), error, threshold, distances, found.indices[:, 0])

"""Precision and recall, density and coverage: quality and variety of samples, told apart by balls around rows.

Around each row of a set lies a ball that reaches to its k-th nearest neighbour in the set. All balls together are a picture of
where the set lives, coarse where it is sparse. With real rows x (N) and samples y (M):

    precision  the share of samples in some ball of a real row           are the samples like data?   (Kynkaanniemi et al. 2019)
    recall     the share of real rows in some ball of a sample           are data like samples?
    density    the mean number of real balls a sample is in, over k      as precision, but one outlier's ball weighs little
    coverage   the share of real rows that have a sample in their ball   as recall, of the real balls      (Naeem et al. 2020)

Samples far apart have large balls, and recall flatters them: coverage does not. A real row has no sample in its ball where
the k nearest of the N - 1 + M other rows are all real. If the samples are the truth, any order of the rows is as likely, so

    E coverage = 1 - prod_(i < k) (N - 1 - i) / (N - 1 + M - i)  ->  1 - 2^-k   for N = M,      E density = 1 about

whatever the distribution. Each figure is a mean over rows, given the other set: its interval is that of the mean, and does not
know how the other set was drawn.

A point on the edge of a ball is in it. Products of matrices only propose; whatever is near an edge is measured again from the
differences, as `nearest` has measured the edge. So no block and no rounding moves a row across.

N real rows, M samples, P numbers in each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, to_device
from .nearest import nearest

K = 5  # neighbours: 3 in Kynkaanniemi et al., 5 in Naeem et al.
BLOCK = 256
DOUBT = 1e-9  # of the largest squares: an expanded square may be wrong by this in float64, in 1e6 dimensions


class Manifold(NamedTuple):
    """Of each row its part in the figures, so that they can be averaged and resampled."""

    k: int
    precise: Array  # (M,) booleans
    recalled: Array  # (N,) booleans
    density: Array  # (M,) float64
    covered: Array  # (N,) booleans

    @property
    def means(self) -> dict[str, float]:
        """precision, recall, density, coverage."""
        return {
            "precision": float(self.precise.mean()),
            "recall": float(self.recalled.mean()),
            "density": float(self.density.mean()),
            "coverage": float(self.covered.mean()),
        }


def manifold(real: Array, fake: Array, k: int = K, block: int = BLOCK) -> Manifold:
    """The figures of samples `fake` (M, ...) against `real` (N, ...).

    Raises ValueError where shapes differ, a set has no more than k rows, or a value is not finite.
    """
    x, y = (to_device(rows, "cpu").reshape(len(rows), -1).astype(np.float64) for rows in (real, fake))
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) <= k or k < 1:
        raise ValueError(
            f"balls to the {k}-th neighbour need more than {k} rows of one shape, got {real.shape} and {fake.shape}"
        )
    reach = nearest(x, x, k, leave_out_self=True).distances[:, -1]  # (N,)
    reach_fake = nearest(y, y, k, leave_out_self=True).distances[:, -1]  # (M,)
    balls, found, recalled = np.zeros(len(y)), np.zeros(len(x), bool), np.zeros(len(x), bool)
    for start in range(0, len(x), block):
        here = slice(start, start + block)
        inside = within(x[here], y, reach[here])  # (B, M): sample j is in the ball of real row i
        balls += inside.sum(0)
        found[here] = inside.any(1)
        recalled[here] = within(y, x[here], reach_fake).any(0)
    return Manifold(k, balls > 0, recalled, balls / k, found)


def within(centres: Array, points: Array, reach: Array) -> Array:
    """|c_i - p_j| <= reach_i: (n, P), (m, P), (n,) -> (n, m) booleans, exact at the edge."""
    origin = centres[0]
    c, p = centres - origin, points - origin
    c_squares, p_squares = (c * c).sum(1), (p * p).sum(1)
    beyond = c_squares[:, None] + p_squares - 2 * (c @ p.T) - (reach**2)[:, None]  # (n, m)
    inside: Array = beyond <= 0
    doubtful = np.abs(beyond) <= DOUBT * (c_squares[:, None] + p_squares + (reach**2)[:, None])
    i, j = np.nonzero(doubtful)
    inside[i, j] = np.sqrt(np.square(centres[i] - points[j]).sum(1)) <= reach[i]
    return inside


def expected_coverage(N: int, M: int, k: int = K) -> float:
    """The coverage of M samples of the truth itself: 1 - P(the k nearest of the N - 1 + M other rows are all real)."""
    return 1 - math.prod((N - 1 - i) / (N - 1 + M - i) for i in range(k))

"""The Frechet distance of two sets of rows, as if each were Gaussian (Frechet 1957; Heusel et al. 2017).

Of two Gaussians with means m, n and covariances S, T, the cheapest way to carry one onto the other costs, in squared distance
(Dowson and Landau 1982),

    d = |m - n|^2 + tr S + tr T - 2 tr (S^1/2 T S^1/2)^1/2

The root of the symmetric product has the eigenvalues s_i, the singular values of S^1/2 T^1/2 = P diag(s) Q'. So the last trace
is their sum. But three traces that cancel leave nothing but rounding where the sets are alike. With the rotation U = Q P',

    |S^1/2 - T^1/2 U|^2 = tr S + tr T - 2 tr (U S^1/2 T^1/2) = tr S + tr T - 2 sum_i s_i

(sum of squares of all entries), which is the same number as a sum of squares: never below 0, and 0 for equal sets. The roots
are symmetric ones, from eigenvalues. No root of a matrix that is not symmetric is taken: S T has real eigenvalues only until it
is rounded.

It is biased: n rows against n rows of one distribution do not give 0, but, of N(0, I), about 2 D / n by the means and
D (D + 1) / 2n by the covariances. So n belongs to the name of a figure, and fewer rows than directions are refused: they say
nothing about the rest.

Means and scatters are added up block by block in float64 (Chan, Golub and LeVeque 1983),

    n = n_a + n_b,   delta = m_b - m_a,   m = m_a + delta n_b / n,   C = C_a + C_b + delta delta' n_a n_b / n

N rows, D features.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from ..backend import Array, to_device

BLOCK = 1000


class Moments:
    """The count, the mean (D,) and the covariance (D, D) of rows that come block by block."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Array = np.zeros(0)
        self.scatter: Array = np.zeros((0, 0))  # the sum of (x - mean)(x - mean)'

    @classmethod
    def of(cls, rows: Array, block: int = BLOCK) -> Self:
        """Those of rows (N, D)."""
        if block < 1:
            raise ValueError(f"a block of {block} rows holds none")
        moments = cls()
        for start in range(0, len(rows), block):
            moments.add(rows[start : start + block])
        return moments

    def add(self, rows: Array) -> None:
        """Takes more rows (n, D). Raises ValueError on another D, and on a value that is not finite."""
        x = np.asarray(to_device(rows, "cpu"), np.float64)
        if x.ndim != 2 or not x.shape[1] or (self.count and x.shape[1] != len(self.mean)):
            raise ValueError(f"Moments takes rows (n, {len(self.mean) if self.count else 'D'}), got {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError(f"Moments: {int((~np.isfinite(x).all(1)).sum())} of {len(x)} rows are not finite")
        n = len(x)
        if not n:
            return
        if not self.count:
            self.mean, self.scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1]))
        mean = x.mean(0)  # (D,)
        centred, delta, total = x - mean, mean - self.mean, self.count + n
        self.scatter = self.scatter + centred.T @ centred + np.outer(delta, delta) * (self.count * n / total)
        self.mean = self.mean + delta * (n / total)
        self.count = total

    @property
    def covariance(self) -> Array:
        """(D, D), without bias: over N - 1. Raises ValueError where there are not more rows than features."""
        D = len(self.mean)
        if self.count <= D:
            raise ValueError(
                f"{self.count} rows of {D} features: their covariance has rank {max(self.count - 1, 0)}, and a distance "
                f"would measure what is missing. Use more than {D} rows, better ten times as many, or fewer features"
            )
        return self.scatter / (self.count - 1)


def frechet(a: Moments, b: Moments) -> float:
    """d of two sets of rows, in the square of the features' unit."""
    return between(a.mean, a.covariance, b.mean, b.covariance)


def frechet_distance(x: Array, y: Array, block: int = BLOCK) -> float:
    """d of rows x (N, D) and y (M, D). Raises ValueError where there are not more rows than features, or one is not finite."""
    return frechet(Moments.of(x, block), Moments.of(y, block))


def between(mean: Array, covariance: Array, other_mean: Array, other_covariance: Array) -> float:
    """d of two Gaussians, means (D,) and symmetric covariances (D, D). Raises ValueError on other shapes."""
    D = len(mean)
    if other_mean.shape != (D,) or covariance.shape != (D, D) or other_covariance.shape != (D, D):
        raise ValueError(
            f"two Gaussians of one dimension are needed, got means {mean.shape} and {other_mean.shape}, "
            f"covariances {covariance.shape} and {other_covariance.shape}"
        )
    root, other_root = symmetric_root(covariance), symmetric_root(other_covariance)  # S^1/2, T^1/2
    p, _, qt = np.linalg.svd(root @ other_root)
    U = qt.T @ p.T
    return float(((mean - other_mean) ** 2).sum() + ((root - other_root @ U) ** 2).sum())


def symmetric_root(covariance: Array) -> Array:
    """S^1/2 (D, D), symmetric, of a covariance; what rounding has put below 0 counts as 0."""
    value, vector = np.linalg.eigh((covariance + covariance.T) / 2)
    root: Array = (vector * np.sqrt(value.clip(0))) @ vector.T
    return root

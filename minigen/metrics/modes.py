"""Mode coverage: how many Gaussians of a mixture a generator has found, how well, and in which shares.

The protocol of the literature (Srivastava et al. 2017, VEEGAN; Lin et al. 2018, PacGAN): 2,500 samples; a sample is of high
quality within 3 sigma of the nearest mean; a mode is found with one such sample. Report the mean over at least 5 seeds.

Quality rewards a spread that is too small: 1 - exp(-9/2) = 98.89 % of the samples of the truth itself are within 3 sigma, and
what shrinks has more. So the spread stands beside it.

Legend: n samples, M modes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, to_device

SAMPLES = 2500
RADIUS = 3.0  # of high quality, in sigma
PERFECT = 1 - math.exp(-(RADIUS**2) / 2)  # of the truth's own samples are of high quality: the squared radius is chi^2_2

# The variance that is left of a Gaussian in the plane, in each direction, when what is farther than 3 sigma is cut off.
_CUT = 1 - RADIUS**2 / 2 * (1 - PERFECT) / PERFECT


class ModeCoverage(NamedTuple):
    """What `mode_coverage` found."""

    samples: int
    modes: int  # found: they have a sample of high quality
    of: int  # the modes there are
    quality: float  # the share of samples of high quality
    reverse_kl: float  # nats: KL of the shares of the modes from equal shares, log of = one mode has all
    sigma_ratio: float  # the spread of the samples within their modes over that of the truth; NaN where none can be said

    @property
    def kl_floor(self) -> float:
        """About the reverse KL that as many samples of the truth have, (M - 1) / 2 n: shares of a finite sample differ."""
        return (self.of - 1) / (2 * self.samples)


def mode_coverage(samples: Array, means: Array, sigma: float) -> ModeCoverage:
    """How `samples` (n, 2) cover equal Gaussians of `means` (M, 2) and `sigma`.

        modes        how many means have a sample within 3 sigma, which is nearer to them than to the others
        quality      the share of samples within 3 sigma of the nearest mean
        reverse_kl   sum_m q_m log(M q_m), q_m the share of all samples, good or bad, nearest to mean m (PacGAN)
        sigma_ratio  the root mean square distance, by direction, of high-quality samples from their average in each mode, over
                     what is expected of the truth, 0.974 sigma: 1 for the truth, 0.51 at half the spread, 0 for single points

    Raises ValueError on other shapes, no samples, and a sample that is not finite.
    """
    x = to_device(samples, "cpu").astype(np.float64)
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ValueError(f"mode_coverage takes at least one point (n, 2), not samples of shape {x.shape}")
    bad = ~np.isfinite(x).all(1)
    if bad.any():
        raise ValueError(f"mode_coverage: {bad.sum()} of {len(x)} samples are not finite, the first is row {bad.argmax()}")
    M = len(means)
    distance, nearest = _nearest(x, means)
    good = distance <= RADIUS * sigma  # (n,)
    shares = np.bincount(nearest, minlength=M) / len(x)  # (M,)
    return ModeCoverage(
        samples=len(x),
        modes=len(np.unique(nearest[good])),
        of=M,
        quality=float(good.mean()),
        reverse_kl=reverse_kl(shares),
        sigma_ratio=_spread(x[good], nearest[good], M) / (sigma * math.sqrt(_CUT)),
    )


def reverse_kl(shares: Array) -> float:
    """KL(q || equal shares) = sum_m q_m log(M q_m) of shares (M,), in nats. It is log M less their entropy."""
    some = shares[shares > 0]
    return max(0.0, float((some * np.log(some * len(shares))).sum()))


def _nearest(x: Array, means: Array) -> tuple[Array, Array]:
    """The distance (n,) to the nearest mean, and which it is (n,)."""
    squares = ((x[:, None, :] - means) ** 2).sum(2)  # (n, M)
    nearest = squares.argmin(1)
    return np.sqrt(squares[np.arange(len(x)), nearest]), nearest


def _spread(x: Array, mode: Array, M: int) -> float:
    """The pooled standard deviation of points (n, 2) around the average of their mode, in each direction; NaN without pairs."""
    counts = np.bincount(mode, minlength=M)
    averages = np.stack([np.bincount(mode, x[:, axis], M) for axis in (0, 1)], 1) / np.maximum(counts, 1)[:, None]
    freedom = 2 * (len(x) - (counts > 0).sum())  # two directions; each average takes one sample's worth
    return math.sqrt(((x - averages[mode]) ** 2).sum() / freedom) if freedom else math.nan

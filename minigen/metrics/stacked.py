"""Stacked MNIST: a thousand modes, counted by a classifier (Metz et al. 2017; Srivastava et al. 2017).

Three digits stand in the three channels of an image. What a classifier calls them, c_1 c_2 c_3, is the mode of a sample, one of
1,000, and the truth has them all alike:

    modes       how many have at least one of the samples, of which there are 26,000
    reverse_kl  sum_m q_m log(1000 q_m) nats, q_m the share of mode m            of the truth itself about 999 / 52,000 = 0.019
    sure        the share of samples whose three digits each have a probability above 0.9

A classifier calls noise something too, and noise finds many modes: `sure` is beside the count for that. An error of the
classifier finds modes that are not there. So it has to be right in 99 of 100 images, and what the data score stands beside.

n samples, K classes, M = K^3 modes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..backend import Array, to_device
from .modes import reverse_kl

SAMPLES = 26_000
SURE = 0.9
CHANNELS = 3


class StackedCoverage(NamedTuple):
    """What `stacked_coverage` found."""

    samples: int
    modes: int
    of: int
    reverse_kl: float  # nats
    sure: float

    @property
    def kl_floor(self) -> float:
        """About the reverse KL that as many samples of the truth have, (M - 1) / 2 n; less where M is not small beside n."""
        return (self.of - 1) / (2 * self.samples)


def stacked_coverage(probabilities: Array) -> StackedCoverage:
    """probabilities (n, 3, K), of each class in each channel. Raises ValueError on other shapes and on NaN."""
    p = to_device(probabilities, "cpu")
    if p.ndim != 3 or p.shape[1] != CHANNELS or not len(p) or not np.isfinite(p).all():
        raise ValueError(f"stacked_coverage takes finite probabilities (n, {CHANNELS}, K), got {p.shape}")
    n, _, K = p.shape
    mode = p.argmax(2) @ K ** np.arange(CHANNELS)[::-1]  # (n,)
    shares = np.bincount(mode, minlength=K**CHANNELS) / n
    sure = (p.max(2) > SURE).all(1).mean()
    return StackedCoverage(n, int((shares > 0).sum()), K**CHANNELS, reverse_kl(shares), float(sure))


def of_channels(function: Callable[[Array], Array], images: Array) -> Array:
    """What a function of grey images (N, H, W, 1) -> (N, K) says of each channel of images (n, H, W, 3): (n, 3, K)."""
    if images.ndim != 4 or images.shape[3] != CHANNELS:
        raise ValueError(f"stacked images are (n, H, W, {CHANNELS}), got {images.shape}")
    n, H, W, _ = images.shape
    grey = np.moveaxis(images, 3, 1).reshape(n * CHANNELS, H, W, 1)
    return function(grey).reshape(n, CHANNELS, -1)

"""Nats, bits per dimension, and the constants between a density and the probability of an image.

An image of D integers k in 0 .. K - 1, K = 256, has a probability P(k); a model of numbers has a density. They meet where
uniform noise is added to the integers (Uria et al. 2013): x = (k + u) / K, u ~ U[0, 1)^D, lies in k's cell, of volume K^-D:

    log P(k) = log of the integral of p over the cell = log E_u p(x) - D log K  >=  E_u log p(x) - D log K        (Jensen)

So a density gives a bound, in nats -log p(x) + D log 256, and the noise is drawn anew whenever it is looked at. If the model's
coordinates are x' = w x + c, with w = 2 for images in [-1, 1], then p(x) = w^D p'(x'), and

    nats = -log p'(x') + D log(K / w)          bits per dimension = nats / (D log 2) = -log p'(x') / (D log 2) + log2(K / w)

with the last constant 8 for [0, 1] and 7 for [-1, 1]. A model of integers (PixelCNN) has no such constant: its nats are exact.

N rows, D numbers in each.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, to_device
from ..random import Key

LEVELS = 256


def bits_per_dimension(nats: Array | float, dims: int) -> Array | float:
    """Nats of a row of `dims` numbers -> bits for each of them."""
    return nats / (_positive("dims", dims) * math.log(2))


def nats_of_bits(bits: Array | float, dims: int) -> Array | float:
    """Bits per dimension -> nats of a row."""
    return bits * (_positive("dims", dims) * math.log(2))


def discrete_nats(log_density: Array, dims: int, *, levels: int = LEVELS, width: float = 1.0) -> Array:
    """log p'(x') of rows, (N,), of numbers that span `width` -> the bound on -log P of the integers, in nats: (N,)."""
    return dims * math.log(_positive("levels", levels) / _positive("width", width)) - np.asarray(log_density, np.float64)


def dequantised(integers: Array, key: Key, *, levels: int = LEVELS, first: int = 0) -> Array:
    """(k + u) / K of integers (N, ...), in [0, 1): float64. u belongs to the row: row i is row `first` + i of the data.

    Raises ValueError where values are no integers, or outside 0 .. K - 1.
    """
    k = to_device(integers, "cpu")
    if k.dtype.kind not in "iu" or (k.size and not (k.min() >= 0 and k.max() < levels)):
        raise ValueError(f"dequantised takes integers in 0 .. {levels - 1}, got {k.dtype} in {k.min()} .. {k.max()}")
    u = np.stack([key.at("row", first + i).uniform(k.shape[1:], np.float64) for i in range(len(k))])
    return (k + u) / levels


def excess_nats(log_p: Array, entropy: float, log_true: Array | None = None) -> Array:
    """How far -log p of points of a known density is above its entropy H, by point, (N,): the mean is KL(truth || model).

        -log p(x) - H            scatters as log p does
        log p*(x) - log p(x)     the same mean, with the truth's own log-density `log_true` (N,): scatters little near it

    A mean below 0 by more than its standard error is a mistake: of the likelihood, or of the points.
    """
    log_p = np.asarray(log_p, np.float64)
    if log_true is None:
        return -log_p - entropy
    log_true = np.asarray(log_true, np.float64)
    if log_true.shape != log_p.shape:
        raise ValueError(f"excess_nats needs two log-densities of the same points, got {log_p.shape} and {log_true.shape}")
    return log_true - log_p


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value:g}")
    return value

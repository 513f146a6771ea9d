"""The squared error of each image, and the same in decibels."""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array


def squared_errors(y: Array, x: Array) -> Array:
    """(N, ...) and (N, ...) -> the mean over each row of (y - x)^2: (N,), summed in float64. ValueError where shapes differ."""
    if y.shape != x.shape or x.ndim < 2:
        raise ValueError(f"squared_errors needs two arrays (N, ...) of one shape, got {y.shape} and {x.shape}")
    error = (y - x).reshape(len(x), math.prod(x.shape[1:]))
    return np.square(error, dtype=np.float64).mean(1)


def psnr(y: Array, x: Array) -> Array:
    """The peak signal to noise ratio of each row in decibels, -10 log10 of its mean squared error, for pixels in [0, 1]: (N,).

    Infinite where a row is the same. The mean of decibels over images is not the decibels of the mean error.
    """
    with np.errstate(divide="ignore"):
        return -10 * np.log10(squared_errors(y, x))

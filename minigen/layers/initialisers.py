"""First values of parameters: each a function (key, shape) -> array, float64.

A weight is (inputs, outputs) or (kh, kw, inputs, outputs): its fan-in is the number of inputs that meet in one output, the
product of all axes but the last.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, Shape
from ..random import Key
from .vector import Initialiser


def zeros(key: Key, shape: Shape) -> Array:
    """0."""
    return np.zeros(shape)


def ones(key: Key, shape: Shape) -> Array:
    """1."""
    return np.ones(shape)


def normal(std: float, mean: float = 0.0) -> Initialiser:
    """N(mean, std^2)."""
    return lambda key, shape: mean + std * key.normal(shape, np.float64)


def fan_in(shape: Shape) -> int:
    """The number of inputs that meet in one output."""
    return max(1, math.prod(shape[:-1]))


def fan_in_uniform(key: Key, shape: Shape) -> Array:
    """U(-a, a) with a = 1 / sqrt(fan_in): variance 1 / (3 fan_in), what PyTorch draws for its linear and convolution layers."""
    return (2 * key.uniform(shape, np.float64) - 1) / math.sqrt(fan_in(shape))


def he_normal(key: Key, shape: Shape) -> Array:
    """N(0, 2 / fan_in): keeps the second moment through ReLU layers (He et al. 2015)."""
    return key.normal(shape, np.float64) * math.sqrt(2 / fan_in(shape))


def glorot_uniform(key: Key, shape: Shape) -> Array:
    """U(-a, a) with a = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    receptive = math.prod(shape[:-2])
    return (2 * key.uniform(shape, np.float64) - 1) * math.sqrt(6 / (receptive * (shape[-2] + shape[-1])))

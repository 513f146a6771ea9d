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


def uniform(bound: float) -> Initialiser:
    """U(-bound, bound)."""
    return lambda key, shape: bound * (2 * key.uniform(shape, np.float64) - 1)


def side_by_side(initialiser: Initialiser, groups: int) -> Initialiser:
    """The weights of `groups` layers beside each other along the last axis, each drawn by itself.

    What an initialiser asks about (fans, orthogonal columns) is a property of one group: the outputs of two have no input in
    common.
    """
    if groups == 1:
        return initialiser

    def grouped(key: Key, shape: Shape) -> Array:
        one = (*shape[:-1], shape[-1] // groups)
        return np.concatenate([initialiser(part, one) for part in key.split(groups)], -1)

    return grouped


def fan_in(shape: Shape) -> int:
    """The number of inputs that meet in one output."""
    return max(1, math.prod(shape[:-1]))


def fan_in_uniform(key: Key, shape: Shape) -> Array:
    """U(-a, a) with a = 1 / sqrt(fan_in): variance 1 / (3 fan_in), what PyTorch draws for its linear and convolution layers."""
    return (2 * key.uniform(shape, np.float64) - 1) / math.sqrt(fan_in(shape))


def lecun_normal(key: Key, shape: Shape) -> Array:
    """N(0, 1 / fan_in): keeps the second moment through linear layers, and what SELU asks for (LeCun et al. 1998)."""
    return key.normal(shape, np.float64) / math.sqrt(fan_in(shape))


def he_normal(key: Key, shape: Shape) -> Array:
    """N(0, 2 / fan_in): keeps the second moment through ReLU layers (He et al. 2015)."""
    return key.normal(shape, np.float64) * math.sqrt(2 / fan_in(shape))


def fans(shape: Shape) -> int:
    """fan_in + fan_out: the inputs that meet in one output, and the outputs that one input meets."""
    if len(shape) < 2:
        raise ValueError(f"a parameter of shape {shape} has no inputs and outputs: use zeros, ones or normal(std) for it")
    return math.prod(shape[:-2]) * (shape[-2] + shape[-1])


def glorot_uniform(key: Key, shape: Shape) -> Array:
    """U(-a, a) with a = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return (2 * key.uniform(shape, np.float64) - 1) * math.sqrt(6 / fans(shape))


def glorot_normal(key: Key, shape: Shape) -> Array:
    """N(0, 2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return key.normal(shape, np.float64) * math.sqrt(2 / fans(shape))


def orthogonal(key: Key, shape: Shape) -> Array:
    """A random matrix (all axes but the last, the last) with W'W = 1, or WW' = 1 where it is wide (Saxe et al. 2014).

    Q of a QR decomposition of normal numbers; with the signs of R's diagonal it is uniform over all such matrices.
    """
    fans(shape)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    Q, R = np.linalg.qr(key.normal((max(rows, columns), min(rows, columns)), np.float64))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)
    return (Q if rows >= columns else Q.T).reshape(shape)


INITIALISERS: dict[str, Initialiser] = {
    "zeros": zeros,
    "ones": ones,
    "normal": normal(1.0),
    "fan_in_uniform": fan_in_uniform,
    "lecun_normal": lecun_normal,
    "he_normal": he_normal,
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "orthogonal": orthogonal,
}


def by_name(name: str) -> Initialiser:
    """The initialiser called `name`; `"normal"` is N(0, 1). Raises ValueError with the names there are."""
    try:
        return INITIALISERS[name]
    except KeyError:
        raise ValueError(f"unknown initialiser {name!r}: choose one of {', '.join(map(repr, INITIALISERS))}") from None

"""Arithmetic with codes: what a line and a direction in code space mean.

The mean code of images that have something (a class, a bold face), minus the mean code of those that have not, is a direction;
an image whose code is moved along it gains what they have (Radford et al. 2016; for faces Larsen et al. 2016).

    moved = decode(code(x) + t direction)

It works for a model with `encode` and `decode`, as the autoencoders and the VAEs; of a VAE the code is the posterior's mean.
N images, K codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, device_of, to_device


def code_of(model: Any, x: Array) -> Array:
    """One code for each image, (N, K): `encode`, or where that is a distribution its mean."""
    encoded = model.encode(x)
    return encoded[0] if isinstance(encoded, tuple) else encoded


def line(ends: Array, steps: int) -> Array:
    """(2, ...) -> (steps, ...): points at equal distances on the straight line from the first to the second, both included."""
    t = np.linspace(0, 1, steps, dtype=ends.dtype).reshape(-1, *[1] * (ends.ndim - 1))  # (steps, 1, ...)
    t = to_device(t, device_of(ends))
    between: Array = (1 - t) * ends[0] + t * ends[1]
    return between


def direction(model: Any, having: Array, lacking: Array) -> Array:
    """mean code of the images `having` - mean code of the images `lacking`: (K,). Raises ValueError where either is empty."""
    if not len(having) or not len(lacking):
        raise ValueError(f"a direction needs images on both sides, got {len(having)} and {len(lacking)}")
    return code_of(model, having).mean(0) - code_of(model, lacking).mean(0)


def moved(model: Any, x: Array, along: Array, amounts: Array) -> Array:
    """x (N, *shape) with codes moved by each of T amounts along (K,): (N, T, *shape)."""
    codes = code_of(model, x)[:, None] + np.asarray(amounts, along.dtype)[:, None] * along  # (N, T, K)
    images = model.decode(codes.reshape(-1, codes.shape[-1]))
    return images.reshape(*codes.shape[:2], *images.shape[1:])

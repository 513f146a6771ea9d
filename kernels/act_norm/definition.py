"""A gain and a bias for every channel (Kingma and Dhariwal 2018, section 3.1), plainly.

    forward     z = x e^s + b,  logdet = P sum s          inverse    x = (z - b) e^-s,  logdet = -P sum s
    gradient    dx = dz e^s,  ds = sum dx x + P sum dlogdet,  db = sum dz, over rows and positions

Legend: N rows, P positions, C channels. x, z, dz, dx (N, P, C); s, b, ds, db (C,); logdet, dlogdet (N,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, zeros


def forward(x: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> z, logdet."""
    return x * np.exp(s) + b, on_every_row(x.shape[1] * s.sum(), x)


def inverse(z: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> x, logdet."""
    return (z - b) * np.exp(-s), on_every_row(-z.shape[1] * s.sum(), z)


def gradient(dz: Array, dlogdet: Array, x: Array, s: Array, *, sums: bool = True) -> tuple[Array, Array | None, Array | None]:
    """-> dx, ds, db."""
    dx = dz * np.exp(s)
    if not sums:
        return dx, None, None
    return dx, (dx * x).sum((0, 1)) + x.shape[1] * dlogdet.sum(), dz.sum((0, 1))


def on_every_row(logdet: Any, x: Array) -> Array:
    """One number, which is every row's: (N,), in the type of `logdet`."""
    return zeros(len(x), logdet.dtype, like=x) + logdet

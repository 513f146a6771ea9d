"""The affine coupling (Dinh et al. 2017, eq. 4), plainly. h = (r | t), two numbers for each that is moved; with a bound c

    forward     s = c tanh(r / c),  e = e^s,  z = b e + t,  logdet = sum s over all of a row
    inverse     b = (z - t) e^-s,  logdet = -sum s
    gradient    db = dz e,  ds = dz b e + dlogdet,  dr = ds (1 - (s / c)^2),  dt = dz

Without a bound s = r, and its slope is 1. dlogdet, one number a row, stands beside every number of its row.

Legend: N rows, M numbers that are moved, "..." places between. b, z, s, e and dz, db (N, ..., M), h and dh (N, ..., 2 M).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array


def forward(b: Array, h: Array, bound: float | None) -> tuple[Array, Array, Array, Array]:
    """-> z, logdet (N,), s, e."""
    s, t = _parts(h, bound)
    e = np.exp(s)
    return b * e + t, s.sum(tuple(range(1, s.ndim))), s, e


def inverse(z: Array, h: Array, bound: float | None) -> tuple[Array, Array]:
    """-> b, logdet (N,)."""
    s, t = _parts(h, bound)
    return (z - t) * np.exp(-s), -s.sum(tuple(range(1, s.ndim)))


def _parts(h: Array, bound: float | None) -> tuple[Array, Array]:
    """s and t."""
    r, t = np.split(h, 2, -1)
    return r if bound is None else bound * np.tanh(r / bound), t


def gradient(dz: Array, dlogdet: Array, b: Array, s: Array, e: Array, bound: float | None) -> tuple[Array, Array]:
    """-> db, dh."""
    ds = dz * b * e + dlogdet.reshape(-1, *[1] * (b.ndim - 1))
    dr = ds if bound is None else ds * (1 - (s / bound) ** 2)
    return dz * e, np.concatenate((dr, dz), -1)

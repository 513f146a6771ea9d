"""The affine coupling in one pass each way. The formulas are in `definition.py`.

Against the definition: it makes an array for every product and sum, seven passes over memory there and nine back, six in the
inverse, on one thread; here each number is read once, and what is written is the result. tanh and exp are polynomials
(vector_math.py).

Error: with tanh within 8 u and exp within 4 u, of s 10 u |s|; of e (10 c + 4) u e; of z (10 c + 6) u (|b e| + |t|), of the
inverse's b the same of (|z| + |t|) e^-s; of logdet 11 u sum |s|, it is added up in float64. Of the way back, from s and e as
they are given: of db u of itself; of dr 6 u (|dz b e| + |dlogdet|), for the slope is at most 1. u = 2^-24. Without a bound s is
exact: c = 0, and of logdet u sum |s|. Where e would be smaller than a normal float32 it is 0.

Legend: N rows, P places, M numbers that are moved at each. b, z, s, e and dz, db (N, P, M), h and dh (N, P, 2 M).
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import compiled
from ..vector_math import exp, tanh


def forward(b: Array, h: Array, bound: float | None) -> tuple[Array, Array, Array, Array]:
    """-> z, logdet (N,), s, e."""
    z, s, e = (empty_like(b) for _ in range(3))
    logdet = empty(b.shape[:1], b.dtype, like=b)
    move(_planes(b), _planes(h), _planes(z), _planes(s), _planes(e), logdet, b.dtype.type(bound or 0))
    return z, logdet, s, e


def inverse(z: Array, h: Array, bound: float | None) -> tuple[Array, Array]:
    """-> b, logdet (N,)."""
    b, logdet = empty_like(z), empty(z.shape[:1], z.dtype, like=z)
    move_home(_planes(z), _planes(h), _planes(b), logdet, z.dtype.type(bound or 0))
    return b, logdet


def gradient(dz: Array, dlogdet: Array, b: Array, s: Array, e: Array, bound: float | None) -> tuple[Array, Array]:
    """-> db, dh."""
    db, dh = empty_like(b), empty((*b.shape[:-1], 2 * b.shape[-1]), b.dtype, like=b)
    given = _planes(dz), contiguous(dlogdet), _planes(b), _planes(s), _planes(e)
    move_back(*given, _planes(db), _planes(dh), b.dtype.type(bound or 0))
    return db, dh


def _planes(x: Array) -> Array:
    """(N, ..., M) -> (N, P, M), without a copy where x is contiguous."""
    return contiguous(x).reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])


@compiled
def move(b: Array, h: Array, z: Array, s: Array, e: Array, logdet: Array, bound: float) -> None:
    """Fills z, s, e and logdet; a bound of 0 is none."""
    M = b.shape[2]
    for n in prange(b.shape[0]):
        total = 0.0
        for p in range(b.shape[1]):
            r, t, s_np, e_np = h[n, p, :M], h[n, p, M:], s[n, p], e[n, p]
            if bound:
                for m in range(M):
                    s_np[m] = bound * tanh(r[m] / bound)
            else:
                s_np[:] = r
            for m in range(M):
                e_np[m] = exp(s_np[m])
            for m in range(M):
                z[n, p, m] = b[n, p, m] * e_np[m] + t[m]
            for m in range(M):
                total += np.float64(s_np[m])
        logdet[n] = total


@compiled
def move_home(z: Array, h: Array, b: Array, logdet: Array, bound: float) -> None:
    """Fills b and logdet; a bound of 0 is none."""
    M = z.shape[2]
    for n in prange(z.shape[0]):
        total = 0.0
        for p in range(z.shape[1]):
            r, t, s = h[n, p, :M], h[n, p, M:], b[n, p]  # s lies where b will
            if bound:
                for m in range(M):
                    s[m] = bound * tanh(r[m] / bound)
            else:
                s[:] = r
            for m in range(M):
                total -= np.float64(s[m])
            for m in range(M):
                s[m] = (z[n, p, m] - t[m]) * exp(-s[m])
        logdet[n] = total


@compiled
def move_back(dz: Array, dlogdet: Array, b: Array, s: Array, e: Array, db: Array, dh: Array, bound: float) -> None:
    """Fills db and dh; a bound of 0 is none."""
    M, one = b.shape[2], b.dtype.type(1)
    for n in prange(b.shape[0]):
        for p in range(b.shape[1]):
            dr, dt = dh[n, p, :M], dh[n, p, M:]
            for m in range(M):
                d = dz[n, p, m] * e[n, p, m]
                db[n, p, m] = d
                dr[m] = d * b[n, p, m] + dlogdet[n]
                dt[m] = dz[n, p, m]
            if bound:
                for m in range(M):
                    share = s[n, p, m] / bound
                    dr[m] *= one - share * share

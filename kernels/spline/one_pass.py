"""The spline in one pass each way. The formulas are in `definition.py`.

Against the definition: it makes planes of K numbers for all rows, some sixty of them there and as many back. Here a number's
2 K exponentials are taken where h is read, its bin is found by walking along them, and of the K - 1 slopes two are made. For du
no second walk is needed: dp is dx0 before the bin, dw in it and 0 behind it, so sum p dp = dx0 sum_{j<k} p_j + dw p_k.

Error: of X_k and Y_k at most (3 K + 30) u B: K exponentials and their sum, K sizes added. Of z (3 K + 40) u B (1 + f')
therefore; of l and the gradients, which know xi = (b - X_k) / W_k, relative as many u as B / W_k has, as in the definition of
this precision. logdet is added up in float64. u = 2^-24.

Legend: N rows, P places, M numbers that are moved at each. b, z, dz, db (N, P, M), h, dh (N, P, 3 K - 1, M).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import prange
from numba.extending import register_jitable

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import ARITHMETIC, CompiledTwice
from ..vector_math import exactly, exp, sigmoid, softplus
from .definition import FLAT, UNIT

part_of_a_kernel = register_jitable(fastmath=ARITHMETIC)


class Sizes(NamedTuple):
    """What a spline is told beside b and h, in their precision."""

    reach: Any
    least: Any
    share: Any  # 1 - K least
    flat: Any
    unit: Any


class Edge(NamedTuple):
    """Of a bin: its number, left end, size, the softmax before it and its own."""

    k: Any
    start: Any
    size: Any
    below: Any
    part: Any


def forward(b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> z, logdet (N,)."""
    z, logdet = empty_like(b), empty(b.shape[:1], b.dtype)
    bend.of(h.size)(_planes(b), _numbers(h, bins), _planes(z), logdet, _sizes(bins, reach, least, b.dtype))
    return z, logdet


def inverse(z: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> b, logdet (N,)."""
    b, logdet = empty_like(z), empty(z.shape[:1], z.dtype)
    straighten.of(h.size)(_planes(z), _numbers(h, bins), _planes(b), logdet, _sizes(bins, reach, least, z.dtype))
    return b, logdet


def gradient(dz: Array, dlogdet: Array, b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> db, dh."""
    db, dh = empty_like(b), empty_like(h)
    given = _planes(dz), contiguous(dlogdet), _planes(b), _numbers(h, bins)
    bend_back.of(h.size)(*given, _planes(db), _numbers(dh, bins), _sizes(bins, reach, least, b.dtype))
    return db, dh


def _planes(x: Array) -> Array:
    """(N, ..., M) -> (N, P, M), without a copy where x is contiguous."""
    return contiguous(x).reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])


def _numbers(h: Array, bins: int) -> Array:
    """(N, ..., (3 K - 1) M) -> (N, P, 3 K - 1, M)."""
    return _planes(h).reshape(h.shape[0], -1, 3 * bins - 1, h.shape[-1] // (3 * bins - 1))


def _sizes(bins: int, reach: float, least: float, dtype: np.dtype[Any]) -> Sizes:
    return Sizes(*map(dtype.type, (reach, least, 1 - bins * least, FLAT, UNIT)))


@part_of_a_kernel
def fill_softmax(h: Array, first: Any, m: Any, p: Array) -> None:
    """p = the softmax of K numbers of h (3 K - 1, M), from plane `first` on."""
    K, most = p.shape[0], h[first, m]
    for j in range(1, K):
        most = max(most, h[first + j, m])
    total = p.dtype.type(0)
    for j in range(K):
        p[j] = exp(h[first + j, m] - most)
        total += p[j]
    for j in range(K):
        p[j] /= total


@exactly
def edge(p: Array, sizes: Any, place: Any, last: Any) -> Any:
    """The bin in which `place` lies, or bin `last`, where that comes first. Sums from 0 on, not -B, would be twice as large."""
    whole, start, below = sizes.reach + sizes.reach, -sizes.reach, p.dtype.type(0)
    k, size = 0, whole * (sizes.least + sizes.share * p[0])
    while k < last and place >= start + size:
        start += size
        below += p[k]
        k += 1
        size = whole * (sizes.least + sizes.share * p[k])
    return Edge(k, start, size, below, p[k])


@part_of_a_kernel
def slope(h: Array, m: Any, knot: Any, K: Any, sizes: Any) -> Any:
    """S at a knot of 0 to K, 1 at both ends."""
    if knot == 0 or knot == K:
        return h.dtype.type(1)
    return sizes.flat + softplus(h[2 * K + knot - 1, m] + sizes.unit)


@part_of_a_kernel
def names(xi: Any, r: Any, w: Any, height: Any, d0: Any, d1: Any) -> Any:
    """s, m, t, n, D, P, at xi and r = 1 - xi."""
    s, m = height / w, xi * r
    t = d0 + d1 - (s + s)
    return s, m, t, s * xi * xi + d0 * m, s + t * m, d1 * xi * xi + (s + s) * m + d0 * r * r


@part_of_a_kernel
def log_slope(s: Any, D: Any, P: Any) -> Any:
    """l."""
    return math.log(s * s * P / (D * D))


@CompiledTwice
def bend(b: Array, h: Array, z: Array, logdet: Array, sizes: Any) -> None:
    """Fills z and logdet."""
    K, one = (h.shape[2] + 1) // 3, b.dtype.type(1)
    for n in prange(b.shape[0]):
        p, q = np.empty(K, b.dtype), np.empty(K, b.dtype)
        total = 0.0
        for place in range(b.shape[1]):
            for m in range(b.shape[2]):
                x, told = b[n, place, m], h[n, place]
                if not (-sizes.reach < x < sizes.reach):
                    z[n, place, m] = x
                    continue
                fill_softmax(told, 0, m, p)
                fill_softmax(told, K, m, q)
                along = edge(p, sizes, x, K - 1)
                up = edge(q, sizes, b.dtype.type(np.inf), along.k)
                d0, d1 = slope(told, m, along.k, K, sizes), slope(told, m, along.k + 1, K, sizes)
                xi = (x - along.start) / along.size
                s, _, _, over, D, P = names(xi, one - xi, along.size, up.size, d0, d1)
                z[n, place, m] = up.start + up.size * over / D
                total += np.float64(log_slope(s, D, P))
        logdet[n] = total


@CompiledTwice
def straighten(z: Array, h: Array, b: Array, logdet: Array, sizes: Any) -> None:
    """Fills b and logdet."""
    K, zero, one, two, four = (h.shape[2] + 1) // 3, z.dtype.type(0), z.dtype.type(1), z.dtype.type(2), z.dtype.type(4)
    for n in prange(z.shape[0]):
        p, q = np.empty(K, z.dtype), np.empty(K, z.dtype)
        total = 0.0
        for place in range(z.shape[1]):
            for m in range(z.shape[2]):
                y, told = z[n, place, m], h[n, place]
                if not (-sizes.reach < y < sizes.reach):
                    b[n, place, m] = y
                    continue
                fill_softmax(told, 0, m, p)
                fill_softmax(told, K, m, q)
                up = edge(q, sizes, y, K - 1)
                along = edge(p, sizes, z.dtype.type(np.inf), up.k)
                d0, d1 = slope(told, m, up.k, K, sizes), slope(told, m, up.k + 1, K, sizes)
                v, s = y - up.start, up.size / along.size
                bent = v * (d0 + d1 - two * s)
                square, straight = up.size * (s - d0) + bent, up.size * d0 - bent
                root = straight * straight + four * square * s * v  # not negative, but for rounding
                xi = two * s * v / (straight + math.sqrt(zero if root < zero else root))
                xi = one if xi > one else (zero if xi < zero else xi)  # rounding must not leave the bin; NaN stays
                s, _, _, _, D, P = names(xi, one - xi, along.size, up.size, d0, d1)
                b[n, place, m] = along.start + xi * along.size
                total -= np.float64(log_slope(s, D, P))
        logdet[n] = total


@CompiledTwice
def bend_back(dz: Array, dlogdet: Array, b: Array, h: Array, db: Array, dh: Array, sizes: Any) -> None:
    """Fills db and dh."""
    K, zero, one, two = (h.shape[2] + 1) // 3, b.dtype.type(0), b.dtype.type(1), b.dtype.type(2)
    gain = two * sizes.reach * sizes.share
    for n in prange(b.shape[0]):
        p, q = np.empty(K, b.dtype), np.empty(K, b.dtype)
        for place in range(b.shape[1]):
            for m in range(b.shape[2]):
                x, dy, dl, told, back = b[n, place, m], dz[n, place, m], dlogdet[n], h[n, place], dh[n, place]
                if not (-sizes.reach < x < sizes.reach):
                    db[n, place, m] = dy
                    for j in range(3 * K - 1):
                        back[j, m] = zero
                    continue
                fill_softmax(told, 0, m, p)
                fill_softmax(told, K, m, q)
                along = edge(p, sizes, x, K - 1)
                up, k = edge(q, sizes, b.dtype.type(np.inf), along.k), along.k
                w, height = along.size, up.size
                d0, d1 = slope(told, m, k, K, sizes), slope(told, m, k + 1, K, sizes)
                xi = (x - along.start) / w
                r = one - xi
                s, mid, t, over, D, P = names(xi, r, w, height, d0, d1)

                dn = dy * height / D
                dD = -(dn * over + two * dl) / D
                dP = dl / P
                dm = dn * d0 + dD * t + two * dP * s
                ds = two * dl / s + dn * xi * xi + dD * (one - two * mid) + two * dP * mid
                dxi = two * (dn * s + dP * d1) * xi - two * dP * d0 * r + dm * (one - two * xi)
                dx = dxi / w
                dheight, dw = dy * over / D + ds / w, -(dxi * xi + ds * s) / w
                db[n, place, m] = dx
                mean = -dx * along.below + dw * along.part  # of dp; dx0 = -dx, dy0 = dy
                for j in range(K):
                    back[j, m] = gain * p[j] * ((-dx if j < k else (dw if j == k else zero)) - mean)
                mean = dy * up.below + dheight * up.part
                for j in range(K):
                    back[K + j, m] = gain * q[j] * ((dy if j < k else (dheight if j == k else zero)) - mean)
                first = last = zero  # dg of the slopes at either end of the bin
                if k > 0:
                    first = ((dn + dD) * mid + dP * r * r) * sigmoid(told[2 * K + k - 1, m] + sizes.unit)
                if k < K - 1:
                    last = (dD * mid + dP * xi * xi) * sigmoid(told[2 * K + k, m] + sizes.unit)
                for j in range(K - 1):
                    back[2 * K + j, m] = first if j == k - 1 else (last if j == k else zero)

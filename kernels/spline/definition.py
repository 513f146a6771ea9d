"""Monotone rational-quadratic splines (Gregory and Delbourgo 1982; Durkan et al. 2019, eqs. 4 to 8), plainly.

h says 3 K - 1 numbers for each number b: u, v for the widths and heights of K bins, g for the slopes at the K - 1 inner knots.

    W = 2 B (c + (1 - K c) softmax(u))    H the same of v    c = `least`, the least part of 2 B that a bin may have
    X_k = -B + sum_{j<k} W_j              Y_k the same of H
    S = FLAT + softplus(g + UNIT),  1 at both ends        all zeros: bins of one size, slopes of 1, the identity

Outside (-B, B), B = `reach`, it is the identity. The bin k of b is found by counting; `gather` picks (X_k, W_k, Y_k, H_k, S_k,
S_k+1), which is linear in (W, H, S), and `scatter` is its transpose: a gradient of W_k goes to W_k, one of X_k to every W_j,
j < k. Back through the rest

    softmax    du = p (dp - sum p dp)      softplus    dg = sigmoid dS

The bin reaches from (x0, y0) to (x0 + w, y0 + h); there the slopes are d0 and d1. With xi = (x - x0) / w and r = 1 - xi:

    s = h / w    m = xi r    t = d0 + d1 - 2 s
    n = s xi^2 + d0 m    D = s + t m    P = d1 xi^2 + 2 s m + d0 r^2
    y = y0 + h n / D                         log dy/dx = l = 2 log s + log P - 2 log D

n / D rises from 0 to 1. s, d0 and d1 are positive, hence so are P and D, which lies between s (m = 0) and (2 s + d0 + d1) / 4
(m = 1/4), and y rises with x.

Backward from dy and dl, in the reverse order: each line is the gradient of a name above, collected over all its uses.

    dn = dy h / D    dD = -(dn n + 2 dl) / D    dP = dl / P    dm = dn d0 + dD t + 2 dP s
    ds = 2 dl / s + dn xi^2 + dD (1 - 2 m) + 2 dP m
    dd0 = (dn + dD) m + dP r^2    dd1 = dD m + dP xi^2
    dxi = 2 (dn s + dP d1) xi - 2 dP d0 r + dm (1 - 2 xi)
    dx = dxi / w = -dx0    dy0 = dy    dh = dy n / D + ds / w    dw = -(dxi xi + ds s) / w

Inverse: n / D = (y - y0) / h is a quadratic equation for xi.

Legend: N rows, M numbers that are moved, "..." places between. b, z (N, ..., M), h (N, ..., (3 K - 1) M): planes of M numbers
side by side. Within, planes come first, (K, N, ..., M). Which bin, and whether b is inside, are constants of a call.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from minigen.backend import Array, resident

from ..activation.definition import forward as activated
from ..activation.definition import sigmoid
from ..combine import concatenate

FLAT = 1e-5  # the least slope at a knot: of 0 there would be no logarithm
UNIT = math.log(math.expm1(1 - FLAT))  # FLAT + softplus(UNIT) = 1


class Knots(NamedTuple):
    """What h says, or its tangent."""

    p: Array  # (K, N, ..., M), the softmax of u
    q: Array  # the same of v
    S: Array  # (K - 1, N, ..., M)
    g: Array  # (K - 1, N, ..., M), shifted: S = FLAT + softplus(g)


class Bin(NamedTuple):
    """The bin that a number falls into; also a gradient or a tangent of one."""

    x0: Array
    w: Array
    y0: Array
    h: Array
    d0: Array
    d1: Array


class Inside(NamedTuple):
    """What the formulas above name, or its tangent."""

    xi: Array
    s: Array
    m: Array
    t: Array
    n: Array
    D: Array
    P: Array


class Traced(NamedTuple):
    """All that lies between (b, h) and (z, logdet), or its tangent."""

    inside: Array  # (N, ..., M) bool
    k: Array  # (N, ..., M) integers, the bin
    knots: Knots
    at: Bin
    here: Inside


def forward(b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> z, logdet (N,)."""
    inside, _, _, at, here = trace(b, h, bins=bins, reach=reach, least=least)
    z, l = rq_value(at, here)
    return np.where(inside, z, b), sum_rows(inside * l)


def inverse(z: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> b, logdet (N,)."""
    inside = (z.real > -reach) & (z.real < reach)
    z_in = np.where(inside, z, 0)
    at = find(knots_of(h, bins), z_in, bins, reach, least, of_z=True)[1]
    b, l = rq_inverse(z_in, at)
    return np.where(inside, b, z), -sum_rows(inside * l)


def gradient(dz: Array, dlogdet: Array, b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> db, dh."""
    inside, k, knots, at, here = trace(b, h, bins=bins, reach=reach, least=least)
    dl = dlogdet.reshape(-1, *[1] * (b.ndim - 1))
    db, dat = rq_backward(dz * inside, dl * inside, at, here)
    dW, dH, dS = scatter(dat, k, bins)
    gain = gain_of(bins, reach, least)
    du, dv = softmax_back(gain * dW, knots.p), softmax_back(gain * dH, knots.q)
    return db + dz * ~inside, flat(concatenate((du, dv, dS * sigmoid(knots.g))))


def trace(b: Array, h: Array, *, bins: int, reach: float, least: float) -> Traced:
    """What z, logdet, and the gradient and tangent of both are made of."""
    inside = (b.real > -reach) & (b.real < reach)
    b_in, knots = np.where(inside, b, 0), knots_of(h, bins)
    k, at = find(knots, b_in, bins, reach, least)
    return Traced(inside, k, knots, at, rq_names((b_in - at.x0) / at.w, at))


def sum_rows(x: Array) -> Array:
    """(N, ...) -> (N,)."""
    total: Array = x.sum(tuple(range(1, x.ndim)))
    return total


# ---- from the network's numbers to a bin, and back


def knots_of(h: Array, bins: int) -> Knots:
    """h (N, ..., P M) -> softmaxes and slopes, planes first."""
    planes = planes_of(h, bins)
    g = planes[2 * bins :] + UNIT
    return Knots(softmax(planes[:bins]), softmax(planes[bins : 2 * bins]), FLAT + activated("softplus", g), g)


def find(knots: Knots, x: Array, bins: int, reach: float, least: float, of_z: bool = False) -> tuple[Array, Bin]:
    """The bin k of a number b, or of z: the number of inner knots that are not above it; and where it lies."""
    W, H = (2 * reach * (least + (1 - bins * least) * p) for p in (knots.p, knots.q))
    X, Y = running_sum(W), running_sum(H)
    k = (x.real + reach >= (Y if of_z else X)[:-1].real).sum(0)
    return k, gather(W, X, H, Y, knots.S, k, start=-reach, end=1)


def gain_of(bins: int, reach: float, least: float) -> float:
    """dW/dp."""
    return 2 * reach * (1 - bins * least)


def planes_of(h: Array, bins: int) -> Array:
    """(N, ..., P M) -> (P, N, ..., M), contiguous: sums over planes are then sums of rows."""
    P = 3 * bins - 1
    parts = h.reshape(*h.shape[:-1], P, h.shape[-1] // P)
    return np.moveaxis(parts, -2, 0).copy()


def flat(planes: Array) -> Array:
    """(P, N, ..., M) -> (N, ..., P M)."""
    parts = np.moveaxis(planes, 0, -2).copy()
    return parts.reshape(*parts.shape[:-2], parts.shape[-2] * parts.shape[-1])


def running_sum(sizes: Array) -> Array:
    """sum_{j<=k} of planes. Row by row: NumPy's cumsum goes through memory column by column, many times slower."""
    ends = sizes.copy()
    for k in range(1, len(ends)):
        ends[k] += ends[k - 1]
    return ends


def gather(W: Array, X: Array, H: Array, Y: Array, S: Array, k: Array, start: float, end: float) -> Bin:
    """The bins k, of sizes W and H with running sums X and Y, and inner slopes S. `start` is the first knot, `end` the slope at
    both ends; both are 0 for tangents, for the rest is linear."""
    last = len(W) - 1
    before, after = np.maximum(k - 1, 0), np.minimum(k, last - 1)

    def pick(planes: Array, i: Array) -> Array:
        return np.take_along_axis(planes, i[None], 0)[0]

    def pick_before(planes: Array, first: float) -> Array:
        return np.where(k > 0, pick(planes, before), first)

    x0, y0, d0 = start + pick_before(X, 0), start + pick_before(Y, 0), pick_before(S, end)
    return Bin(x0, pick(W, k), y0, pick(H, k), d0, np.where(k < last, pick(S, after), end))


@cache
def _counted(bins: int) -> Array:
    """0 .. bins - 1."""
    return np.arange(bins)


def scatter(d: Bin, k: Array, bins: int) -> tuple[Array, Array, Array]:
    """dW, dH (K, ...) and dS (K - 1, ...): the transpose of `gather`."""
    j = resident(_counted(bins), k).reshape(-1, *[1] * k.ndim)
    below, at, end = j < k, j == k, j[:-1]
    return below * d.x0 + at * d.w, below * d.y0 + at * d.h, (end == k - 1) * d.d0 + (end == k) * d.d1


def softmax(u: Array) -> Array:
    """Over the first axis, (K, ...): of sum 1."""
    e = np.exp(u - u.real.max(0))
    e /= e.sum(0)
    return e


def softmax_back(dp: Array, p: Array) -> Array:
    """du = p (dp - sum p dp); its Jacobian is symmetric, so that p_dot of u_dot is the same."""
    return p * (dp - (p * dp).sum(0))


# ---- one bin


def rq_value(at: Bin, here: Inside) -> tuple[Array, Array]:
    """y and l."""
    return at.y0 + at.h * here.n / here.D, log_slope(here)


def rq_names(xi: Array, at: Bin) -> Inside:
    """The names at a place xi of the bin."""
    d0, d1 = at.d0, at.d1
    r = 1 - xi
    s, m = at.h / at.w, xi * r
    t = d0 + d1 - 2 * s
    return Inside(xi, s, m, t, s * xi * xi + d0 * m, s + t * m, d1 * xi * xi + 2 * s * m + d0 * r * r)


def log_slope(here: Inside) -> Array:
    """l = log dy/dx."""
    l: Array = np.log(here.s * here.s * here.P / (here.D * here.D))
    return l


def rq_inverse(y: Array, at: Bin) -> tuple[Array, Array]:
    """x and l there. xi solves a xi^2 + b xi = s v, in the form that loses no digits where a is small (Durkan et al. 2019)."""
    v, s = y - at.y0, at.h / at.w
    vt = v * (at.d0 + at.d1 - 2 * s)
    a, b = at.h * (s - at.d0) + vt, at.h * at.d0 - vt
    root = b * b + 4 * a * s * v  # not negative, but for rounding where the slope is nearly 0
    xi = 2 * s * v / (b + np.sqrt(root * (root.real > 0)))
    xi = np.where(xi.real < 1, xi * (xi.real > 0), 1)  # rounding must not leave the bin
    return at.x0 + xi * at.w, log_slope(rq_names(xi, at))


def rq_backward(dy: Array, dl: Array, at: Bin, here: Inside) -> tuple[Array, Bin]:
    """dx and the gradient of the bin."""
    _, w, _, h, d0, d1 = at
    xi, s, m, t, n, D, P = here
    r = 1 - xi
    dn = dy * h / D
    dD = -(dn * n + 2 * dl) / D
    dP = dl / P
    dm = dn * d0 + dD * t + 2 * dP * s
    ds = 2 * dl / s + dn * xi * xi + dD * (1 - 2 * m) + 2 * dP * m
    dxi = 2 * (dn * s + dP * d1) * xi - 2 * dP * d0 * r + dm * (1 - 2 * xi)
    dx = dxi / w
    dh, dw = dy * n / D + ds / w, -(dxi * xi + ds * s) / w
    return dx, Bin(-dx, dw, dy, dh, (dn + dD) * m + dP * r * r, dD * m + dP * xi * xi)

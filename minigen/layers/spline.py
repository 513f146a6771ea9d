"""Rational-quadratic spline couplings (Durkan et al. 2019, "Neural spline flows"): for densities with holes.

An affine coupling stretches a line as a whole; a spline stretches each of its K bins by itself. On [-B, B] it is made of K
monotone rational-quadratic pieces (rational_quadratic.py), outside it is the identity. The network gives 3 K - 1 numbers for
each number that is moved: u, v for widths and heights, g for the slopes at the K - 1 inner knots.

    W = 2 B (c + (1 - K c) softmax(u))    H the same of v    c = `least`, the least part of 2 B that a bin may have
    X_k = -B + sum_{j<k} W_j              Y_k the same of H
    S = FLAT + softplus(g + UNIT),  1 at both ends        all zeros: bins of one size, slopes of 1, the identity

`knots` makes these of h; the bin k of x is found by counting; `gather` picks (X_k, W_k, Y_k, H_k, S_k, S_k+1), which is linear
in (W, H, S), and `scatter` is its transpose: a gradient of W_k goes to W_k, one of X_k to every W_j, j < k. Then

    softmax    du = p (dp - sum p dp)      du_dot by the product rule      softplus    dg = sigmoid dS

Legend: planes first, (K, N, ..., M); b, z (N, ..., M). Which bin, and whether x is inside, are constants of a call.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from ..backend import Array, concatenate, resident
from ..random import Key
from .coupling import Coupling, Transform, sum_rows, zeros_for_none
from .elementwise import sigmoid, softplus
from .layer import Layer
from .rational_quadratic import Bin, Inside, rq_backward, rq_backward_dot, rq_forward, rq_forward_dot, rq_inverse
from .tree import Tree

FLAT = 1e-5  # the least slope at a knot: of 0 there would be no logarithm
UNIT = math.log(math.expm1(1 - FLAT))  # FLAT + softplus(UNIT) = 1


class Knots(NamedTuple):
    """What h says, or its tangent."""

    p: Array  # (K, N, ..., M), the softmax of u
    q: Array  # the same of v
    S: Array  # (K - 1, N, ..., M)
    g: Array  # (K - 1, N, ..., M), shifted: S = FLAT + softplus(g)


class SplineCache(NamedTuple):
    inside: Array  # (N, ..., M) bool
    k: Array  # (N, ..., M) integers, the bin
    knots: Knots
    at: Bin
    here: Inside


class Spline(Transform):
    """b -> a monotone rational-quadratic spline of `bins` bins on [-reach, reach], with the identity outside.

    `least` is the least part of the whole that a bin's width or height may have. Raises ValueError where that is too much, and
    where h does not fit.
    """

    def __init__(self, bins: int = 8, reach: float = 5.0, least: float = 1e-4) -> None:
        super().__init__()
        if bins < 2 or not 0 <= bins * least < 1:
            raise ValueError(f"Spline: {bins} bins, each at least {least} of the whole: at least 2, and together less than 1")
        self.bins, self.reach, self.least = bins, reach, least
        self.planes = 3 * bins - 1

    # ---- from the network's numbers to a bin

    def knots(self, h: Array) -> Knots:
        """h (N, ..., P M) -> softmaxes and slopes, planes first."""
        K, planes = self.bins, self.planes_of(h)
        g = planes[2 * K :] + UNIT
        return Knots(softmax(planes[:K]), softmax(planes[K : 2 * K]), FLAT + softplus(g), g)

    def sizes(self, p: Array) -> Array:
        """Widths or heights, of their softmax."""
        return 2 * self.reach * (self.least + (1 - self.bins * self.least) * p)

    @property
    def gain(self) -> float:
        """dW/dp."""
        return 2 * self.reach * (1 - self.bins * self.least)

    def find(self, x: Array, ends: Array) -> Array:
        """The bin of x among those that end there, seen from -reach: the number of inner knots that are not above it."""
        return (x.real + self.reach >= ends[:-1].real).sum(0)

    def bin(self, knots: Knots, x: Array, of_z: bool = False) -> tuple[Array, Bin]:
        """The bin k of a number b, or of z, and where it lies."""
        W, H = self.sizes(knots.p), self.sizes(knots.q)
        X, Y = running_sum(W), running_sum(H)
        k = self.find(x, Y if of_z else X)
        return k, gather(W, X, H, Y, knots.S, k, start=-self.reach, end=1)

    def planes_of(self, h: Array) -> Array:
        """(N, ..., P M) -> (P, N, ..., M), contiguous: sums over planes are then sums of rows."""
        parts = h.reshape(*h.shape[:-1], self.planes, h.shape[-1] // self.planes)
        return np.moveaxis(parts, -2, 0).copy()

    @staticmethod
    def flat(planes: Array) -> Array:
        """(P, N, ..., M) -> (N, ..., P M)."""
        parts = np.moveaxis(planes, 0, -2).copy()
        return parts.reshape(*parts.shape[:-2], parts.shape[-2] * parts.shape[-1])

    # ---- the four passes

    def forward(self, x: Tree, *, train: bool = False, key: Key | None = None) -> tuple[Tree, SplineCache]:
        b, h = x
        self.check(b, h)
        inside = (b.real > -self.reach) & (b.real < self.reach)
        b_in = np.where(inside, b, 0)
        knots = self.knots(h)
        k, at = self.bin(knots, b_in)
        z, l, here = rq_forward(b_in, at)
        return (np.where(inside, z, b), sum_rows(inside * l)), SplineCache(inside, k, knots, at, here)

    def inverse(self, z: Array, h: Array) -> tuple[Array, Array]:
        inside = (z.real > -self.reach) & (z.real < self.reach)
        z_in = np.where(inside, z, 0)
        knots = self.knots(h)
        b, l = rq_inverse(z_in, self.bin(knots, z_in, of_z=True)[1])
        return np.where(inside, b, z), -sum_rows(inside * l)

    def backward(self, dy: Tree, cache: SplineCache, *, need_dx: bool = True, param_grads: bool = True) -> Tree:
        if not need_dx:
            return None
        inside, k, knots, at, here = cache
        dz, dl = zeros_for_none(dy, here.xi)
        db, dat = rq_backward(dz * inside, dl * inside, at, here)
        dW, dH, dS = scatter(dat, k, self.bins)
        du = softmax_back(self.gain * dW, knots.p)
        dv = softmax_back(self.gain * dH, knots.q)
        return db + dz * ~inside, self.flat(concatenate((du, dv, dS * sigmoid(knots.g))))

    def jvp(self, x_dot: Tree, cache: SplineCache, *, move_params: bool = False) -> tuple[Tree, SplineCache]:
        (b_dot, h_dot), (inside, k, knots, at, here) = x_dot, cache
        K, planes = self.bins, self.planes_of(h_dot)
        p_dot, q_dot = softmax_back(planes[:K], knots.p), softmax_back(planes[K : 2 * K], knots.q)  # symmetric
        g_dot = planes[2 * K :]
        S_dot = sigmoid(knots.g) * g_dot
        W_dot, H_dot = self.gain * p_dot, self.gain * q_dot
        at_dot = gather(W_dot, running_sum(W_dot), H_dot, running_sum(H_dot), S_dot, k, start=0, end=0)
        z_dot, l_dot, here_dot = rq_forward_dot(b_dot, at, at_dot, here)
        y_dot = np.where(inside, z_dot, b_dot), sum_rows(inside * l_dot)
        return y_dot, SplineCache(inside, k, Knots(p_dot, q_dot, S_dot, g_dot), at_dot, here_dot)

    def backward_jvp(
        self,
        dy: Tree,
        dy_dot: Tree,
        cache: SplineCache,
        tangents: SplineCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Tree, Tree]:
        if not need_dx:
            return None, None
        inside, k, knots, at, here = cache
        moved = tangents.knots
        (dz, dl), (dz_dot, dl_dot) = (zeros_for_none(d, here.xi) for d in (dy, dy_dot))
        each = (dz * inside, dl * inside, dz_dot * inside, dl_dot * inside)
        db, dat, db_dot, dat_dot = rq_backward_dot(*each, at, tangents.at, here, tangents.here)
        (dW, dH, dS), (dW_dot, dH_dot, dS_dot) = (scatter(d, k, self.bins) for d in (dat, dat_dot))
        s = sigmoid(knots.g)
        du, du_dot = softmax_back_dot(self.gain * dW, self.gain * dW_dot, knots.p, moved.p)
        dv, dv_dot = softmax_back_dot(self.gain * dH, self.gain * dH_dot, knots.q, moved.q)
        dg, dg_dot = dS * s, dS_dot * s + dS * s * (1 - s) * moved.g
        dx = db + dz * ~inside, self.flat(concatenate((du, dv, dg)))
        return dx, (db_dot + dz_dot * ~inside, self.flat(concatenate((du_dot, dv_dot, dg_dot))))


class SplineCoupling(Coupling):
    """The coupling of neural spline flows; see `Spline` for bins and reach, `Coupling` for `net`, `flip` and `mask`."""

    def __init__(
        self,
        net: Layer,
        *,
        bins: int = 8,
        reach: float = 5.0,
        least: float = 1e-4,
        flip: bool = False,
        mask: Array | None = None,
    ) -> None:
        super().__init__(net, Spline(bins, reach, least), flip=flip, mask=mask)


# ---- the bin of each number, and back


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


# ---- the softmax over the first axis


def softmax(u: Array) -> Array:
    """(K, ...), of sum 1."""
    e = np.exp(u - u.real.max(0))
    e /= e.sum(0)
    return e


def softmax_back(dp: Array, p: Array) -> Array:
    """du = p (dp - sum p dp); its Jacobian is symmetric, so that p_dot of u_dot is the same."""
    return p * (dp - (p * dp).sum(0))


def softmax_back_dot(dp: Array, dp_dot: Array, p: Array, p_dot: Array) -> tuple[Array, Array]:
    """du, and du_dot = p_dot (dp - sum p dp) + p (dp_dot - sum (p_dot dp + p dp_dot))."""
    centred = dp - (p * dp).sum(0)
    return p * centred, p_dot * centred + p * (dp_dot - (p_dot * dp + p * dp_dot).sum(0))

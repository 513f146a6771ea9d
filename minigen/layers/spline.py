"""Rational-quadratic spline couplings (Durkan et al. 2019, "Neural spline flows"): for densities with holes.

An affine coupling stretches a line as a whole; a spline stretches each of its K bins by itself. On [-B, B] it is made of K
monotone rational-quadratic pieces, outside it is the identity. The network gives 3 K - 1 numbers for each number that is moved,
from which come the bins' widths and heights and the slopes at the inner knots. What they are made of, the function, its inverse
and its gradient are kernels/spline: definition.py has the derivation, whose lines are differentiated once more here and in
rational_quadratic.py. For the tangent of h = (u | v | g)

    softmax    p_dot = p (u_dot - sum p u_dot)             softplus    S_dot = sigmoid g_dot
               du = p (dp - sum p dp), du_dot by the product rule        dg_dot = d/dt (dS sigmoid)

and `gather` of (W_dot, H_dot, S_dot) is the tangent of a bin, since it is linear. The cache is (b, h): to make the bin again
takes less than to write it and read it.

Legend: planes first, (K, N, ..., M); b, z (N, ..., M). Which bin, and whether b is inside, are constants of a call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..kernels import spline
from ..kernels.combine import concatenate
from ..kernels.spline.definition import (
    Knots,
    Traced,
    flat,
    gain_of,
    gather,
    planes_of,
    running_sum,
    scatter,
    softmax_back,
    sum_rows,
    trace,
)
from ..random import Key
from .coupling import Coupling, Transform, with_zeros, zeros_for_none
from .elementwise import sigmoid
from .layer import Layer
from .rational_quadratic import rq_backward_dot, rq_forward_dot
from .tree import Tree


class SplineCache(NamedTuple):
    b: Array  # (N, ..., M)
    h: Array  # (N, ..., (3 K - 1) M)


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

    @property
    def sizes(self) -> dict[str, Any]:
        """What the kernels are told beside b and h."""
        return {"bins": self.bins, "reach": self.reach, "least": self.least}

    def forward(self, x: Tree, *, train: bool = False, key: Key | None = None) -> tuple[Tree, SplineCache]:
        b, h = x
        self.check(b, h)
        return spline.forward(b, h, **self.sizes), SplineCache(b, h)

    def inverse(self, z: Array, h: Array) -> tuple[Array, Array]:
        return spline.inverse(z, h, **self.sizes)

    def backward(self, dy: Tree, cache: SplineCache, *, need_dx: bool = True, param_grads: bool = True) -> Tree:
        if not need_dx:
            return None
        b, h = cache
        return spline.gradient(*with_zeros(dy, b), b, h, **self.sizes)

    def jvp(self, x_dot: Tree, cache: SplineCache, *, move_params: bool = False) -> tuple[Tree, SplineCache]:
        b_dot, h_dot = x_dot
        z_dot, l_dot, moved = self._trace_dot(SplineCache(b_dot, h_dot), trace(*cache, **self.sizes))
        return (np.where(moved.inside, z_dot, b_dot), sum_rows(moved.inside * l_dot)), SplineCache(b_dot, h_dot)

    def _trace_dot(self, x_dot: SplineCache, traced: Traced) -> tuple[Array, Array, Traced]:
        """z_dot and l_dot inside, and the tangent of what they are made of."""
        inside, k, knots, at, here = traced
        K, planes, gain = self.bins, planes_of(x_dot.h, self.bins), gain_of(**self.sizes)
        p_dot, q_dot = softmax_back(planes[:K], knots.p), softmax_back(planes[K : 2 * K], knots.q)  # symmetric
        g_dot = planes[2 * K :]
        S_dot = sigmoid(knots.g) * g_dot
        W_dot, H_dot = gain * p_dot, gain * q_dot
        at_dot = gather(W_dot, running_sum(W_dot), H_dot, running_sum(H_dot), S_dot, k, start=0, end=0)
        z_dot, l_dot, here_dot = rq_forward_dot(x_dot.b, at, at_dot, here)
        return z_dot, l_dot, Traced(inside, k, Knots(p_dot, q_dot, S_dot, g_dot), at_dot, here_dot)

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
        inside, k, knots, at, here = traced = trace(*cache, **self.sizes)
        moved, gain = self._trace_dot(tangents, traced)[2], gain_of(**self.sizes)
        (dz, dl), (dz_dot, dl_dot) = (zeros_for_none(d, here.xi) for d in (dy, dy_dot))
        each = (dz * inside, dl * inside, dz_dot * inside, dl_dot * inside)
        db, dat, db_dot, dat_dot = rq_backward_dot(*each, at, moved.at, here, moved.here)
        (dW, dH, dS), (dW_dot, dH_dot, dS_dot) = (scatter(d, k, self.bins) for d in (dat, dat_dot))
        s = sigmoid(knots.g)
        du, du_dot = softmax_back_dot(gain * dW, gain * dW_dot, knots.p, moved.knots.p)
        dv, dv_dot = softmax_back_dot(gain * dH, gain * dH_dot, knots.q, moved.knots.q)
        dg, dg_dot = dS * s, dS_dot * s + dS * s * (1 - s) * moved.knots.g
        dx = db + dz * ~inside, flat(concatenate((du, dv, dg)))
        return dx, (db_dot + dz_dot * ~inside, flat(concatenate((du_dot, dv_dot, dg_dot))))


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


def softmax_back_dot(dp: Array, dp_dot: Array, p: Array, p_dot: Array) -> tuple[Array, Array]:
    """du, and du_dot = p_dot (dp - sum p dp) + p (dp_dot - sum (p_dot dp + p dp_dot))."""
    centred = dp - (p * dp).sum(0)
    return p * centred, p_dot * centred + p * (dp_dot - (p_dot * dp + p * dp_dot).sum(0))

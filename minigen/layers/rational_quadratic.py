"""One bin of a monotone rational-quadratic spline (Gregory and Delbourgo 1982; Durkan et al. 2019, eqs. 4 to 8).

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

`rq_forward_dot` is the product rule on the first lines, `rq_backward_dot` on these. Inverse: n / D = (y - y0) / h is a
quadratic equation for xi. All arrays have one shape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array


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


def rq_forward(x: Array, at: Bin) -> tuple[Array, Array, Inside]:
    """y, l and what the other passes need."""
    here = inside((x - at.x0) / at.w, at)
    return at.y0 + at.h * here.n / here.D, log_slope(here), here


def inside(xi: Array, at: Bin) -> Inside:
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
    return at.x0 + xi * at.w, log_slope(inside(xi, at))


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


def rq_forward_dot(x_dot: Array, at: Bin, at_dot: Bin, here: Inside) -> tuple[Array, Array, Inside]:
    """y_dot, l_dot and the tangents of the names."""
    _, w, _, h, d0, d1 = at
    x0_dot, w_dot, y0_dot, h_dot, d0_dot, d1_dot = at_dot
    xi, s, m, t, n, D, P = here
    r = 1 - xi
    xi_dot = (x_dot - x0_dot - xi * w_dot) / w
    s_dot = (h_dot - s * w_dot) / w
    m_dot = (1 - 2 * xi) * xi_dot
    t_dot = d0_dot + d1_dot - 2 * s_dot
    n_dot = s_dot * xi * xi + 2 * s * xi * xi_dot + d0_dot * m + d0 * m_dot
    D_dot = s_dot + t_dot * m + t * m_dot
    P_dot = d1_dot * xi * xi + 2 * d1 * xi * xi_dot + 2 * (s_dot * m + s * m_dot) + d0_dot * r * r - 2 * d0 * r * xi_dot
    y_dot = y0_dot + (h_dot * n + h * n_dot - h * n * D_dot / D) / D
    l_dot = 2 * s_dot / s + P_dot / P - 2 * D_dot / D
    return y_dot, l_dot, Inside(xi_dot, s_dot, m_dot, t_dot, n_dot, D_dot, P_dot)


def rq_backward_dot(
    dy: Array, dl: Array, dy_dot: Array, dl_dot: Array, at: Bin, at_dot: Bin, here: Inside, here_dot: Inside
) -> tuple[Array, Bin, Array, Bin]:
    """dx, the bin's gradient, and how they move: each line of `rq_backward`, then its product rule."""
    _, w, _, h, d0, d1 = at
    _, w_dot, _, h_dot, d0_dot, d1_dot = at_dot
    xi, s, m, t, n, D, P = here
    xi_dot, s_dot, m_dot, t_dot, n_dot, D_dot, P_dot = here_dot
    r, q, q_dot = 1 - xi, xi * xi, 2 * xi * xi_dot

    dn = dy * h / D
    dn_dot = (dy_dot * h + dy * h_dot - dn * D_dot) / D
    dD = -(dn * n + 2 * dl) / D
    dD_dot = -(dn_dot * n + dn * n_dot + 2 * dl_dot + dD * D_dot) / D
    dP = dl / P
    dP_dot = (dl_dot - dP * P_dot) / P
    dm = dn * d0 + dD * t + 2 * dP * s
    dm_dot = dn_dot * d0 + dn * d0_dot + dD_dot * t + dD * t_dot + 2 * (dP_dot * s + dP * s_dot)
    ds = 2 * dl / s + dn * q + dD * (1 - 2 * m) + 2 * dP * m
    ds_dot = 2 * (dl_dot - dl * s_dot / s) / s + dn_dot * q + dn * q_dot
    ds_dot += dD_dot * (1 - 2 * m) - 2 * dD * m_dot + 2 * (dP_dot * m + dP * m_dot)
    dd0 = (dn + dD) * m + dP * r * r
    dd0_dot = (dn_dot + dD_dot) * m + (dn + dD) * m_dot + dP_dot * r * r - 2 * dP * r * xi_dot
    dd1 = dD * m + dP * q
    dd1_dot = dD_dot * m + dD * m_dot + dP_dot * q + dP * q_dot
    u, v = dn * s + dP * d1, dP * d0
    u_dot, v_dot = dn_dot * s + dn * s_dot + dP_dot * d1 + dP * d1_dot, dP_dot * d0 + dP * d0_dot
    dxi = 2 * u * xi - 2 * v * r + dm * (1 - 2 * xi)
    dxi_dot = 2 * (u_dot * xi + u * xi_dot - v_dot * r + v * xi_dot - dm * xi_dot) + dm_dot * (1 - 2 * xi)
    dx = dxi / w
    dx_dot = (dxi_dot - dx * w_dot) / w
    dh = dy * n / D + ds / w
    dh_dot = (dy_dot * n + dy * n_dot - dy * n * D_dot / D) / D + (ds_dot - ds * w_dot / w) / w
    dw = -(dxi * xi + ds * s) / w
    dw_dot = -(dxi_dot * xi + dxi * xi_dot + ds_dot * s + ds * s_dot + dw * w_dot) / w
    moved = Bin(-dx_dot, dw_dot, dy_dot, dh_dot, dd0_dot, dd1_dot)
    return dx, Bin(-dx, dw, dy, dh, dd0, dd1), dx_dot, moved

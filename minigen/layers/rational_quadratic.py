"""The second order of one bin of a spline: the product rule on the lines of kernels/spline/definition.py.

`rq_forward_dot` is that of the names and of y and l, `rq_backward_dot` of the way back. All arrays have one shape.
"""

from __future__ import annotations

from ..backend import Array
from ..kernels.spline.definition import Bin, Inside


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

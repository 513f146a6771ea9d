"""How close rows' points are to each other, plainly. For each of the B points of a row by itself, |.| the sum over E,

    forward         k_ij = e^-|m_i - m_j|       o_i = sum_j k_ij                              (k_ii = 1)
    gradient        dm_i = -sum_j k_ij (do_i + do_j) s_ij                                     s_ij = sign(m_i - m_j)
    tangent         k_dot_ij = -k_ij s_ij . (m_dot_i - m_dot_j)                               o_dot_i = sum_j k_dot_ij
    gradient_dot    dm_dot_i = -sum_j (k_dot_ij (do_i + do_j) + k_ij (do_dot_i + do_dot_j)) s_ij

k_ij moves with m_i and, as k_ji, with m_j, hence do_i + do_j. s is constant between the kinks of |.|, and 0 at them; it
branches on the real part. Pairs lie last here, where NumPy's loops are long: k (B, N, N), s (B, E, N, N).

Legend: N rows, B points of each, E numbers of a point. m, m_dot, dm, dm_dot (N, B, E); o, o_dot, do, do_dot (N, B).
"""

from __future__ import annotations

import numpy as np

from minigen.backend import Array


def forward(m: Array) -> Array:
    """-> o."""
    return near(m)[0].sum(2).T


def gradient(do: Array, m: Array) -> Array:
    """-> dm."""
    k, sign = near(m)
    return gathered(k * both(do), sign)


def tangent(m_dot: Array, m: Array) -> Array:
    """-> o_dot."""
    return turned(m_dot, *near(m)).sum(2).T


def gradient_dot(do: Array, do_dot: Array, m_dot: Array, m: Array) -> tuple[Array, Array]:
    """-> dm, dm_dot."""
    k, sign = near(m)
    return gathered(k * both(do), sign), gathered(turned(m_dot, k, sign) * both(do) + k * both(do_dot), sign)


def near(m: Array) -> tuple[Array, Array]:
    """k and s."""
    difference = apart(m)
    sign = np.sign(difference.real)
    return np.exp(-(sign * difference).sum(1)), sign


def turned(m_dot: Array, k: Array, sign: Array) -> Array:
    """k_dot."""
    return -k * (sign * apart(m_dot)).sum(1)


def apart(m: Array) -> Array:
    """m_i - m_j (B, E, N, N)."""
    m = m.transpose(1, 2, 0)
    return m[..., :, None] - m[..., None, :]


def both(do: Array) -> Array:
    """do_i + do_j (B, N, N)."""
    return do.T[:, :, None] + do.T[:, None, :]


def gathered(dk: Array, sign: Array) -> Array:
    """-sum_j dk_ij s_ij, (N, B, E)."""
    return -(dk[:, None] * sign).sum(3).transpose(2, 0, 1)

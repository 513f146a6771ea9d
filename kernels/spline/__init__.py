"""Monotone rational-quadratic splines, told by a network, there, back in value, and back in gradient: one pass each.

No names of the way there are kept for the way back: from b and h, which are there, a number's bin is found again.
"""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: numbers in h


def forward(b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> z and logdet (N,), the sum of log dz/db over a row: a spline of `bins` bins on (-reach, reach), else the identity.

    b, z (N, ..., M), h (N, ..., (3 bins - 1) M): for each number its bins' widths and heights and its inner knots' slopes;
    definition.py says how. `least` is the least part of the whole that a bin may have. Raises ValueError on shapes that do not
    fit and on bins that do not, TypeError on mixed precisions.
    """
    _check("spline.forward", b, h, bins, reach, least)
    arguments.same_kind("spline.forward", b=b, h=h)
    made: tuple[Array, Array] = LADDER.choose(h.size, b, h).forward(b, h, bins=bins, reach=reach, least=least)
    return made


def inverse(z: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> b, of which `forward` makes z, and the sum of log db/dz over a row. It raises as above."""
    _check("spline.inverse", z, h, bins, reach, least)
    arguments.same_kind("spline.inverse", z=z, h=h)
    made: tuple[Array, Array] = LADDER.choose(h.size, z, h).inverse(z, h, bins=bins, reach=reach, least=least)
    return made


def gradient(dz: Array, dlogdet: Array, b: Array, h: Array, *, bins: int, reach: float, least: float) -> tuple[Array, Array]:
    """-> db (N, ..., M) and dh like h, from dz like b and dlogdet (N,). It raises as above."""
    _check("spline.gradient", b, h, bins, reach, least)
    arguments.check_equal_shapes("spline.gradient", dz=dz, b=b)
    if dlogdet.shape != b.shape[:1]:
        raise ValueError(f"spline.gradient: dlogdet {dlogdet.shape} must have a number for each row of b {b.shape}")
    arguments.same_kind("spline.gradient", dz=dz, dlogdet=dlogdet, b=b, h=h)
    rung = LADDER.choose(h.size, dz, dlogdet, b, h)
    made: tuple[Array, Array] = rung.gradient(dz, dlogdet, b, h, bins=bins, reach=reach, least=least)
    return made


def _check(operation: str, b: Array, h: Array, bins: int, reach: float, least: float) -> None:
    if bins < 2 or not reach > 0 or not 0 <= bins * least < 1:
        raise ValueError(
            f"{operation}: {bins} bins on {-reach:g} to {reach:g}, each at least {least:g} of it: there must be two or more, "
            "and together less than all"
        )
    if b.ndim < 2 or h.shape != (*b.shape[:-1], (3 * bins - 1) * b.shape[-1]):
        raise ValueError(
            f"{operation}: h {h.shape} must have {3 * bins - 1} numbers for each of {b.shape}: (N, ..., {3 * bins - 1} M)"
        )

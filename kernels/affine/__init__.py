"""The affine coupling b e^s + t, s and t said by a network of the other half, its inverse, and the way back: a pass each."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

# Work: numbers that are moved. Rows of fewer than 16, the places of a vector, are as quick by whole arrays: measured there and
# back, 2, 6 and 12 of them take 0.95 to 1.02 of the time.
LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 12)
FEW = 16


def forward(b: Array, h: Array, bound: float | None) -> tuple[Array, Array, Array, Array]:
    """-> z, logdet (N,), s, e: s = c tanh(r / c), e = e^s, z = b e + t, logdet = sum s, where h = (r | t) along the last axis.

    b, z, s, e (N, ..., M), h (N, ..., 2 M); c is `bound`, None for s = r. Raises ValueError on shapes that do not fit, and
    TypeError on mixed precisions.
    """
    _check("affine.forward", h, bound, b=b)
    made: tuple[Array, Array, Array, Array] = LADDER.choose(_work(b), b, h).forward(b, h, bound)
    return made


def inverse(z: Array, h: Array, bound: float | None) -> tuple[Array, Array]:
    """-> b = (z - t) e^-s like z, and logdet (N,) = -sum s. Otherwise as `forward`."""
    _check("affine.inverse", h, bound, z=z)
    made: tuple[Array, Array] = LADDER.choose(_work(z), z, h).inverse(z, h, bound)
    return made


def gradient(dz: Array, dlogdet: Array, b: Array, s: Array, e: Array, bound: float | None) -> tuple[Array, Array]:
    """-> db (N, ..., M) = dz e and dh (N, ..., 2 M) = (dr | dz), dr = (dz b e + dlogdet) ds/dr, from what `forward` made.

    dz, b, s, e (N, ..., M), dlogdet (N,). Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check_bound("affine.gradient", bound)
    arguments.check_equal_shapes("affine.gradient", dz=dz, b=b, s=s, e=e)
    if b.ndim < 2 or dlogdet.shape != b.shape[:1]:
        raise ValueError(f"affine.gradient: dlogdet {dlogdet.shape} must have a number for each row of b {b.shape}")
    arguments.same_kind("affine.gradient", dz=dz, dlogdet=dlogdet, b=b, s=s, e=e)
    made: tuple[Array, Array] = LADDER.choose(_work(b), dz, dlogdet, b, s, e).gradient(dz, dlogdet, b, s, e, bound)
    return made


def _check(operation: str, h: Array, bound: float | None, **moved: Array) -> None:
    _check_bound(operation, bound)
    ((name, b),) = moved.items()
    if b.ndim < 2 or h.shape != (*b.shape[:-1], 2 * b.shape[-1]):
        raise ValueError(
            f"{operation}: h {h.shape} must have two numbers for each of {name} {b.shape}: (N, ..., 2 M) for (N, ..., M)"
        )
    arguments.same_kind(operation, **moved, h=h)


def _check_bound(operation: str, bound: float | None) -> None:
    if bound is not None and not bound > 0:
        raise ValueError(f"{operation}: bound={bound:g} must be positive, and None where there is none")


def _work(b: Array) -> int:
    return b.size if b.shape[-1] >= FEW else 0

"""A gain and a bias for every channel on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: one pass over memory each way, and sums in a fixed order.

Legend: N rows, P positions, C channels, K chunks of the R = N P rows of channels. x, z, dz, dx (N, P, C); s, b, ds, db (C,).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk

FILE = "act_norm/one_pass.cu"


def forward(x: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> z, logdet."""
    return _moved("act_norm_forward", x, s, b, 1)


def inverse(z: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> x, logdet."""
    return _moved("act_norm_inverse", z, s, b, -1)


def gradient(dz: Array, dlogdet: Array, x: Array, s: Array, *, sums: bool = True) -> tuple[Array, Array | None, Array | None]:
    """-> dx, ds, db."""
    (N, P, C), s, dx = x.shape, contiguous(s), empty_like(x)
    walk = Walk(1, N * P, C)
    parts = [empty((walk.many, C), x.dtype, like=x) if sums else None for _ in range(2)]
    walk.launch(FILE, "act_norm_back", contiguous(dz), contiguous(x), s, dx, *parts, N * P, C, walk.chunk)
    if not sums:
        return dx, None, None
    ds, db = empty_like(s), empty_like(s)
    each(FILE, "act_norm_joined", C, *parts, contiguous(dlogdet), ds, db, walk.many, C, N, P)
    return dx, ds, db


def _moved(kernel: str, x: Array, s: Array, b: Array, sign: int) -> tuple[Array, Array]:
    """And P sum s or its negative, (N,)."""
    N, P, C = x.shape
    walk, moved, logdet = Walk(1, N * P, C), empty_like(x), empty((N,), x.dtype, like=x)
    given = contiguous(x), contiguous(s), contiguous(b)
    walk.launch(FILE, kernel, *given, moved, logdet, N * P, C, walk.chunk, N, sign * P)
    return moved, logdet

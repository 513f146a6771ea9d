"""A gain and a bias for every channel, in one pass each way. The formulas are in `definition.py`.

Against the definition: NumPy goes through memory twice there, and five times back; here x is read once, and dz is.

Error: with exp within 4 u, of z 6 u (|x e^s| + |b|); of the inverse's x 7 u (|z| + |b|) e^-s; of dx 5 u |dx|. Sums are taken in
chunks of rows, at most ROWS numbers each in the arrays' precision; those of the chunks, of s and of dlogdet are in float64. Of
ds (ROWS + 6) u, of db ROWS u of the sum of the absolute values. ROWS = 512 as in sums/one_pass.py, u = 2^-24.

Legend: R = N P rows, C channels, K chunks of rows. x, z, dz, dx (R, C); e, s, b, ds, db (C,); parts (2, K, C).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice, compiled_for_one
from ..sums.one_pass import add_up, rows_of
from ..vector_math import exp


def forward(x: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> z, logdet."""
    z, e = empty_like(x), empty_like(s)
    grow(contiguous(s), s.dtype.type(1), e)
    move.of(x.size)(_rows(x), e, contiguous(b), _rows(z), rows_of(x.shape[2]))
    return z, _on_every_row(x, s, 1)


def inverse(z: Array, s: Array, b: Array) -> tuple[Array, Array]:
    """-> x, logdet."""
    x, e = empty_like(z), empty_like(s)
    grow(contiguous(s), s.dtype.type(-1), e)
    move_again.of(z.size)(_rows(z), e, contiguous(b), _rows(x), rows_of(z.shape[2]))
    return x, _on_every_row(z, s, -1)


def gradient(dz: Array, dlogdet: Array, x: Array, s: Array, *, sums: bool = True) -> tuple[Array, Array | None, Array | None]:
    """-> dx, ds, db."""
    C, dx, e = x.shape[2], empty_like(x), empty_like(s)
    rows = rows_of(C)
    parts = empty((2, -(-(x.size // C) // rows), C), x.dtype)
    grow(contiguous(s), s.dtype.type(1), e)
    move_back.of(x.size)(_rows(dz), _rows(x), e, _rows(dx), parts, rows)
    if not sums:
        return dx, None, None
    ds, db = both = empty((2, C), x.dtype)
    add_up(parts, empty(C, np.float64), both, False)
    ds += s.dtype.type(x.shape[1] * dlogdet.sum(dtype=np.float64))
    return dx, ds, db


def _rows(x: Array) -> Array:
    """(N, P, C) -> (N P, C), without a copy where x is contiguous."""
    return contiguous(x).reshape(-1, x.shape[-1])


def _on_every_row(x: Array, s: Array, sign: int) -> Array:
    """P sum s or its negative, (N,)."""
    logdet = empty(len(x), s.dtype)
    logdet[...] = sign * x.shape[1] * s.sum(dtype=np.float64)
    return logdet


@compiled_for_one
def grow(s: Array, sign: float, e: Array) -> None:
    """e = e^s, or e^-s."""
    for c in range(s.shape[0]):
        e[c] = exp(sign * s[c])


@CompiledTwice
def move(x: Array, e: Array, b: Array, z: Array, rows: int) -> None:
    """Fills z."""
    height, columns, step = np.uint64(x.shape[0]), np.uint64(x.shape[1]), np.uint64(rows)
    for chunk in prange((x.shape[0] + rows - 1) // rows):
        for i in range(np.uint64(chunk) * step, min(height, (np.uint64(chunk) + np.uint64(1)) * step)):
            for c in range(columns):
                z[i, c] = x[i, c] * e[c] + b[c]


@CompiledTwice
def move_again(z: Array, e: Array, b: Array, x: Array, rows: int) -> None:
    """Fills x, with e = e^-s."""
    height, columns, step = np.uint64(z.shape[0]), np.uint64(z.shape[1]), np.uint64(rows)
    for chunk in prange((z.shape[0] + rows - 1) // rows):
        for i in range(np.uint64(chunk) * step, min(height, (np.uint64(chunk) + np.uint64(1)) * step)):
            for c in range(columns):
                x[i, c] = (z[i, c] - b[c]) * e[c]


@CompiledTwice
def move_back(dz: Array, x: Array, e: Array, dx: Array, parts: Array, rows: int) -> None:
    """Fills dx, and every chunk's sums of dx x and of dz."""
    height, columns, step = np.uint64(x.shape[0]), np.uint64(x.shape[1]), np.uint64(rows)
    products, sums = parts[0], parts[1]
    for task in prange(parts.shape[1]):
        chunk = np.uint64(task)
        for c in range(columns):
            products[chunk, c] = 0
            sums[chunk, c] = 0
        for i in range(chunk * step, min(height, (chunk + np.uint64(1)) * step)):
            for c in range(columns):
                d = dz[i, c] * e[c]
                dx[i, c] = d
                products[chunk, c] += d * x[i, c]
                sums[chunk, c] += dz[i, c]

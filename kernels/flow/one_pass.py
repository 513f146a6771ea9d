"""The negative log-likelihood of a flow in one pass. The formulas are in `definition.py`.

Against the definition: there a square, a sum and a product are passes over each part of z, one of them into an array that is
thrown away; here a part is read once for the value and the gradient.

Sums are taken in float64, of each chunk of CHUNK elements into a place of its own: a result does not depend on the number of
threads.

Error: of dz 2 u of itself, of a term of the sums nothing beside it, u = 2^-24.

Legend: N rows; n numbers of a part, flat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..gaussian.definition import LOG_2PI
from ..jit import CompiledTwice

CHUNK = 4096


def loss(logdet: Array, *z: Array, scale: float = 1.0) -> tuple[Any, ...]:
    """-> (prior, volume, dlogdet, *dz)."""
    N, share = len(logdet), logdet.dtype.type(scale / len(logdet))
    dlogdet, dz, squares = empty_like(logdet), [empty_like(part) for part in z], 0.0
    dlogdet[...] = -share
    for part, d in zip(z, dz, strict=True):
        sums = empty(-(-part.size // CHUNK), np.float64)
        sweep.of(part.size)(contiguous(part).reshape(-1), d.reshape(-1), sums, share)
        squares += float(np.sum(sums))
    numbers = sum(part.size for part in z)
    return (squares + LOG_2PI * numbers) / (2 * N), -float(logdet.sum(dtype=np.float64)) / N, dlogdet, *dz


@CompiledTwice
def sweep(z: Array, dz: Array, sums: Array, share: Any) -> None:
    """Fills dz (n,), share times z, and sums (ceil(n / CHUNK),) with those of its squares."""
    n = z.shape[0]
    for chunk in prange(sums.shape[0]):
        begin, end = chunk * CHUNK, min(n, (chunk + 1) * CHUNK)
        # From 0 on: a position that cannot be negative needs no test.
        zs, dzs = z[begin:end], dz[begin:end]
        total = 0.0
        for i in range(zs.shape[0]):
            total += np.float64(zs[i]) * np.float64(zs[i])
            dzs[i] = share * zs[i]
        sums[chunk] = total

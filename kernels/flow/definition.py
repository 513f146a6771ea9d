"""The negative log-likelihood of a flow (Dinh et al. 2015, eq. 3), plainly. Of D numbers in a row of z, in all its parts,

    prior     sum of (|z|^2 + D log 2 pi) / 2 over rows        dz = z
    volume    -sum of logdet                                   dlogdet = -1

and everything is divided by N, the number of rows; the gradients are multiplied by `scale`.

Legend: N rows; logdet, dlogdet (N,); the parts of z and their gradients (N, ...), in as many shapes as there are levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array

from ..gaussian.definition import LOG_2PI


def loss(logdet: Array, *z: Array, scale: float = 1.0) -> tuple[Any, ...]:
    """-> (prior, volume, dlogdet, *dz)."""
    N, share, numbers = len(logdet), scale / len(logdet), sum(part.size for part in z)
    squares = sum((part * part).sum(dtype=_wide(part)) for part in z)
    prior, volume = (squares + LOG_2PI * numbers) / (2 * N), -logdet.sum(dtype=_wide(logdet)) / N
    return prior, volume, np.full_like(logdet, -share), *(share * part for part in z)


def _wide(x: Array) -> Any:
    return np.result_type(x.dtype, np.float64)

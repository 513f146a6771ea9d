"""The Gaussian likelihood and divergence, plainly. With l the logarithm of the variance, e = mean - x and p = e^-l,

    likelihood    sum of (l + log 2 pi + e^2 p) / 2 over all but the first axis        dmean = e p,  dl = (1 - e^2 p) / 2
    divergence    sum of (mean^2 + e^l - 1 - l) / 2                                    dmean = mean, dl = (e^l - 1) / 2

and everything is divided by N, the number of rows; the gradients are multiplied by `scale`.

Legend: N rows; mean, logvar, x and the gradients (N, ...), of one shape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.backend import Array

LOG_2PI = math.log(2 * math.pi)


def loss(mean: Array, logvar: Array, x: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-> (value, dmean, dlogvar)."""
    N, error, precision = len(x), mean - x, np.exp(-logvar)
    squares, share = error * error * precision, scale / N
    return _total(logvar + LOG_2PI + squares) / (2 * N), error * precision * share, (1 - squares) * (share / 2)


def divergence(mean: Array, logvar: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-> (value, dmean, dlogvar)."""
    N, variance = len(mean), np.exp(logvar)
    share = scale / N
    return _total(mean * mean + variance - 1 - logvar) / (2 * N), mean * share, (variance - 1) * (share / 2)


def _total(each: Array) -> Any:
    return each.sum(dtype=np.result_type(each.dtype, np.float64))

"""The logit on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: one pass over memory each, instead of fourteen there, four more for pixels, and ten back.

Legend: N rows of n numbers; x, u, z, dz, dx (N, ...); logdet, dlogdet (N,).
"""

from __future__ import annotations

import math
from typing import Any

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk

FILE = "logit/one_pass.cu"


def forward(x: Array, alpha: float) -> tuple[Array, Array]:
    """-> z, logdet."""
    return _by_rows("logit_forward", x, None, alpha)


def of_pixels(x: Array, u: Array, alpha: float) -> tuple[Array, Array]:
    """-> z, logdet."""
    return _by_rows("logit_forward", x, contiguous(u), alpha)


def inverse(z: Array, alpha: float) -> tuple[Array, Array]:
    """-> x, logdet."""
    return _by_rows("logit_inverse", z, alpha)


def gradient(dz: Array, dlogdet: Array, x: Array, alpha: float) -> Array:
    """-> dx."""
    dx = empty_like(x)
    given = contiguous(dz), contiguous(dlogdet), contiguous(x)
    each(FILE, "logit_gradient", x.size, *given, dx, alpha, 1 - 2 * alpha, x.size, x.size // len(x))
    return dx


def _by_rows(kernel: str, x: Array, *given: Any) -> tuple[Array, Array]:
    """A block for a row, of which it adds up the logdet."""
    (*more, alpha), k, n = given, 1 - 2 * given[-1], x.size // len(x)
    y, logdet = empty_like(x), empty(len(x), x.dtype, like=x)
    walk = Walk(len(x), n, 1, whole=True)
    walk.launch(FILE, kernel, contiguous(x), *more, y, logdet, alpha, k, math.log(k), n)
    return y, logdet

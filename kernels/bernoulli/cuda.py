"""The Bernoulli likelihood and its gradient on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: z and x are read once for both results. The value stays on the device, so that nobody waits for it.

Error: of the gradient 4e-7 of its share; of the sum 3 units in the last place of its terms.

Legend: z the logits, x the data, n their number, flat; of `rows` z (N K, P), x (N, P): K rows of logits for each row of x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..arguments import output
from ..combine import contiguous
from ..cuda.sums import Walk, total


def loss(logits: Array, x: Array, *, scale: float = 1.0, out: Array | None = None) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    out = output(out, logits.shape, logits.dtype, like=logits)
    walk = Walk(1, logits.size, 1)
    parts = empty(walk.many, np.float64, like=logits)
    arguments = contiguous(logits), contiguous(x), out, parts, logits.size, walk.chunk, scale / len(x)
    walk.launch("bernoulli/one_pass.cu", "bernoulli_loss", *arguments)
    return total(parts, 1 / len(x)), out


def rows(logits: Array, x: Array) -> Array:
    """-> nll (N, K)."""
    N, K, P = logits.shape
    nll = empty((N, K), logits.dtype, like=logits)
    walk = Walk(N * K, P, 1, whole=True)
    walk.launch("bernoulli/one_pass.cu", "bernoulli_rows", contiguous(logits), contiguous(x), nll, K, P)
    return nll


def rows_gradient(logits: Array, x: Array, dnll: Array) -> Array:
    """-> dlogits (N, K, P)."""
    N, K, P = logits.shape
    dlogits = empty_like(logits)
    walk = Walk(N * K, P, 1, whole=True)
    arguments = contiguous(logits), contiguous(x), contiguous(dnll), dlogits, K, P
    walk.launch("bernoulli/one_pass.cu", "bernoulli_rows_gradient", *arguments)
    return dlogits

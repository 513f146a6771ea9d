"""The negative log-likelihood of x under independent Bernoulli variables, from logits, and its gradient.

    p = sigmoid(z)
    -log p(x | z) = -x log p - (1 - x) log(1 - p) = softplus(z) - x z
    d/dz          = sigmoid(z) - x

Never through p itself: log(1 - sigmoid(z)) is log 0 from z = 17 on in float32. Both functions are written with t = exp(-|z|),
which cannot overflow:

    softplus(z) = log(1 + e^z) = max(z, 0) + log(1 + t)
    sigmoid(z)  = 1 / (1 + t) where z > 0, t / (1 + t) elsewhere

|z| and max branch on the real part, so that everything stays analytic and the complex step is exact.

Legend: z the logits, x the data in [0, 1]; both and dlogits of any one shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array

from ..arguments import output


def loss(logits: Array, x: Array, *, out: Array | None = None) -> tuple[float, Array]:
    """-> (total over all elements, dlogits)."""
    z, positive = logits, logits.real > 0
    dtype = np.result_type(logits.dtype, x.dtype)
    out = output(out, logits.shape, dtype, like=logits)
    t = np.exp(np.where(positive, -z, z))
    softplus = np.where(positive, z, 0) + np.log1p(t)
    wide = np.complex128 if dtype.kind == "c" else np.float64
    total: Any = np.sum(softplus - x * z, dtype=wide).item()
    out[...] = np.where(positive, 1, t) / (1 + t) - x
    return total, out

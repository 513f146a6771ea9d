"""The negative log-likelihood of x under independent Bernoulli variables, from logits, and its gradient.

    p = sigmoid(z)
    -log p(x | z) = -x log p - (1 - x) log(1 - p) = softplus(z) - x z
    d/dz          = sigmoid(z) - x

Never through p itself: log(1 - sigmoid(z)) is log 0 from z = 17 on in float32. Both functions are written with t = exp(-|z|),
which cannot overflow:

    softplus(z) = log(1 + e^z) = max(z, 0) + log(1 + t)
    sigmoid(z)  = 1 / (1 + t) where z > 0, t / (1 + t) elsewhere

|z| and max branch on the real part, so that everything stays analytic and the complex step is exact.

Both are divided by N, the number of rows, and the gradient is multiplied by `scale`. Of `rows`, each row's sum is a number of
its own: nll = sum_p (softplus(z) - x z), and dlogits = dnll (sigmoid(z) - x).

Legend: z the logits, x the data in [0, 1]; both and dlogits of any one shape. Of `rows`: N data, K logits for each, P pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array

from ..arguments import output


def softplus_and_sigmoid(z: Array) -> tuple[Array, Array]:
    """log(1 + e^z) and 1 / (1 + e^-z)."""
    positive = z.real > 0
    t = np.exp(np.where(positive, -z, z))
    return np.where(positive, z, 0) + np.log1p(t), np.where(positive, 1, t) / (1 + t)


def loss(logits: Array, x: Array, *, scale: float = 1.0, out: Array | None = None) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    dtype = np.result_type(logits.dtype, x.dtype)
    out = output(out, logits.shape, dtype, like=logits)
    softplus, sigmoid = softplus_and_sigmoid(logits)
    wide = np.complex128 if dtype.kind == "c" else np.float64
    total: Any = np.sum(softplus - x * logits, dtype=wide)
    np.multiply(sigmoid - x, scale / len(x), out=out)
    return total / len(x), out


def rows(logits: Array, x: Array) -> Array:
    """-> nll (N, K)."""
    softplus, _ = softplus_and_sigmoid(logits)  # (N, K, P)
    each = softplus - x[:, None] * logits
    return np.sum(each, -1, dtype=np.result_type(each.dtype, np.float64)).astype(each.dtype)


def rows_gradient(logits: Array, x: Array, dnll: Array) -> Array:
    """-> dlogits (N, K, P)."""
    _, sigmoid = softplus_and_sigmoid(logits)
    return dnll[..., None] * (sigmoid - x[:, None])

"""The cross-entropy of labels and its gradient, a row while it lies in the nearest cache. The formulas are in `definition.py`.

Against the definition: there, largest number, difference, exponential, sum, quotient and what is put in at the labels are
passes over all of memory. Here a row is read once and written once; its three short loops find it in the cache. exp and the
largest of a row are vector instructions (vector_math.py).

Sums over rows are taken in float64, of each chunk of some CHUNK numbers into a place of its own: a result does not depend on
the number of threads.

Error: of p (K / 16 + 8) u relative, of dlogits that of p and u; of a row's -log p (K / 16 + 8) u, and u of the difference of
the row's largest number and the label's, u = 2^-24.

Legend: R rows, K classes. x, dx (R, K), labels (R,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..jit import CompiledTwice
from ..vector_math import exp, largest

CHUNK = 4096


def loss(logits: Array, labels: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    R, K = labels.size, logits.shape[-1]
    dlogits, each = empty_like(logits), max(1, CHUNK // K)  # rows of a chunk
    sums = empty(-(-R // each), np.float64)
    labels, share = contiguous(labels.astype(np.int64, copy=False)), logits.dtype.type(scale / len(labels))
    sweep.of(logits.size)(contiguous(logits).reshape(R, K), labels.reshape(-1), dlogits.reshape(R, K), sums, each, share)
    return float(np.sum(sums)) / len(labels), dlogits


@CompiledTwice
def sweep(x: Array, labels: Array, dx: Array, sums: Array, each: int, share: Any) -> None:
    """Fills dx (R, K) and sums (ceil(R / each),)."""
    classes, one = np.uint64(x.shape[1]), x.dtype.type(1)
    for chunk in prange(sums.shape[0]):
        nll = 0.0
        for task in range(chunk * each, min(x.shape[0], (chunk + 1) * each)):
            row = np.uint64(task)
            label, top, total = np.uint64(labels[row]), largest(x[row]), x.dtype.type(0)
            for k in range(classes):
                e = exp(x[row, k] - top)
                dx[row, k] = e
                total += e
            part = one / total
            p = dx[row, label] * part
            for k in range(classes):
                dx[row, k] *= part * share
            dx[row, label] = share * (p - one)
            # A difference, then the logarithm: float64 stands between, else the compiler might add it to the larger numbers.
            below = np.float64(x[row, label] - top)
            nll += np.float64(np.log(total)) - below
        sums[chunk] = nll

"""The cross-entropy of labels and its gradient on a GPU, in CUDA C (`rows.cu`). The formulas are in `definition.py`.

Against the definition: one kernel that reads the logits from memory once. The value stays on the device, as an array without
axes. A label that is no class is not looked up: it makes the value and its row of dlogits NaN.

Error: of p (K / 32 + 8) u relative, of dlogits that of p and u; of a row's -log p (K / 32 + 8) u, and u of the difference of
the row's largest number and the label's, u = 2^-24.

Legend: R rows, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import launch
from ..cuda.sums import ENOUGH, total

ROWS = 8  # of a block at a time


def loss(logits: Array, labels: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    N, R, K = len(labels), labels.size, logits.shape[-1]
    blocks, dlogits = min(ENOUGH, -(-R // ROWS)), empty_like(logits)
    parts = empty(blocks, np.float64, like=logits)
    arguments = contiguous(logits), contiguous(labels.astype(np.int64, copy=False)), dlogits, parts, R, K, scale / N
    launch("categorical/rows.cu", "categorical_loss", (blocks,), (32 * ROWS,), *arguments)
    return total(parts, 1 / N), dlogits

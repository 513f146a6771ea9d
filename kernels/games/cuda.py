"""What a player of an adversarial game pays, on a GPU, in CUDA C (`one_block.cu`). The formulas are in `definition.py`.

Against the definition: one launch of one block for the value and the gradient. The value stays on the device, as an array
without axes.

Error: of a term 4 u of the largest of what is added in it; of the gradient 4 u of its share, or of share |l - a|, u = 2^-24.

Legend: n logits, flat.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.sums import Walk

KINDS = ("cross_entropy", "saturating", "squares", "linear", "hinge")  # in the order of the kernel's KIND


def loss(kind: str, logits: Array, a: float, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits)."""
    n, value, dlogits = logits.size, empty((), np.float64, like=logits), empty_like(logits)
    arguments = contiguous(logits), dlogits, value, n, a, 1 / n, scale / n
    Walk(1, n, 1, whole=True).launch("games/one_block.cu", "games_loss", *arguments, KIND=KINDS.index(kind))
    return value, dlogits

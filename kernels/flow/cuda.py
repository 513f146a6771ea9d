"""The negative log-likelihood of a flow on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `definition.py`.

Against the definition: a pass over each part of z, and one launch for all that is left. The values stay on the device, as
arrays without axes: nothing here waits for them.

Error: of dz 2 u of itself, of a term of the sums nothing beside it, u = 2^-24.

Legend: N rows, K chunks of all parts of z. logdet, dlogdet (N,); a part and its gradient (N, ...).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import THREADS, launch
from ..cuda.sums import Walk
from ..gaussian.definition import LOG_2PI

FILE = "flow/one_pass.cu"


def loss(logdet: Array, *z: Array, scale: float = 1.0) -> tuple[Any, ...]:
    """-> (prior, volume, dlogdet, *dz)."""
    N, share = len(logdet), scale / len(logdet)
    walks = [Walk(1, part.size, 1) for part in z]
    sums, first = empty(sum(walk.many for walk in walks), np.float64, like=logdet), 0
    dz = [empty_like(part) for part in z]
    for walk, part, d in zip(walks, z, dz, strict=True):
        its = sums[first : first + walk.many]
        walk.launch(FILE, "flow_prior", contiguous(part), d, its, part.size, walk.chunk, share)
        first += walk.many
    prior, volume = empty((), np.float64, like=logdet), empty((), np.float64, like=logdet)
    dlogdet, per_row = empty_like(logdet), sum(part.size for part in z) / N * LOG_2PI / 2
    given = sums, contiguous(logdet), prior, volume, dlogdet, len(sums), N, per_row, share
    launch(FILE, "flow_joined", (1,), (1, THREADS), *given)
    return prior, volume, dlogdet, *dz

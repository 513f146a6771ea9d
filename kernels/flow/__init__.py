"""The negative log-likelihood of a flow, by the change of variables, with its gradients in one pass."""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements of z


def loss(logdet: Array, *z: Array, scale: float = 1.0) -> tuple[Any, ...]:
    """-> (prior, volume, dlogdet, *dz): -log N(z; 0, 1) and -logdet in nats per row, `scale` times the gradients of their sum.

    logdet and dlogdet (N,), each part of z and its gradient (N, ...), N > 0. The values are summed in float64, complex where an
    argument is; on a GPU they stay there, arrays without axes.
    Raises ValueError on a part that has not as many rows as logdet, TypeError on mixed precisions.
    """
    if logdet.ndim != 1 or any(part.shape[:1] != logdet.shape for part in z):
        shapes = ", ".join(str(part.shape) for part in z)
        raise ValueError(f"flow.loss: logdet {logdet.shape} must have a number for each row of z {shapes}")
    arguments.same_kind("flow.loss", logdet=logdet, **{f"part {i} of z": part for i, part in enumerate(z)})
    made: tuple[Any, ...] = LADDER.choose(sum(part.size for part in z), logdet, *z).loss(logdet, *z, scale=scale)
    return made

"""The Gaussian likelihood, and the divergence of a Gaussian from the standard one, each with its gradients in one pass."""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def loss(mean: Array, logvar: Array, x: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-> (value, dmean, dlogvar): -log N(x; mean, e^logvar) in nats per row, `scale` times its gradients. All (N, ...), N > 0.

    The value is summed in float64, complex where an argument is; on a GPU it stays there, an array without axes.
    Raises ValueError on shapes that differ, TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("gaussian", mean=mean, logvar=logvar, x=x)
    arguments.same_kind("gaussian", mean=mean, logvar=logvar, x=x)
    result: tuple[Any, Array, Array] = LADDER.choose(x.size, mean, logvar, x).loss(mean, logvar, x, scale=scale)
    return result


def divergence(mean: Array, logvar: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-> (value, dmean, dlogvar): KL(N(mean, e^logvar) || N(0, 1)) in nats per row, and its gradients; otherwise as `loss`."""
    arguments.check_equal_shapes("gaussian.divergence", mean=mean, logvar=logvar)
    arguments.same_kind("gaussian.divergence", mean=mean, logvar=logvar)
    result: tuple[Any, Array, Array] = LADDER.choose(mean.size, mean, logvar).divergence(mean, logvar, scale=scale)
    return result

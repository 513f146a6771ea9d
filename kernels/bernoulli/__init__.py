"""Cross-entropy of binary pixels with its gradient, from logits, in one pass: the reconstruction term of a VAE."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 12)  # work: elements


def loss(logits: Array, x: Array, *, out: Array | None = None) -> tuple[float, Array]:
    """-> (total, dlogits): the sum over all elements of -log p(x | logits), in nats, and its gradient sigmoid(logits) - x.

    Shapes: logits, x and dlogits (in `out` if given) any one shape. x in [0, 1]. The total is summed in float64; it is complex
    where logits or x are. Raises ValueError on shapes that differ, TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("bernoulli", logits=logits, x=x)
    dtype = arguments.same_kind("bernoulli", logits=logits, x=x)
    arguments.check_out("bernoulli", out, logits.shape, dtype)
    result: tuple[float, Array] = LADDER.choose(logits.size, logits, x).loss(logits, x, out=out)
    return result

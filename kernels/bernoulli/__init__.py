"""Cross-entropy of binary pixels with its gradient, from logits, in one pass: the reconstruction term of a VAE.

`rows` keeps the rows apart, for objectives that weigh them: K decodings of every image, each with a likelihood of its own.
"""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def loss(logits: Array, x: Array, *, scale: float = 1.0, out: Array | None = None) -> tuple[Any, Array]:
    """-> (value, dlogits): -log p(x | logits) in nats per row, and `scale` times its gradient (sigmoid(logits) - x) / N.

    Shapes: logits, x and dlogits (in `out` if given) any one shape (N, ...), N > 0. x in [0, 1]. The value is summed in
    float64, on a GPU an array of no axes; it is complex where logits or x are. Raises ValueError on shapes that differ,
    TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("bernoulli", logits=logits, x=x)
    dtype = arguments.same_kind("bernoulli", logits=logits, x=x)
    arguments.check_out("bernoulli", out, logits.shape, dtype)
    result: tuple[Any, Array] = LADDER.choose(logits.size, logits, x).loss(logits, x, scale=scale, out=out)
    return result


def rows(logits: Array, x: Array) -> Array:
    """-> nll (N, K) = sum_p -log p(x_np | logits_nkp), in nats, of logits (N, K, P) and x (N, P) in [0, 1]; summed in float64.

    Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check_rows("bernoulli.rows", logits, x)
    arguments.same_kind("bernoulli.rows", logits=logits, x=x)
    nll: Array = LADDER.choose(logits.size, logits, x).rows(logits, x)
    return nll


def rows_gradient(logits: Array, x: Array, dnll: Array) -> Array:
    """-> dlogits (N, K, P) = dnll (sigmoid(logits) - x), of logits (N, K, P), x (N, P) and dnll (N, K).

    Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check_rows("bernoulli.rows_gradient", logits, x)
    if dnll.shape != logits.shape[:2]:
        raise ValueError(
            f"bernoulli.rows_gradient: dnll {dnll.shape} must be {logits.shape[:2]}, a number for each row of logits"
        )
    arguments.same_kind("bernoulli.rows_gradient", logits=logits, x=x, dnll=dnll)
    dlogits: Array = LADDER.choose(logits.size, logits, x, dnll).rows_gradient(logits, x, dnll)
    return dlogits


def _check_rows(name: str, logits: Array, x: Array) -> None:
    if logits.ndim != 3 or x.shape != (logits.shape[0], logits.shape[2]):
        raise ValueError(f"{name}: logits {logits.shape} must be (N, K, P) and x {x.shape} (N, P): K rows of logits for each x")

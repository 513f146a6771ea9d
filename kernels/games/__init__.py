"""What a player of an adversarial game pays for a batch of logits, a mean over them, with its gradient in one pass."""

from __future__ import annotations

from typing import Any

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder
from .definition import curve, each, slope

__all__ = ["KINDS", "curve", "each", "loss", "slope"]

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 5)  # work: logits; whoever made a batch of them has loaded Numba

KINDS = ("cross_entropy", "saturating", "squares", "linear", "hinge")


def loss(kind: str, logits: Array, a: float, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-> (value, dlogits): the mean of f over logits of any shape, and `scale` times its gradient. `kind` is one of KINDS.

    The value is summed in float64, complex where the logits are; on a GPU it stays there, an array without axes.
    Raises ValueError on an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown side of a game {kind!r}: choose one of {', '.join(KINDS)}")
    arguments.same_kind("games", logits=logits)
    result: tuple[Any, Array] = LADDER.choose(logits.size, logits).loss(kind, logits, a, scale=scale)
    return result

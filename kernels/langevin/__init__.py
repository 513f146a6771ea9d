"""One move of a Markov chain by Langevin dynamics, in one pass."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: numbers of a state


def move(x: Array, slope: Array, eps: Array, *, step: float, noise: float, clip: float, bound: float) -> Array:
    """-> within(x - step within(slope, clip) + noise eps, bound), in a new array; within(v, c) = min(max(v, -c), c).

    x, slope and eps of any one shape. `clip` and `bound` may be infinite: then nothing is clipped. A NaN stays.
    Raises ValueError on shapes that differ, TypeError on mixed precisions.
    """
    arguments.check_equal_shapes("langevin.move", x=x, slope=slope, eps=eps)
    arguments.same_kind("langevin.move", x=x, slope=slope, eps=eps)
    moved: Array = LADDER.choose(x.size, x, slope, eps).move(x, slope, eps, step=step, noise=noise, clip=clip, bound=bound)
    return moved

"""Whether two sides are the same model: live parameters, first losses, and the losses a hundred steps on, at the same noise.

Where a loss is a descent the two sides stay together: after a hundred steps they differ by what rounding makes of it, some
1e-4 at most. A game does not forget: rounding grows from step to step, and DCGAN's losses on one side are soon elsewhere on
their orbit. That is not a difference of the models, for PyTorch's two memory formats, one program with two orders of summing,
part from each other in the same way. So where the hundredth losses differ, the two formats are trained beside each other, and
the sides are compared at the last step at which PyTorch still agrees with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.pairs import Pair, relative_difference
from minigen.random import Key

FIRST, LATER, ITSELF = 1e-5, 0.02, 0.002  # relative differences: of the first losses, of later ones, of PyTorch with itself
STEPS = (*range(5, 100, 5), 100)
Losses = dict[str, tuple[float, float]]  # by name (ours, the peer's)


class Agreement(NamedTuple):
    losses: Losses  # before the step `step`
    step: int
    itself: float | None  # how far PyTorch's formats are apart at the hundredth step; None where it was not asked


def check(name: str, pair: Pair) -> None:
    """Raises AssertionError unless both sides begin as the same model."""
    ours, theirs = pair.parameters, pair.peer.live_parameters()
    assert ours == theirs, f"{name}: {ours} parameters here, {theirs} live ones there"
    check_losses(name, "first", pair.losses(Key(1)), FIRST)
    for parameter, (mine, peers) in pair.first_moves(Key(1)).items():
        off = relative_difference(mine, peers)
        assert off <= FIRST, f"{name}: the first step of {parameter} differs by {off:.1e} from the peer's"


def check_losses(name: str, when: str, losses: Losses, within: float) -> None:
    """Raises AssertionError unless each loss of ours is the peer's, but for `within` of it."""
    for loss, (mine, peers) in losses.items():
        off = relative_difference(mine, peers)
        assert off <= within, f"{name}: the {when} {loss} is {mine} here and {peers} there, {off:.1e} apart"


def apart(losses: Losses) -> float:
    """The largest relative difference."""
    return max((relative_difference(*both) for both in losses.values()), default=0.0)


def compare(name: str, pair: Pair, others: Callable[[], tuple[Pair, Pair]]) -> Agreement:
    """Trains `pair` for a hundred steps; `others` makes the two formats of PyTorch anew, should they be needed.

    Raises AssertionError where the sides differ by more than 2 %.
    """
    if not pair.objectives:
        return Agreement({}, STEPS[-1], None)
    course = follow(pair)
    if apart(course[STEPS[-1]]) <= LATER:
        return Agreement(course[STEPS[-1]], STEPS[-1], None)
    itself = against_itself(*others())
    step = last_agreement(itself)
    check_losses(name, f"{step}th", course[step], LATER)
    return Agreement(course[step], step, apart(itself[STEPS[-1]]))


def last_agreement(itself: dict[int, Losses]) -> int:
    """The last step before PyTorch parts from itself."""
    together = 0
    for step, losses in itself.items():
        if apart(losses) > ITSELF:
            break
        together = step
    assert together, f"PyTorch's two formats are apart after {STEPS[0]} steps already: there is nothing to be compared with"
    return together


def follow(pair: Pair) -> dict[int, Losses]:
    """Both sides' losses before each of the steps STEPS."""
    return _course(pair.losses, pair.step_both)


def against_itself(one: Pair, two: Pair) -> dict[int, Losses]:
    """The same of PyTorch's two formats, (contiguous, channels last)."""

    def losses(key: Key) -> Losses:
        return {name: (at, two.losses(key)[name][1]) for name, (_, at) in one.losses(key).items()}

    def step(key: Key) -> None:
        for pair in (one, two):
            pair.step_peer(key)

    return _course(losses, step)


def _course(losses: Callable[[Key], Losses], step: Callable[[Key], Any]) -> dict[int, Losses]:
    found = {}
    for i in range(1, STEPS[-1] + 1):
        key = Key(4).at(i)
        if i in STEPS:
            found[i] = losses(key)
        if i < STEPS[-1]:
            step(key)
    return found

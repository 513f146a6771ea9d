"""A running average of parameters, plainly.

    average = average + share (theta - average)

It is the mean of all thetas so far with weights that fall by 1 - share from step to step.

Legend: P parameters. average, theta (P,).
"""

from __future__ import annotations

from minigen.backend import Array


def step(average: Array, theta: Array, share: float) -> None:
    """Moves average in place."""
    average += share * (theta - average)

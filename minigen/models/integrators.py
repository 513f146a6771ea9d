"""Ordinary differential equations dx/dt = f(x, t), integrated in steps: Euler's rule and Heun's.

    euler   x <- x + h f(x, t)                                                 error over an interval of order h
    heun    k = f(x, t),  x <- x + h (k + f(x + h k, t + h)) / 2               of order h^2, for two evaluations a step

x is an array or a tuple of arrays, and f returns the same; t is a number. Times may run backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from ..layers.tree import Tree, map_tree

Rate: TypeAlias = Callable[[Any, float], Any]  # f(x, t)


def euler(f: Rate, x: Tree, times: Iterable[float]) -> Tree:
    """x at the last of `times`, which it has at the first."""
    for t, u in pairwise(times):
        x = _moved(x, u - t, f(x, t))
    return x


def heun(f: Rate, x: Tree, times: Iterable[float]) -> Tree:
    """x at the last of `times`, which it has at the first."""
    for t, u in pairwise(times):
        h, k = u - t, f(x, t)
        x = _moved(_moved(x, h / 2, k), h / 2, f(_moved(x, h, k), u))
    return x


INTEGRATORS: dict[str, Callable[[Rate, Tree, Iterable[float]], Tree]] = {"euler": euler, "heun": heun}


def integrator(name: str) -> Callable[[Rate, Tree, Iterable[float]], Tree]:
    """An integrator by name; ValueError with the names there are."""
    if name not in INTEGRATORS:
        raise ValueError(f"unknown integrator {name!r}: there is {', '.join(INTEGRATORS)}")
    return INTEGRATORS[name]


def grid(start: float, end: float, steps: int) -> list[float]:
    """The times of `steps` equal steps; ValueError where there is none."""
    if steps < 1:
        raise ValueError(f"an integration needs at least one step, not {steps}")
    times: list[float] = np.linspace(start, end, steps + 1).tolist()
    return times


def _moved(x: Tree, h: float, k: Tree) -> Tree:
    """x + h k."""
    return map_tree(lambda a, b: a + h * b, x, k)

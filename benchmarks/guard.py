"""Fair timing on a shared machine: two sides in turn, in one run, with the machine's own speed beside them.

Under load the two sides do not suffer alike, so a ratio counts only if the machine was as fast as it can be before and after:
its rate of single-precision matrix multiplication (SGEMM) must be within 15 % of the best seen in the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

WITHIN = 0.15


def seconds(call: Callable[[], object]) -> float:
    """The time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def lower_quartile(times: list[float]) -> float:
    """The 25th percentile: noise on a shared machine only ever adds time."""
    return sorted(times)[len(times) // 4]


class Machine:
    """The SGEMM rate in GFLOP/s, now and at its best."""

    def __init__(self, size: int = 1024) -> None:
        self._a, self._b = torch.randn(size, size), torch.randn(size, size)
        self._flops = 2 * size**3
        self.best = 0.0

    def rate(self) -> float:
        """The best of twelve products, now."""
        times = [seconds(lambda: torch.mm(self._a, self._b)) for _ in range(12)]
        rate = self._flops / min(times) / 1e9
        self.best = max(self.best, rate)
        return rate

    def was_quiet(self, *rates: float) -> bool:
        """Whether all of these are within 15 % of the best."""
        return min(rates) >= (1 - WITHIN) * self.best


@dataclass
class Duel:
    """Both sides' lower quartiles, in seconds, and whether the machine was quiet."""

    ours: float
    peer: float
    sgemm: tuple[float, float]  # GFLOP/s before and after
    quiet: bool


def duel(ours: Callable[[], object], peer: Callable[[], object], machine: Machine, *, turns: int, warmup: int = 5) -> Duel:
    """Times two calls in turn.

    A turn is two calls of one side, and the second is timed: during the first its threads wake up and the other side's, which
    spin for a while after their last call, go to sleep. Both sides are treated alike.
    """
    for _ in range(warmup):
        ours()
        peer()
    before = machine.rate()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for side, call in enumerate((ours, peer)):
            call()
            times[side].append(seconds(call))
    after = machine.rate()
    return Duel(lower_quartile(times[0]), lower_quartile(times[1]), (before, after), machine.was_quiet(before, after))

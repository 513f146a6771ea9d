"""Fair timing on a shared machine: all sides in turn, in one run, with the machine's own speed beside them.

Under load the sides do not suffer alike, so a turn counts only if the machine was as fast as it can be before and after: its
rate of single-precision matrix multiplication (SGEMM, PyTorch's) must be within 15 % of the best seen in the run. It is looked
at about once a second, the turns since the last look are dropped if it was slower, and taken again, for a while.

What is possible at all is the machine's **roof**: the best SGEMM rate of the run, PyTorch's or ours, and the bandwidth at which
it copies memory that no cache holds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WITHIN = 0.15
SHORTEST = 5e-4  # seconds: calls that are shorter are timed several at once
LOOK = 1.0  # seconds between two looks at the machine's rate
PATIENCE = 20.0  # seconds of dropped turns after which a race is given up
COPY = 64 << 20  # bytes of the array that is copied: more than a cache holds


def seconds(call: Callable[[], object]) -> float:
    """The time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def lower_quartile(times: list[float]) -> float:
    """The 25th percentile: noise on a shared machine only ever adds time."""
    return sorted(times)[len(times) // 4]


class Machine:
    """The SGEMM rate in GFLOP/s, now and at its best, and the roof."""

    def __init__(self, size: int = 1024) -> None:
        import torch  # here, so that what needs no PyTorch can be tested without

        self._torch: Any = torch
        self._a, self._b = torch.randn(size, size), torch.randn(size, size)
        self._flops = 2 * size**3
        self.best = 0.0
        self.bandwidth = 0.0  # bytes read and written a second, the best copy of the run; `look_up` measures it
        self._ours = 0.0

    def rate(self) -> float:
        """The best of twelve products, now."""
        rate = self._flops / _best(lambda: self._torch.mm(self._a, self._b), 12) / 1e9
        self.best = max(self.best, rate)
        return rate

    def was_quiet(self, *rates: float) -> bool:
        """Whether all of these are within 15 % of the best."""
        return min(rates) >= (1 - WITHIN) * self.best

    def look_up(self) -> None:
        """Measures the roof, or raises it."""
        from minigen.kernels.matmul import matmul

        self.rate()
        a, b = self._a.numpy(), self._b.numpy()
        self._ours = max(self._ours, self._flops / _best(lambda: matmul(a, b), 12) / 1e9)
        source, target = self._torch.ones(COPY // 4), self._torch.empty(COPY // 4)
        self.bandwidth = max(self.bandwidth, 2 * COPY / _best(lambda: target.copy_(source), 8))

    @property
    def flops(self) -> float:
        """Multiplications and additions a second: the best SGEMM of the run, whoever made it."""
        return 1e9 * max(self.best, self._ours)

    @property
    def roof(self) -> dict[str, float]:
        """For a result's file."""
        return {
            "sgemm_gflops": round(self.flops / 1e9, 1),
            "sgemm_gflops_pytorch": round(self.best, 1),
            "copy_gb_s": round(self.bandwidth / 1e9, 1),
        }


def _best(call: Callable[[], object], times: int) -> float:
    return min(seconds(call) for _ in range(times))


@dataclass
class Race:
    """The lower quartiles of all sides by name, in seconds, and whether the machine was quiet."""

    times: dict[str, float]
    sgemm: tuple[float, float]  # GFLOP/s, the lowest and the highest while the turns that count were taken
    quiet: bool


@dataclass
class _Runner:
    call: Callable[[], object]
    turns: int
    at_once: int  # calls that are timed together
    least: int
    times: list[float] = field(default_factory=list)
    untrusted: list[float] = field(default_factory=list)  # since the last look

    def run(self) -> float:
        return seconds(lambda: [self.call() for _ in range(self.at_once)]) / self.at_once

    @property
    def due(self) -> bool:
        return len(self.times) + len(self.untrusted) < self.turns


def race(
    calls: Mapping[str, Callable[[], object]], machine: Machine, *, turns: int, least: int = 5, budget: float = math.inf
) -> Race:
    """Times several calls in turn: `turns` times each, or fewer, but at least `least`, where a side would need longer than
    `budget` seconds.

    A turn of one side is two calls, of which the second is timed: during the first its threads wake up and the other side's,
    which spin for a while after their last call, go to sleep. All sides are treated alike; a call that is too short to be timed
    by itself is repeated.
    """
    runners = {}
    for name, call in calls.items():
        call()
        lasts = min(seconds(call) for _ in range(3 if budget == math.inf else 2))
        at_once = max(1, math.ceil(SHORTEST / lasts))
        fit = budget / (2 * at_once * lasts)
        own = int(min(turns, max(least, fit)))
        runners[name] = _Runner(call, own, at_once, min(least, own))
    rates, dropped = _take_turns(list(runners.values()), machine)
    quiet = all(len(runner.times) >= runner.least for runner in runners.values()) and machine.was_quiet(*rates)
    times = {
        name: lower_quartile(runner.times if quiet else runner.times + runner.untrusted) for name, runner in runners.items()
    }
    return Race(times, (min(rates or dropped), max(rates or dropped)), quiet)


def _take_turns(runners: list[_Runner], machine: Machine) -> tuple[list[float], list[float]]:
    """Fills the runners' times; the rates at the looks around turns that count, and around those that were dropped."""
    rates: list[float] = []
    dropped: list[float] = []
    wasted, before = 0.0, machine.rate()
    while any(len(runner.times) < runner.turns for runner in runners) and wasted < PATIENCE:
        for runner in runners:
            runner.untrusted.clear()
        start = time.perf_counter()
        while any(runner.due for runner in runners) and time.perf_counter() < start + LOOK:
            for runner in runners:
                if runner.due:
                    runner.run()
                    runner.untrusted.append(runner.run())
        after = machine.rate()
        if machine.was_quiet(before, after):
            rates += [before, after]
            for runner in runners:
                runner.times += runner.untrusted
                runner.untrusted.clear()
        else:
            dropped += [before, after]
            wasted += time.perf_counter() - start
        before = after
    return rates, dropped


def relative_error(got: Any, expected: Any) -> float:
    """|got - expected| / |expected|; infinite where a number is not finite."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        return math.inf
    return float(np.linalg.norm(got.astype(np.float64) - expected) / max(float(np.linalg.norm(expected)), 1e-30))

"""Timing on a machine that is not alone: sides take turns, short calls are repeated, a busy machine is noticed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import guard, memory, ours
from minigen.backend import workspace
from minigen.kernels.tally import floor, tally
from minigen.random import Key


class Still(guard.Machine):
    """A machine whose rates are given."""

    def __init__(self, *rates):
        self.rates, self.best = list(rates), max(rates)

    def rate(self):
        return self.rates.pop(0)


def test_sides_take_turns_and_a_slow_one_fewer(monkeypatch):
    heard, now = [], [0.0]

    def side(name, lasts):
        def call():
            heard.append(name)
            now[0] += lasts

        return call

    monkeypatch.setattr(guard.time, "perf_counter", lambda: now[0])
    calls = {"fast": side("fast", 0.001), "slow": side("slow", 1.0), "short": side("short", 0.0001)}
    found = guard.race(calls, Still(100.0, 99.0), turns=8, least=3, budget=4.0)
    assert found.quiet
    assert found.times == {"fast": pytest.approx(0.001), "slow": pytest.approx(1.0), "short": pytest.approx(0.0001)}
    timed = "".join(name[0] if name != "short" else "t" for name in heard).removeprefix("fffssstt" + "t")
    assert timed.startswith("ffss" + 10 * "t" + "ffss")
    assert timed.count("s") == 2 * 3  # of eight turns it has the least
    assert timed.count("f") == 2 * 8


def test_a_busy_machine_is_noticed():
    assert not guard.race({"one": lambda: None}, Still(100.0, 84.0), turns=2).quiet
    assert guard.race({"one": lambda: None}, Still(86.0, 100.0), turns=2).quiet


def test_noise_only_adds_time():
    assert guard.lower_quartile([5.0, 1.0, 2.0, 9.0]) == 2.0


def test_an_error_that_nan_cannot_pass():
    good = np.ones(3, np.float32)
    assert guard.relative_error(good, good + 1e-3) == pytest.approx(1e-3, rel=1e-2)
    assert guard.relative_error(good * np.nan, good) == math.inf
    assert guard.relative_error(good[:2], good) == math.inf


@pytest.mark.parametrize("name", ours.CONFIGS)
def test_a_configuration_has_a_floor(name):
    """Every operation of a step is seen, the update of all parameters among them, and takes time at any roof."""
    made = ours.build(name, batch_size=2)
    with workspace(), tally() as seen:
        made.step(Key(1))
    names = {operation.name for operation in seen}
    assert names & {"matmul.matmul", "conv2d.forward", "masked_conv2d.forward"}
    assert "adam.step" in names or name == "rbm"
    assert floor(seen, 1e12, 1e11) > 0


def test_peak_memory_of_our_side():
    """A larger batch needs more, and code is a part of what lies above the imports."""
    small, large = memory.peak("ours", "vae", [2, 512])
    assert (small["batch"], large["batch"]) == (2, 512)
    assert large["above_code"] > small["above_code"] + 5
    assert large["above_imports"] >= large["above_code"]


def test_a_side_that_fails_says_so():
    with pytest.raises(RuntimeError, match="KeyError: 'nobody'"):
        memory.peak("ours", "nobody", [2])

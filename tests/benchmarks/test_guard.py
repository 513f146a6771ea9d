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
        """The next one; the last for ever."""
        return self.rates.pop(0) if len(self.rates) > 1 else self.rates[0]


class Clock:
    """A time that passes only in calls."""

    def __init__(self, monkeypatch):
        self.now, self.heard = 0.0, []
        monkeypatch.setattr(guard.time, "perf_counter", lambda: self.now)

    def side(self, name, *lasts):
        """A call of so many seconds: the first, the second and so on, and the last for ever."""
        ahead = list(lasts)

        def call():
            self.heard.append(name)
            self.now += ahead.pop(0) if len(ahead) > 1 else ahead[0]

        return call


def test_sides_take_turns_and_a_slow_one_fewer(monkeypatch):
    clock = Clock(monkeypatch)
    calls = {name: clock.side(name, lasts) for name, lasts in (("fast", 0.001), ("slow", 1.0), ("short", 0.0001))}
    found = guard.race(calls, Still(100.0, 99.0), turns=8, least=3, budget=4.0)
    assert found.quiet
    assert found.sgemm == (99.0, 100.0)
    assert found.times == {"fast": pytest.approx(0.001), "slow": pytest.approx(1.0), "short": pytest.approx(0.0001)}
    timed = "".join(name[0] if name != "short" else "t" for name in clock.heard).removeprefix("fffssstt" + "t")
    assert timed.startswith("ffss" + 10 * "t" + "ffss")
    assert timed.count("s") == 2 * 3  # of eight turns it has the least
    assert timed.count("f") == 2 * 8


def test_turns_on_a_busy_machine_are_dropped_and_taken_again(monkeypatch):
    """The second look finds it busy: the turn of 2 seconds before it does not count, nor does the one before the third look."""
    clock = Clock(monkeypatch)
    side = clock.side("one", *[0.6] * 5, 2.0, 2.0, *[0.6] * 100)  # four calls to plan by, then two a turn, a look after each
    found = guard.race({"one": side}, Still(100.0, 80.0, 100.0, 100.0), turns=3, least=3)
    assert found.quiet
    assert found.times == {"one": pytest.approx(0.6)}
    assert found.sgemm == (100.0, 100.0)
    assert len(clock.heard) == 4 + 2 * (2 + 3)


def test_a_short_race_is_taken_again_too(monkeypatch):
    """All its turns lie between two looks, of which the second finds the machine busy."""
    clock = Clock(monkeypatch)
    side = clock.side("one", *[0.1] * 4, *[0.3] * 6, 0.1)
    found = guard.race({"one": side}, Still(100.0, 80.0, 100.0, 100.0), turns=3, least=3)
    assert found.quiet
    assert found.times == {"one": pytest.approx(0.1)}


def test_a_machine_that_stays_busy_is_given_up(monkeypatch):
    clock = Clock(monkeypatch)
    found = guard.race({"one": clock.side("one", 0.5)}, Still(100.0, 84.0), turns=2)
    assert not found.quiet
    assert found.times == {"one": pytest.approx(0.5)}
    assert guard.PATIENCE <= clock.now < guard.PATIENCE + 4
    assert guard.race({"one": clock.side("one", 0.5)}, Still(86.0, 100.0), turns=2).quiet


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

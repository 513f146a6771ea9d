"""Both sides of a training step begin as one model and stay it; the columns of a row. Needs PyTorch, the other side."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="the opponent is PyTorch, which is installed with the extra 'dev' only")

from benchmarks import agreement, steps, torch_steps
from benchmarks.guard import Race
from benchmarks.pairs import PAIRS
from minigen.kernels.tally import Operation
from minigen.random import Key


@pytest.mark.parametrize("name", PAIRS)
def test_the_first_steps_are_the_same(name):
    pair = PAIRS[name](torch_steps.build(name, batch_size=4))
    agreement.check(name, pair)
    for i in range(2):
        pair.step_both(Key(1).at(i))
    agreement.check_losses(name, "third", pair.losses(Key(2)), 1e-3)


def test_a_side_with_other_weights_is_refused():
    pair = PAIRS["vae"](torch_steps.build("vae", batch_size=4))
    pair.model.theta[:] *= 1.01
    with pytest.raises(AssertionError, match="vae: the first elbo is"):
        agreement.check("vae", pair)


def test_where_pytorch_parts_from_itself_the_comparison_ends():
    apart = {5: {"d": (1.0, 1.0001)}, 10: {"d": (1.0, 1.001)}, 15: {"d": (1.0, 1.1)}, 20: {"d": (1.0, 1.0)}}
    assert agreement.last_agreement(apart) == 10
    with pytest.raises(AssertionError, match="after 5 steps already"):
        agreement.last_agreement({5: {"d": (1.0, 1.1)}})


def test_columns():
    quiet, busy = (Race({"ours": 0.002, "peer": 0.004}, (100.0, 100.0), still) for still in (True, False))
    assert steps.times(quiet) == {"ours_ms": 2.0, "peer_ms": 4.0, "ratio": 0.5}
    assert set(steps.times(busy).values()) == {None}
    assert steps.better({"a": quiet, "b": Race({"ours": 0.001, "peer": 0.003}, (1.0, 1.0), True), "c": busy}) == "b"
    row = steps.with_floor({**steps.times(quiet), "peer_format": "a"}, [Operation("x", "", 10**6, 0, 0)], 1e9, 1e9)
    assert list(row) == ["ours_ms", "peer_ms", "ratio", "floor_ms", "over_floor", "peer_format"]
    assert (row["floor_ms"], row["over_floor"]) == (1.0, 2.0)
    assert steps.geometric_mean([0.5, 0.8]) == round(math.sqrt(0.4), 3)
    assert steps.geometric_mean([0.5, None]) is None

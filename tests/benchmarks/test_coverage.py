"""The harness of mode coverage: a training that was stopped goes on as if nothing had been, and records are kept by seed."""

import json

import numpy as np
import pytest

from benchmarks import coverage
from minigen.models.wgan_gp import WGANGP
from minigen.random import Key

COURSE = {"batch": 16, "steps": 16, "rate": 1e-3}


def small():
    return WGANGP((2,), Key(0), latents=2, hidden=8, critic_steps=3, decay=True, scale=2.83)


def without_times(record):
    return [{key: value for key, value in point.items() if key != "cpu_seconds"} for point in record["course"]]


def test_a_training_goes_on_where_it_was_stopped(tmp_path):
    whole, cut, again = small(), small(), small()
    expected = coverage.train(whole, "grid25", Key(1), **COURSE, keep=tmp_path / "whole.npz")
    keep, step, taken = tmp_path / "deep" / "cut.npz", cut.step, []

    def stop_at_the_eighth(batch, key):
        taken.append(key)
        if len(taken) == 8:
            raise KeyboardInterrupt
        return step(batch, key)

    cut.step = stop_at_the_eighth
    with pytest.raises(KeyboardInterrupt):
        coverage.train(cut, "grid25", Key(1), **COURSE, keep=keep)
    found = coverage.train(again, "grid25", Key(1), **COURSE, keep=keep)
    np.testing.assert_array_equal(again.theta, whole.theta)
    assert json.dumps(without_times(found)) == json.dumps(without_times(expected))
    assert [point["step"] for point in found["course"]] == list(range(2, 17, 2))
    assert not keep.exists()


def test_records_are_kept_by_treatment_and_seed(tmp_path):
    path = tmp_path / "results" / "some.json"
    record = {"modes": 3, "quality": 0.5, "reverse_kl": 0.1, "cpu_seconds": 1.0, "sigma_ratio": float("nan")}
    order = {"first": {}, "second": {}}
    for name, seed, modes in (("second", 0, 1), ("first", 1, 2), ("first", 0, 4), ("second", 0, 9)):
        coverage.save(path, {**record, "treatment": name, "seed": seed, "modes": modes}, order, command="c")
    assert [(r["treatment"], r["seed"], r["modes"]) for r in coverage.load(path)] == [
        ("first", 0, 4),
        ("first", 1, 2),
        ("second", 0, 9),
    ]
    assert json.loads(path.read_text())["summary"]["first"]["modes"] == 3
    assert json.loads(path.read_text())["summary"]["second"]["sigma_ratio"] is None

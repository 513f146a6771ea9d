"""The kernels' benchmark: its list, its gate, its columns. Needs PyTorch, the opponent."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the opponent is PyTorch, which is installed with the extra 'dev' only")

from benchmarks import kernels, numpy_blas
from benchmarks.guard import Race
from minigen.kernels.tally import Operation

SMALL = [case for case in kernels.cases() if case.kind in ("ragged", "1-D, ragged")]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.name} {case.shape}")
def test_rungs_and_peers_pass_the_gate(case):
    """Every ladder has a ragged shape in the list."""
    rungs = kernels.Rungs(case)
    for rung in rungs.names:
        rungs.call(rung)
    rungs.peers()


def test_every_function_has_reference_shapes():
    listed = {case.name for case in kernels.cases()}
    assert {case.name for case in kernels.cases() if case.kind == "reference"} == listed
    assert {case.name for case in SMALL} == listed
    assert {case.kind for case in kernels.selected(["matmul"])} == {"reference", "ragged", "batch 1", "large"}
    with pytest.raises(ValueError, match=r"unknown kernel conv3d: there is .*activation, "):
        kernels.selected(["conv3d"])


def test_a_wrong_rung_is_refused(monkeypatch):
    (case,) = [case for case in SMALL if case.name == "adam.step"]
    rungs = kernels.Rungs(case)
    step = rungs.ladder.load("one_pass").step
    monkeypatch.setattr(rungs.ladder.load("one_pass"), "step", lambda *a, **o: step(*a, **{**o, "rate": 2e-3}))
    with pytest.raises(AssertionError, match=r"adam.step 12,347 parameters, one_pass: .* from the float64 definition"):
        rungs.call("one_pass")


def test_columns_and_summary():
    race = Race({"top": 0.001, "peer best": 0.0005}, (1.0, 1.0), True)
    assert kernels.columns("top", race, "peer best", 0.002) == {"ms": 1.0, "of_pytorch": 0.5, "peer_ms": 0.5, "of_numpy": 2.0}
    work = Operation("a", "", 10**6, 100, 100)
    row = kernels.with_roof({"work": work, "ms": 1.0}, flops=4e9, bandwidth=1e9)
    assert row == {"ms": 1.0, "rate": 1.0, "unit": "GFLOP/s", "of_roof": 0.25}
    assert kernels.with_roof({"work": work, "ms": None}, 1e15, 1e3) == {
        "ms": None,
        "rate": None,
        "unit": "GB/s",
        "of_roof": None,
    }
    shares = (0.5, 2.0, None)
    rows = [{"operation": "a.f", "chosen": True, "kind": "reference", "of_pytorch": share} for share in shares]
    rows += [{**rows[0], "chosen": False, "of_pytorch": 9.0}, {**rows[0], "kind": "ragged", "of_pytorch": 9.0}]
    assert kernels.summary(rows) == {"a.f": {"geometric_mean": 1.0, "lowest": 0.5, "shapes": 2, "not_measured": 1}}


def test_rungs_that_do_some_shapes_are_timed_where_they_fit():
    of = {
        (case.name, case.shape): kernels.Rungs(case) for case in kernels.selected(["conv2d.forward"]) if case.kind == "batch 1"
    }
    assert {rungs.chosen for rungs in of.values()} <= {"direct", "winograd"}
    assert [rungs.names[4:] for rungs in of.values()] == [[], ["winograd"]]
    products = [kernels.Rungs(case) for case in kernels.selected(["matmul"]) if "784" in case.shape]
    assert {rungs.chosen for rungs in products if rungs.case.kind == "batch 1"} == {"few"}
    assert all(("few" in rungs.names) == (rungs.case.kind == "batch 1") for rungs in products)


def test_numpy_is_timed_in_a_process_of_its_own():
    times = numpy_blas.measure([[8, 16, 4, 0, 1], [8, 16, 4, 1, 0]], threads=1)
    assert len(times) == 2
    assert all(0 < time < 1 for time in times)

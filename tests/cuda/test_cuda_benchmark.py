"""benchmarks.gpu without a GPU: its gates and its table, on the array that stands for CuPy's."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import gpu, gpu_cases, gpu_steps
from benchmarks.ours import CONFIGS
from minigen.check import ProofError
from minigen.check.device_array import DEVICE, running_cuda, to_test_device
from minigen.kernels import matmul
from minigen.models.rbm import RBM
from minigen.models.vae import VAE
from minigen.random import Key

TINY = (((2, 5, 6, 3), 3, 4, 1, 1),)


def tiny_cases():
    yield from gpu_cases.matrix_cases(((20, 9, 33),))
    yield from gpu_cases.image_cases(TINY)
    yield from gpu_cases.memory_cases(320, 64)
    yield from gpu_cases.rung_cases(33)


def tiny_jobs():
    return map(gpu.of_case, tiny_cases())


@pytest.fixture
def device():
    with running_cuda():
        yield gpu_cases.Device(to_test_device, lambda: None, name=DEVICE)


def test_every_case_is_right_and_timed(device):
    rows = gpu.table(tiny_jobs(), device, 5)
    assert len(rows) == 3 + 6 + 5 + 8
    for row in rows:
        assert row.ours_ms is not None, row
        assert row.ours_ms > 0, row
        assert row.peer_ms is row.of_peer is None
        assert row.note == "peer unmeasured: no PyTorch with CUDA"


@pytest.mark.parametrize("spoilt", [lambda c: c * 1.001, lambda c: c * np.float32(np.nan)])
def test_what_is_wrong_is_not_timed(device, spoilt):
    case = next(gpu_cases.matrix_cases(((20, 9, 33),)))
    case.ours = lambda a, b: spoilt(matmul.matmul(a, b))
    row = gpu.measured(case, device)
    assert row.note.startswith("WRONG: error")
    assert row.ours_ms is None


def test_a_case_that_fails_does_not_cost_the_table(device):
    def broken(a, b):
        raise ValueError("no such grid")

    case = next(gpu_cases.matrix_cases(((2, 2, 2),)))
    case.ours = broken
    rows = gpu.table(map(gpu.of_case, (case, next(gpu_cases.memory_cases(320, 64)))), device, 5)
    assert rows[0].note == "WRONG: ValueError: no such grid"
    assert rows[1].ours_ms > 0


def test_what_is_not_installed_is_unmeasured(device):
    def needs(a, b):
        raise ModuleNotFoundError("No module named 'numba'", name="numba")

    case = next(gpu_cases.matrix_cases(((2, 2, 2),)))
    case.ours = needs
    (row,) = gpu.table([gpu.of_case(case)], device, 5)
    assert row.note == "unmeasured: it needs numba, which is not installed"


def test_targets_are_met_missed_or_unmeasured():
    """Every target has rows in the table; of rows that take half the peer's time all are met, at twice that none, and one that
    is empty leaves its own open."""
    rows = [row for job in gpu.jobs() for row in job.rows]
    assert all(any(map(target.of, rows)) for target in gpu.targets())
    for ours_ms, verdict in ((0.5, "met"), (2, "missed")):
        timed = [replace(row, ours_ms=ours_ms, peer_ms=1.0) for row in rows]
        assert {target.line(timed).rpartition(" ")[2] for target in gpu.targets()} == {verdict}
    timed = [replace(row, ours_ms=0.5, peer_ms=None if row.operation == "step gan" else 1.0) for row in rows]
    lines = [target.line(timed) for target in gpu.targets()]
    assert sum("unmeasured, 7 of 8 rows" in line for line in lines) == 3


def test_no_time_left_is_said(device):
    rows = gpu.table(tiny_jobs(), device, -1)
    assert rows[0].note == "unmeasured: no time left"


# ---- training steps


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Configurations that a CPU can stand in for."""
    vae, rbm = CONFIGS["vae"], CONFIGS["rbm"]
    make = lambda: VAE((6,), Key(0), hidden=8, latents=3)
    monkeypatch.setitem(CONFIGS, "vae", replace(vae, make=make, rows=(6,), batch_size=4))
    make = lambda: RBM((2, 3, 1), Key(0), hidden=4, persistent=False, centered=False, final_rate=1.0)
    monkeypatch.setitem(CONFIGS, "rbm", replace(rbm, make=make, rows=(6,), batch_size=4))


def test_a_step_is_the_cpus_and_the_same_bits(device, monkeypatch):
    monkeypatch.setattr(gpu_steps, "STEPS", 3)
    rows = list(gpu_steps.step_rows("vae", device, runs=1))
    assert [row.shape for row in rows] == list(gpu_steps.SIDES)
    for row in rows:
        assert 0 < row.error < 1e-4
        assert row.ours_ms > 0
        assert row.note == "peer unmeasured: no PyTorch with CUDA"


def test_a_step_that_cannot_be_captured_says_why(device, monkeypatch):
    monkeypatch.setattr(RBM, "uncaptured", "it asks the host")
    rows = list(gpu_steps.step_rows("rbm", device, runs=1))
    assert rows[0].ours_ms > 0
    assert [row.ours_ms for row in rows[1:]] == [None, None]
    assert {row.note for row in rows[1:]} == {"unmeasured: a step of rbm is not captured: it asks the host"}


def test_steps_that_differ_are_wrong(device, monkeypatch):
    def differs(name, device):
        return "captured and eager differ"

    monkeypatch.setattr(gpu_steps, "disagreement", lambda name, device: 1e-6)
    monkeypatch.setattr(gpu_steps, "unequal", differs)
    rows = list(gpu_steps.step_rows("vae", device))
    assert {row.note for row in rows} == {"WRONG: captured and eager differ"}
    monkeypatch.setattr(gpu_steps, "disagreement", lambda name, device: float("nan"))
    assert {row.note for row in gpu_steps.step_rows("vae", device)} == {
        "WRONG: gradients differ from the CPU's by nan, allowed is 2e-04"
    }


# ---- the proof


def test_a_proof_is_a_row(device, monkeypatch):
    assert gpu.proved("rbm", device).error < 1e-9

    def wrong(name, device):
        raise ProofError("rbm: the gradient is not that of the loss, for\n    W", [])

    monkeypatch.setattr(gpu, "check_model", wrong)
    assert gpu.proved("rbm", device).note == "WRONG: rbm: the gradient is not that of the loss, for"


@pytest.mark.needs_no_compiler
def test_without_a_gpu_there_is_one_message(monkeypatch, capsys):
    def missing():
        raise RuntimeError("device 'cuda' needs an NVIDIA GPU")

    monkeypatch.setattr(gpu.backend, "cupy", missing)
    for part in ("matrix_cases", "image_cases", "rung_cases"):
        monkeypatch.setattr(gpu, part, lambda: iter(()))
    monkeypatch.setattr(gpu, "memory_cases", lambda: gpu_cases.memory_cases(320, 64))
    assert gpu.main(["--json"]) == 1
    said = capsys.readouterr()
    assert said.err == "nothing can be measured: device 'cuda' needs an NVIDIA GPU\n"
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert {row["note"] for row in rows} == {"unmeasured: no GPU"}
    assert {row["operation"].split()[0] for row in rows} == {"silu", "softmax", "moments", "adam", "attention", "step", "proof"}
    assert rows[0]["ours_ms"] is None
    assert gpu.main([]) == 1
    assert "unmeasured: no GPU" in capsys.readouterr().out

"""benchmarks.gpu without a GPU: its gate and its table, on the array that stands for CuPy's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import gpu
from minigen.check.device_array import running_cuda, to_test_device
from minigen.kernels import matmul

TINY = (((2, 5, 6, 3), 3, 4, 1, 1),)


def tiny_cases():
    yield from gpu.matrix_cases(((20, 9, 33),))
    yield from gpu.image_cases(TINY)
    yield from gpu.memory_cases(300)


@pytest.fixture
def device():
    with running_cuda():
        yield gpu.Device(to_test_device, lambda: None)


def test_every_case_is_right_and_timed(device):
    rows = gpu.table(tiny_cases(), device, 5)
    made = rows[: -len(gpu.NOT_WRITTEN)]
    assert len(made) == 3 + 6 + 1
    for row in made:
        assert row.ours_ms > 0, row
        assert row.peer_ms is row.of_peer is None
        assert row.note == "peer unmeasured: no PyTorch with CUDA"
    assert all(row.note == "unmeasured: not written yet" for row in rows[-len(gpu.NOT_WRITTEN) :])


@pytest.mark.parametrize("spoilt", [lambda c: c * 1.001, lambda c: c * np.float32(np.nan)])
def test_what_is_wrong_is_not_timed(device, spoilt):
    case = next(gpu.matrix_cases(((20, 9, 33),)))
    case.ours = lambda a, b: spoilt(matmul.matmul(a, b))
    row = gpu.measured(case, device)
    assert row.note.startswith("WRONG: error")
    assert row.ours_ms is None


def test_a_case_that_fails_does_not_cost_the_table(device):
    def broken(a, b):
        raise ValueError("no such grid")

    case = next(gpu.matrix_cases(((2, 2, 2),)))
    case.ours = broken
    rows = gpu.table(iter((case, *gpu.memory_cases(3))), device, 5)
    assert rows[0].note == "WRONG: ValueError: no such grid"
    assert rows[1].ours_ms > 0


def test_no_time_left_is_said(device):
    rows = gpu.table(tiny_cases(), device, -1)
    assert rows[0].note == "unmeasured: no time left"


@pytest.mark.needs_no_compiler
def test_without_a_gpu_there_is_one_message(monkeypatch, capsys):
    def missing():
        raise RuntimeError("device 'cuda' needs an NVIDIA GPU")

    monkeypatch.setattr(gpu.backend, "cupy", missing)
    monkeypatch.setattr(gpu, "matrix_cases", lambda: gpu.memory_cases(10))
    monkeypatch.setattr(gpu, "image_cases", lambda: iter(()))
    assert gpu.main(["--json"]) == 1
    said = capsys.readouterr()
    assert said.err == "nothing can be measured: device 'cuda' needs an NVIDIA GPU\n"
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert rows[0]["note"] == "unmeasured: no GPU"
    assert rows[0]["ours_ms"] is None
    assert gpu.main([]) == 1
    assert "unmeasured: not written yet" in capsys.readouterr().out

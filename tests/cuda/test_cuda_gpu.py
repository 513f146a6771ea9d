"""On a GPU: every operation, every proof, the kernels under compute-sanitizer. `pytest -m gpu`.

Without one these are deselected, and the same is asked of the arrays that stand for CuPy's (test_cuda_dispatch.py). Elsewhere,
with the place as a parameter: the kernels' own cases (test_cuda_cases.py, test_cuda_numba.py), layers
(tests/check/test_every_layer.py), training steps (test_cuda_steps.py, tests/models/test_captured.py), runs (test_cuda_runs.py).

What the last tests here start, for one who wants to read all of it (or with racecheck, synccheck):

    PYTHONPATH=. compute-sanitizer --tool memcheck python tests/cuda/under_sanitizer.py gpu cases
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_cases import close
from test_cuda_dispatch import OPERATIONS

from minigen import backend, models
from minigen.check import check_model
from minigen.kernels import rungs
from minigen.random import Key

pytestmark = [pytest.mark.gpu, pytest.mark.needs_no_compiler]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation(name):
    function, arrays = OPERATIONS[name]
    got = function(*(backend.to_device(x, "cuda") for x in arrays))
    with rungs("definition"):
        expected = function(*(x.astype(np.float64) for x in arrays))
    for part, exact in zip(*(v if isinstance(v, tuple) else (v,) for v in (got, expected)), strict=True):
        close(np.asarray(backend.to_device(part, "cpu"), np.float64), np.asarray(exact), 3e-6)


def test_words_are_the_same_integers():
    like = backend.to_device(np.zeros(1, np.float32), "cuda")
    for n in (1, 1001, 1 << 20):
        assert np.array_equal(backend.to_device(Key(3).bits(n, like=like), "cpu"), Key(3).bits(n))
        assert np.array_equal(backend.to_device(Key(3).uniform(n, like=like), "cpu"), Key(3).uniform(n))
        assert np.abs(backend.to_device(Key(3).normal(n, like=like), "cpu") - Key(3).normal(n)).max() <= 4e-6
    for n in (1, 257, 10_000):
        assert np.array_equal(backend.to_device(Key(3).permutation(n, like=like), "cpu"), Key(3).permutation(n))


@pytest.mark.parametrize("name", models.names())
def test_every_gradient_is_proved(name):
    """In float64 and complex128, on the definitions, as CuPy runs them."""
    assert check_model(name, device="cuda")


# ---- under compute-sanitizer, in a process of its own


def sanitized(tool, what):
    """under_sanitizer.py on the GPU, with that tool; it ends with 3 where the tool found anything."""
    if shutil.which("compute-sanitizer") is None:
        pytest.skip("compute-sanitizer is not on the path: it is in the bin of CUDA's toolkit")
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "3"]
    script = str(Path(__file__).parent / "under_sanitizer.py")
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command += [sys.executable, script, "gpu", what]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=560, check=False)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
def test_every_kernel_is_clean(tool):
    done = sanitized(tool, "cases")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert max(int(line) for line in done.stdout.splitlines() if line.isdigit()) > 50  # cases


@pytest.mark.parametrize(("tool", "kernel"), [("memcheck", "write_beyond"), ("racecheck", "reverse_without_barrier")])
def test_a_planted_fault_is_found(tool, kernel):
    done = sanitized(tool, kernel)
    assert done.returncode == 3, (done.stdout + done.stderr)[-3000:]
    assert kernel in done.stdout

"""On a GPU: every operation, every proof, a run. `pytest -m gpu`; the kernels' own cases are in test_cuda_cases.py.

Without one these are deselected, and the same is asked of the arrays that stand for CuPy's (test_cuda_dispatch.py,
tests/models/test_captured.py, tests/training/test_training_device.py).
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from cuda_cases import close
from test_cuda_dispatch import OPERATIONS

from minigen import backend, models
from minigen.check import check_model
from minigen.kernels import rungs
from minigen.random import Key
from minigen.training import Run

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


@pytest.mark.parametrize("name", models.names())
def test_every_gradient_is_proved(name):
    """In float64 and complex128, on the definitions, as CuPy runs them."""
    assert check_model(name, device="cuda")


@pytest.mark.parametrize("eager", [False, True])
def test_a_run_has_the_cpus_curve_and_the_same_bits_again(tmp_path, eager):
    given = {"steps": 40, "data_options": {"rows": 600}}
    curves, parameters = [], []
    for name, device in (("host", "cpu"), ("there", "cuda"), ("again", "cuda")):
        run = Run.create("vae", out=tmp_path / name, device=device, **given)
        run.train(eager=eager)
        lines = map(json.loads, run.log.path.read_text().splitlines())
        curves.append(np.array([list(line["terms"].values()) for line in lines if line["kind"] == "train"]))
        parameters.append(backend.to_device(run.model.theta, "cpu"))
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-3)
    assert np.array_equal(curves[1], curves[2])
    assert np.array_equal(parameters[1], parameters[2])

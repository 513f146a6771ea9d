"""CUDA kernels on the CPU, or on a GPU: what all of these tests need."""

from __future__ import annotations

from dataclasses import replace

import pytest
import travelling

from benchmarks.ours import CONFIGS
from minigen import backend
from minigen.kernels.cuda import on_cpu
from minigen.models.rbm import RBM
from minigen.models.vae import VAE
from minigen.random import Key


@pytest.fixture(autouse=True)
def poisoned(request):
    """Outputs are NaN before a kernel runs; without a compiler nothing can run."""
    if on_cpu.compiler() is None and not {"needs_no_compiler", "gpu"} & set(request.keywords):
        pytest.skip("kernels run on the CPU through g++, and there is none here: install g++, or set CXX to its path")
    with backend.workspace(backend.Workspace(poison=True)):
        yield


@pytest.fixture(
    params=[*on_cpu.ORDERS, pytest.param("gpu", marks=pytest.mark.gpu)], ids=["forwards", "backwards", "shuffled", "gpu"]
)
def place(request):
    """Where a case runs: on the CPU in one of the orders of threads and blocks, or on a GPU (pytest -m gpu)."""
    with travelling.running() if request.param == "gpu" else on_cpu.running(request.param):
        yield


@pytest.fixture(params=on_cpu.ORDERS, ids=["forwards", "backwards", "shuffled"])
def order(request):
    """A kernel must give its result in every order of threads and blocks."""
    with on_cpu.running(request.param):
        yield request.param


@pytest.fixture
def small_configurations(monkeypatch):
    """Of the benchmark's configurations two that a CPU can stand in for; PyTorch's stay as they are."""
    vae, rbm = CONFIGS["vae"], CONFIGS["rbm"]
    make = lambda: VAE((6,), Key(0), hidden=8, latents=3)
    monkeypatch.setitem(CONFIGS, "vae", replace(vae, make=make, rows=(6,), batch_size=4))
    make = lambda: RBM((2, 3, 1), Key(0), hidden=4, persistent=False, centered=False, final_rate=1.0)
    monkeypatch.setitem(CONFIGS, "rbm", replace(rbm, make=make, rows=(6,), batch_size=4))

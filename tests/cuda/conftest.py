"""CUDA kernels on the CPU, or on a GPU: what all of these tests need."""

from __future__ import annotations

import numpy as np
import pytest

from minigen import backend
from minigen.kernels.cuda import on_cpu, on_gpu


@pytest.fixture(autouse=True)
def poisoned(request):
    """Outputs are NaN before a kernel runs; without a compiler nothing can run."""
    if on_cpu.compiler() is None and not {"needs_no_compiler", "gpu"} & set(request.keywords):
        pytest.skip("kernels run on the CPU through g++, and there is none here: install g++, or set CXX to its path")
    with backend.workspace(backend.Workspace(poison=True)):
        yield


def launch_on_the_gpu(source, kernel, grid, block, arguments, shared=0):
    """A launch with arrays of the host: they travel there, and back."""
    cupy = backend.cupy()
    there = {id(x): cupy.asarray(x) for x in arguments if isinstance(x, np.ndarray)}
    on_gpu.launch(source, kernel, grid, block, tuple(there.get(id(x), x) for x in arguments), shared)
    for x in arguments:
        if id(x) in there:
            x[...] = there[id(x)].get()


@pytest.fixture(
    params=[*on_cpu.ORDERS, pytest.param("gpu", marks=pytest.mark.gpu)], ids=["forwards", "backwards", "shuffled", "gpu"]
)
def place(request, monkeypatch):
    """Where a case runs: on the CPU in one of the orders of threads and blocks, or on a GPU (pytest -m gpu)."""
    if request.param == "gpu":
        monkeypatch.setattr(on_cpu, "launch", launch_on_the_gpu)
        yield
        return
    with on_cpu.running(request.param):
        yield


@pytest.fixture(params=on_cpu.ORDERS, ids=["forwards", "backwards", "shuffled"])
def order(request):
    """A kernel must give its result in every order of threads and blocks."""
    with on_cpu.running(request.param):
        yield request.param

"""CUDA kernels on the CPU: what all of these tests need."""

from __future__ import annotations

import pytest

from minigen import backend
from minigen.kernels.cuda import on_cpu


@pytest.fixture(autouse=True)
def poisoned(request):
    """Outputs are NaN before a kernel runs; without a compiler nothing can run."""
    if on_cpu.compiler() is None and "needs_no_compiler" not in request.keywords:
        pytest.skip("kernels run on the CPU through g++, and there is none here: install g++, or set CXX to its path")
    with backend.workspace(backend.Workspace(poison=True)):
        yield


@pytest.fixture(params=on_cpu.ORDERS, ids=["forwards", "backwards", "shuffled"])
def order(request):
    """A kernel must give its result in every order of threads and blocks."""
    with on_cpu.running(request.param):
        yield request.param

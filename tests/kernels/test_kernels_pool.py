"""One pool of threads: BLAS steps back when the first kernel is loaded, and `threads` sets the size."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minigen import kernels
from minigen.kernels import pool

SOURCE = """
import numpy as np, threadpoolctl
from minigen import kernels
from minigen.kernels import matmul, pool, rungs
blas = lambda: [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
kernels.threads(1)
a = np.ones((8, 8), np.float32)
with rungs("definition"):
    matmul.matmul(a, a)
import sys
print("numba" in sys.modules)
with rungs("numba"):
    matmul.matmul(a, a)
print(set(blas()) <= {1}, pool.thread_count())
"""


def test_blas_steps_back_when_the_first_kernel_is_loaded():
    result = subprocess.run(
        [sys.executable, "-c", SOURCE], env=dict(os.environ), capture_output=True, text=True, timeout=300, check=True
    )
    assert result.stdout.split() == ["False", "True", "1"]


def test_threads_for_a_block_and_from_now_on():
    before = pool.thread_count()
    with kernels.threads(1):
        assert pool.thread_count() == 1
    assert pool.thread_count() == before
    kernels.threads(1)
    assert pool.thread_count() == 1
    kernels.threads(before)
    assert pool.thread_count() == before


def test_threads_are_checked():
    with pytest.raises(ValueError, match="at least one is needed, got 0"):
        kernels.threads(0)
    with pytest.raises(ValueError, match="threads: 100000 are asked for"):
        kernels.threads(100_000)

"""NumPy's BLAS on matrix products, in a process of its own: two pools of threads would fight (see `kernels/pool.py`).

    echo '[[128, 784, 400, 0, 0]]' | python -m benchmarks.numpy_blas      M, K, N, and whether a or b is transposed

prints the lower quartile of each product in seconds. Within `benchmarks.kernels` it runs between two readings of the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.guard import SHORTEST, lower_quartile, seconds

TURNS = 15


def product(m: int, k: int, n: int, transpose_a: int, transpose_b: int) -> float:
    """Seconds of one."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, m) if transpose_a else (m, k), np.float32)
    b = rng.standard_normal((n, k) if transpose_b else (k, n), np.float32)
    a, b, c = a.T if transpose_a else a, b.T if transpose_b else b, np.empty((m, n), np.float32)
    call = lambda: np.matmul(a, b, out=c)
    call()
    at_once = max(1, round(SHORTEST / min(seconds(call) for _ in range(3))))
    return lower_quartile([seconds(lambda: [call() for _ in range(at_once)]) / at_once for _ in range(TURNS)])


def measure(products: Sequence[Sequence[int]], threads: int) -> list[float]:
    """Seconds of each, in a new process whose BLAS has that many threads."""
    settings = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.numpy_blas"]
    run = subprocess.run(command, input=json.dumps(products), env=settings, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(run.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps([product(*sizes) for sizes in json.load(sys.stdin)]))

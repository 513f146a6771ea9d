"""Runs the Numba CUDA rungs in Numba's simulator, in a process that was started with NUMBA_ENABLE_CUDASIM=1.

python tests/cuda/under_simulator.py           every rung at every size; prints how many
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from cuda_cases import close

from minigen import backend
from minigen.kernels.matmul import numba_cuda
from minigen.random import Key

SHAPES = ((16, 16, 16), (5, 7, 3), (17, 9, 20), (1, 18, 4), (18, 1, 1), (1, 1, 1))

if __name__ == "__main__":
    runs = 0
    for rung in numba_cuda.RUNGS:
        for m, n, k in SHAPES:
            a, b = Key(m).normal((m, k)), Key(n).normal((k, n))
            with backend.workspace(backend.Workspace(poison=True)):
                c = numba_cuda.teach(rung, a, b)
            assert c.dtype == np.float32
            close(c, a.astype(np.float64) @ b.astype(np.float64), 1e-6)
            runs += 1
    print(runs)

"""Runs the Numba CUDA rungs in Numba's simulator, in a process that was started with NUMBA_ENABLE_CUDASIM=1.

python tests/cuda/under_simulator.py           every rung at every size; prints how many
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from numba_cases import SHAPES, check

from minigen.kernels.matmul.numba_cuda import RUNGS

if __name__ == "__main__":
    runs = [check(rung, shape) for rung in RUNGS for shape in SHAPES]
    print(len(runs))

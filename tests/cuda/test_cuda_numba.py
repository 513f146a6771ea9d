"""The rungs in Numba CUDA, in Numba's simulator: a process of its own, since it takes the place of the real compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_no_compiler
SCRIPT = Path(__file__).parent / "under_simulator.py"


def simulated(*command: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], env=settings, capture_output=True, text=True, timeout=250, check=False)


def test_every_rung_at_every_size():
    done = simulated(str(SCRIPT))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["18"]


def test_a_read_beyond_an_array_is_noticed():
    """The check of the rows left out: the simulator names the index."""
    code = (
        "import numpy as np\nfrom numba import cuda\n"
        "@cuda.jit\ndef beyond(x, y):\n    i = cuda.grid(1)\n    y[i] = x[i]\n"
        "beyond[2, 4](np.zeros(5, np.float32), np.zeros(5, np.float32))\n"
    )
    done = simulated("-c", code)
    assert done.returncode != 0
    assert "out of bounds" in done.stderr

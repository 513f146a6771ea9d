"""The rungs in Numba CUDA: in Numba's simulator, in a process of its own, since it takes the place of the real compiler; and
on a GPU (pytest -m gpu)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigen import backend

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


# ---- on a GPU


@pytest.fixture(scope="module")
def cases():
    """The cases, where Numba has a compiler for the GPU; numba-cuda brings one for the CUDA that CuPy runs on."""
    remedy = "pip install 'numba-cuda[cu13]'"
    pytest.importorskip("numba.cuda", reason=f"Numba has no CUDA here: {remedy}", exc_type=ImportError)
    import numba_cases

    if not numba_cases.numba_cuda.cuda.is_available():
        pytest.skip(f"Numba finds no driver or no NVVM here: {remedy}")
    return numba_cases


@pytest.mark.gpu
# Few blocks leave a GPU idle, and the host's arrays travel: both are meant here.
@pytest.mark.filterwarnings("ignore:Grid size", "ignore:Host array used in CUDA kernel")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("rung", ["naive", "coalesced", "shared_tile"])
def test_a_rung_on_a_gpu(cases, rung, device):
    """NumPy's arrays travel there and back; CuPy's are read where they lie, and the product is one of theirs."""
    assert rung in cases.numba_cuda.RUNGS
    for shape in cases.SHAPES:
        cases.check(rung, shape, lambda x: backend.to_device(x, device))

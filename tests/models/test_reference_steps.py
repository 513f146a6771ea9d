"""Training steps of the reference configurations, in small: one pool of threads, and memory that does not grow."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from minigen.backend import workspace
from minigen.kernels import rungs
from minigen.models import find
from minigen.random import Key

SMALL = {
    "vae": {"hidden": 24},
    "gan": {"hidden": 16},
    "dcgan": {"width": 8},
    "wgan_gp": {"width": 8},
    "realnvp": {"hidden": 24, "depth": 2},
    "pixelcnn": {"width": 8, "layers": 2},
    "ddpm": {"width": 16},
    "rbm": {"hidden": 24},
}

# One step of every configuration in turn, on the kernels, and after each how many threads any BLAS may use.
POOLS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import threadpoolctl
from test_reference_steps import SMALL, small
from minigen.kernels import rungs
for name in SMALL:
    with rungs("numba"):
        small(name)(0)
    libraries = threadpoolctl.threadpool_info()
    print(name, max(library["num_threads"] for library in libraries if library["user_api"] == "blas"))
"""


def small(name):
    """One training step of a small model, by its number."""
    shape = (784,) if name == "realnvp" else (28, 28, 1)
    model = find(name)(shape, Key(0), **SMALL[name])
    model.start(1e-3, 100)
    batch = Key(1).uniform((4, *shape)) > 0.5
    rows = batch.reshape(4, -1) if name == "rbm" else batch
    return lambda i: model.step(rows.astype("float32"), Key(2).at(i))


def test_no_step_goes_back_to_two_pools():
    """A BLAS with threads of its own beside Numba's fights with them: see `kernels/pool.py`."""
    settings = {**os.environ, "NUMBA_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    run = subprocess.run([sys.executable, "-c", POOLS], env=settings, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert dict(line.split() for line in run.stdout.splitlines()) == dict.fromkeys(SMALL, "1")


@pytest.mark.parametrize("name", SMALL)
def test_memory_does_not_grow_from_step_to_step(name):
    """Neither the workspace, nor what is kept outside it, nor the number of arrays that are alive.

    A critic's fifth step moves its generator too: ten steps bring everything there is.
    """
    step = small(name)
    with rungs("numba"), workspace() as space:
        for i in range(10):
            step(i)
        allocated, in_use = space.allocated, space.in_use
        tracemalloc.start()
        kept = []
        for i in range(10, 30):
            step(i)
            if i % 10 == 9:
                gc.collect()
                kept.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert (space.allocated, space.in_use) == (allocated, in_use)
    assert allocated > 0
    assert kept[1] - kept[0] < 10_000, f"{kept[1] - kept[0]} bytes more after ten steps"

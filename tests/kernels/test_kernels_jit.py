"""Compiling: said once, kept on disk, counted. One process compiles, the next one finds it done."""

from __future__ import annotations

import os
import subprocess
import sys

SOURCE = """
import numpy as np
from minigen.kernels import adam, rungs
with rungs("numba"):
    vectors = [np.zeros(3, np.float32) for _ in range(4)]
    for t in (1, 2):
        adam.step(*vectors, rate=1.0, beta1=0.5, beta2=0.5, eps=1.0, weight_decay=0.0, t=t)
from minigen.kernels import jit
print(jit.compilations)
"""


def test_the_second_process_compiles_nothing(tmp_path):
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run([sys.executable, "-c", SOURCE], env=settings, capture_output=True, text=True, timeout=300, check=True)
        for _ in range(2)
    )
    assert int(first.stdout) > 0
    assert first.stderr == "minigen: compiling kernel adam.one_pass (once; later runs use the cache)\n"
    assert int(second.stdout) == 0
    assert second.stderr == ""

"""Compiling: said once, kept on disk, counted. Nothing at import; one process compiles, the next one finds it done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np

from minigen.kernels import jit

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


def run(source, cache):
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.run([sys.executable, "-c", source], env=settings, capture_output=True, text=True, timeout=300, check=True)


def test_the_second_process_compiles_nothing(tmp_path):
    first, second = (run(SOURCE, tmp_path) for _ in range(2))
    assert int(first.stdout) > 0
    (line,) = first.stderr.splitlines()
    said = re.fullmatch(r"minigen: compiling kernels, once: 1 of (\d+) \(adam\.one_pass\); later runs use the cache", line)
    assert said is not None, line
    assert int(said[1]) == jit.known()
    assert int(second.stdout) == 0
    assert second.stderr == ""


TWICE = """
import numpy as np
from minigen.kernels import epilogue, jit, rungs
few, many = np.ones((2, 3), np.float32), np.ones((jit.SHARED // 2, 3), np.float32)
with rungs("numba"):
    for y in (few, many):
        epilogue.finish(y, np.ones(3, np.float32))
        assert (y == 2).all()
print(jit.compilations)
"""


def test_with_and_without_threads_a_kernel_has_two_places_on_disk(tmp_path):
    first, second = (run(TWICE, tmp_path) for _ in range(2))
    assert (int(first.stdout), int(second.stdout)) == (2, 0)
    assert {file.name.partition("-")[0] for file in tmp_path.rglob("*.nbc")} == {
        "one_pass.finished",
        "one_pass.finished_for_one",
    }


def test_nothing_compiles_when_every_file_is_loaded(tmp_path):
    """Importing all kernels' files makes them known, and compiles none."""
    result = run("from minigen.kernels import jit; print(jit.known(), jit.compilations)", tmp_path)
    known, compiled = map(int, result.stdout.split())
    assert (known > 10, compiled, result.stderr) == (True, 0, "")
    assert not any(tmp_path.rglob("*.nb?"))


def test_every_kernel_is_known():
    """A kernel is a function under `@compiled`, one of two under `@CompiledTwice`, or one of several that a function makes."""
    sources = [file.read_text() for file in Path(jit.__file__).parent.glob("*/*.py")]
    written = sum(source.count("@compiled") + 2 * source.count("@CompiledTwice") for source in sources)
    assert jit.known() >= written > 10
    assert len({kernel.py_func.__module__ for kernel in jit._kernels}) > 5


def test_fetch_asks_the_memory_and_changes_nothing():
    @numba.njit
    def ask(c, i, j):
        jit.fetch(c, i, j)

    for c in (np.arange(12.0).reshape(3, 4), np.arange(12, dtype=np.float32).reshape(4, 3).T):
        before = c.copy()
        ask(c, np.uint64(2), np.uint64(3))
        assert np.array_equal(c, before)
    assert all("prefetch" in assembly for assembly in ask.inspect_asm().values())

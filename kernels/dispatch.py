"""Which rung of an operation runs, by mode, type and size. Where the shape decides too, the operation's `_rung` does.

    mode           float32 NumPy          float64 NumPy      float32 CuPy      complex, integers, float64 CuPy, empty arrays
    "auto"         Numba if it is work    definition         CUDA C            definition
    "numba"        Numba                  Numba              CUDA C            definition
    "definition"   definition             definition         definition        definition

"Work" is the operation's own count (multiplications, elements) reaching the ladder's `numba_from`: below it a Numba call costs
more than it saves. Passes over memory begin at 512 numbers, where a call takes 3 to 9 us and the definition 5 to 20; below, a
program that has little to do need not wait for Numba to be loaded. The mode is "auto", or what the environment variable
MINIGEN_KERNELS says, or what `rungs` sets.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from minigen.backend import runs_cuda

MODES = ("auto", "numba", "definition")


def _checked(mode: str) -> str:
    if mode not in MODES:
        raise ValueError(f"unknown kernel mode {mode!r}: choose one of {', '.join(map(repr, MODES))}")
    return mode


_mode = _checked(os.environ.get("MINIGEN_KERNELS") or "auto")
_watch: Callable[[Any], Any] | None = None  # what `tally.py` puts in place of every rung while it counts


@contextmanager
def rungs(mode: str) -> Iterator[None]:
    """Within it, operations run on the rung that `mode` ("auto", "numba", "definition") chooses."""
    global _mode
    before, _mode = _mode, _checked(mode)
    try:
        yield
    finally:
        _mode = before


def chosen_rungs() -> str:
    """The mode by which operations choose their rung now."""
    return _mode


@cache
def _module(folder: str, name: str) -> Any:
    return importlib.import_module(f".{name}", folder)


@dataclass(frozen=True)
class Ladder:
    """The rungs of one operation: modules beside each other in its folder, plainest first, with equal signatures."""

    folder: str  # the package of the operation, "minigen.kernels.matmul"
    numba: str  # the module of the Numba rung; of `clip`, of BLAS
    numba_from: int  # work from which "auto" takes it
    definition: str = "definition"
    between: tuple[str, ...] = ()  # rungs for readers, which nothing chooses
    cuda: str | None = "cuda"  # the module of the CUDA C rung; None where there is none

    @property
    def names(self) -> tuple[str, ...]:
        """The rungs for a CPU, plainest first."""
        return self.definition, *self.between, self.numba

    def load(self, name: str) -> Any:
        """The module of one rung; the first Numba rung that is loaded opens the thread pool."""
        rung = _module(self.folder, name)
        return rung if _watch is None else _watch(rung)

    def choose(self, work: int, *arrays: Any) -> Any:
        """The module of the rung that is to work on `arrays`."""
        if work < self.numba_from and _mode == "auto" and type(arrays[0]) is np.ndarray:
            return self.load(self.definition)  # as below, sooner: what is small is asked for often
        if self.numba_fits(work, *arrays):
            return self.load(self.numba)
        return self.elsewhere(*arrays)

    def elsewhere(self, *arrays: Any) -> Any:
        """The module of the rung where Numba's does not fit: CUDA C on a GPU's float32 arrays, else the definition."""
        return self.load(self.cuda if self.cuda is not None and self.cuda_fits(*arrays) else self.definition)

    def choose_bits(self, work: int) -> Any:
        """The same for an operation that takes no arrays and makes integers on the CPU: every mode gives the same bits."""
        fits = work > 0 and (_mode == "numba" or (_mode == "auto" and work >= self.numba_from))
        return self.load(self.numba if fits else self.definition)

    def choose_on_device(self, work: int, dtype: Any, like: Any) -> Any:
        """The same for numbers that are made on the device of `like`: CUDA C for float32 and integers."""
        fits = work > 0 and _mode != "definition" and dtype in (np.uint32, np.float32) and runs_cuda(like)
        return self.load(self.cuda if self.cuda is not None and fits else self.definition)

    def cuda_fits(self, *arrays: Any) -> bool:
        """Whether the CUDA C rung is to work on `arrays`."""
        if self.cuda is None or _mode == "definition" or any(type(x) is np.ndarray for x in arrays):
            return False
        return all(runs_cuda(x) and x.size and x.dtype == np.float32 for x in arrays)

    def numba_fits(self, work: int, *arrays: Any) -> bool:
        """Whether the Numba rung is to work on `arrays`."""
        if _mode == "definition":
            return False
        dtype = arrays[0].dtype
        for x in arrays:
            if type(x) is not np.ndarray or x.dtype != dtype or not x.size:
                return False
        if _mode == "numba":
            return bool(dtype == np.float32 or dtype == np.float64)
        return bool(dtype == np.float32) and work >= self.numba_from

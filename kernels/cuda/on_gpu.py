"""CUDA C kernels on the GPU, through CuPy.

A file is compiled by NVRTC when one of its kernels is first needed. CuPy keeps the machine code on disk by a hash of the text
(CUPY_CACHE_DIR, else ~/.cupy/kernel_cache), which holds the includes too (`source.py`), and a module per device in memory.

What a captured graph needs: a launch allocates nothing and waits for nothing. So the first call of a kernel, which compiles and
loads, must come before the capture.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from minigen.backend import cupy

from .arguments import checked
from .source import Source

ALWAYS_GRANTED = 48 * 1024  # bytes of shared memory that a kernel gets without asking
NULL = np.uint64(0)


def launch(
    source: Source, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...], shared: int = 0
) -> None:
    """Queues a kernel on CuPy's current stream. RuntimeError where CuPy, a driver or a GPU is missing."""
    values = [NULL if value is None else value for value in checked(source, kernel, arguments)]
    function = _function(source, kernel, cupy().cuda.Device().id, shared)
    function(grid, block, tuple(values), shared_mem=shared)


@cache
def _function(source: Source, kernel: str, device: int, shared: int) -> Any:
    """The loaded kernel, on the current device `device`."""
    function = _module(source, device).get_function(kernel)
    if shared > ALWAYS_GRANTED:
        function.max_dynamic_shared_size_bytes = shared
    return function


@cache
def _module(source: Source, device: int) -> Any:
    return cupy().RawModule(code=source.text, options=("-std=c++17",), backend="nvrtc")

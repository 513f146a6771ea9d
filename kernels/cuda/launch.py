"""Where a kernel runs: on the device that its arrays lie on.

    launch("matmul/naive.cu", "matmul_naive", (2, 3), (16, 16), a, b, c, 20, 40, 30)

CuPy's arrays: on the GPU, the file compiled when it is first needed (`on_gpu.py`). NumPy's: on the CPU by way of g++
(`on_cpu.py`), which is how the kernels' tests run where there is no GPU. A library of `backend.add_library` that has a function
`launch`: by that function.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import array_module

from . import on_cpu, on_gpu
from .source import read

THREADS = 256  # of a block, where a kernel gives a thread to each number


def launch(
    name: str, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any, shared: int = 0, **options: int
) -> None:
    """Runs `kernel` of the file kernels/`name` on `grid` blocks of `block` threads with `shared` bytes of dynamic memory.

    Arguments: arrays and numbers as the kernel declares them, None for a null pointer. On a GPU it returns at once.
    Raises ValueError and TypeError on arguments that are not as declared or lie on two devices, RuntimeError where there is
    nothing to compile with.
    """
    source = read(name, **options)
    libraries = list(dict.fromkeys(array_module(x) for x in arguments if hasattr(x, "shape") and x.shape))
    if len(libraries) != 1:
        raise TypeError(f"{kernel}: its arrays must lie on one device, and they are of {len(libraries)}: move with to_device")
    library: Any = libraries[0]
    if library is np:
        on_cpu.launch(source, kernel, grid, block, arguments, shared)
    elif hasattr(library, "launch"):
        library.launch(source, kernel, grid, block, arguments, shared)
    else:
        on_gpu.launch(source, kernel, grid, block, arguments, shared)


def each(name: str, kernel: str, numbers: int, *arguments: Any, **options: int) -> None:
    """Runs a kernel with a thread for each of so many numbers."""
    launch(name, kernel, (-(-numbers // THREADS),), (THREADS,), *arguments, **options)

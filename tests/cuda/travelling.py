"""The kernels' cases on a GPU: their arrays are the host's, and travel there and back at every launch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigen import backend
from minigen.kernels.cuda import on_cpu, on_gpu


def launch(source: Any, kernel: str, grid: Any, block: Any, arguments: tuple[Any, ...], shared: int = 0) -> None:
    """As `on_cpu.launch`. What the kernel did not change stays as it is: an input may be read-only, or lie in an output."""
    cupy = backend.cupy()
    there = {id(x): (x, x.tobytes(), cupy.asarray(x)) for x in arguments if isinstance(x, np.ndarray)}
    on_gpu.launch(source, kernel, grid, block, tuple(there[id(x)][2] if id(x) in there else x for x in arguments), shared)
    for x, before, after in there.values():
        if (back := after.get()).tobytes() != before:
            x[...] = back


@contextmanager
def running(pool: bool = True) -> Iterator[None]:
    """Within it, kernels that would run on the CPU run on the GPU.

    Without CuPy's pool each array is an allocation by itself, whose ends a sanitizer sees, for the rest of the process.
    """
    if not pool:
        backend.cupy().cuda.set_allocator(None)
    before, on_cpu.launch = on_cpu.launch, launch
    try:
        yield
    finally:
        on_cpu.launch = before

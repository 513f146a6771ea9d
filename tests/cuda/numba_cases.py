"""What the rungs in Numba CUDA are asked: tiles that are full, ragged and smaller than one; in the simulator and on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cuda_cases import close

from minigen import backend
from minigen.kernels.matmul import numba_cuda
from minigen.random import Key

SHAPES = ((16, 16, 16), (5, 7, 3), (17, 9, 20), (1, 18, 4), (18, 1, 1), (1, 1, 1))  # (M, N, K)


def check(rung: str, shape: tuple[int, int, int], to: Callable[[Any], Any] = lambda x: x) -> None:
    """A product of factors that lie where `to` brings them, against float64; so does the product."""
    m, n, k = shape
    a, b = Key(m).normal((m, k)), Key(n).normal((k, n))
    there = to(a)
    with backend.workspace(backend.Workspace(poison=True)):
        c = numba_cuda.teach(rung, there, to(b))
    assert type(c) is type(there)
    assert c.dtype == np.float32
    close(backend.to_device(c, "cpu"), a.astype(np.float64) @ b.astype(np.float64), 1e-6)

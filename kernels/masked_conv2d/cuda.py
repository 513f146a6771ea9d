"""Convolution by a list of taps and its two gradients on a GPU, in CUDA C (`implicit.cu`). The formulas are in `definition.py`.

Against the definition: one matrix product over all taps, whose windows are looked up where a table of taps says, instead of a
product and a pass over y for each. Precision and tiles are those of every product (../rounding.py, ../cuda/tiling.py).

Error: |y - exact| <= (K + 1) u sum |a b| for sums of K products, u = 2^-24; tf32 adds 2^-10 sum |a b|, bf16 2^-7.

Legend: N images, H, W size, C input channels, M output channels, L taps.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import ModuleType

import numpy as np

from minigen.backend import Array, array_module

from ..arguments import output
from ..combine import contiguous
from ..cuda.tiling import run, tiling
from ..rounding import PRECISIONS, chosen_precision
from .definition import Taps

FINISHES = True  # bias and leak (../epilogue)


def forward(x: Array, w: Array, taps: Taps, *, out: Array | None = None, bias: Array | None = None, leak: float = 1.0) -> Array:
    """x, w -> y = f(conv + bias) (N, H, W, M), f(u) = u where u >= 0, else leak u; bias (M,) or None."""
    y = output(out, (*x.shape[:3], w.shape[2]), x.dtype, like=x)
    _run("forward", x, w, y, (*x.shape, w.shape[2], len(taps)), taps, (True, False), bias=bias, leak=leak)
    return y


def input_gradient(dy: Array, w: Array, taps: Taps, *, out: Array | None = None) -> Array:
    """dy, w -> dx (N, H, W, C)."""
    dx = output(out, (*dy.shape[:3], w.shape[1]), dy.dtype, like=dy)
    _run("input_gradient", dy, w, dx, (*dx.shape, dy.shape[3], len(taps)), taps, (True, True))
    return dx


def weight_gradient(x: Array, dy: Array, taps: Taps, *, out: Array | None = None, accumulate: bool = False) -> Array:
    """x, dy -> dw (L, C, M), or out += dw."""
    dw = output(out, (len(taps), x.shape[3], dy.shape[3]), x.dtype, like=x)
    _run("weight_gradient", x, dy, dw, (*x.shape, dy.shape[3], len(taps)), taps, (False, False), accumulate)
    return dw


def _run(
    name: str,
    first: Array,
    second: Array,
    result: Array,
    sizes: tuple[int, ...],
    taps: Taps,
    along_k: tuple[bool, bool],
    accumulate: bool | None = None,
    bias: Array | None = None,
    leak: float = 1.0,
) -> None:
    """`accumulate` is None where a kernel does not ask for it."""
    first, second, where = contiguous(first), contiguous(second), table(taps, array_module(first))
    columns = result.shape[-1]
    depth = math.prod(first.shape[:3]) if name == "weight_gradient" else len(taps) * first.shape[3]
    run(
        "masked_conv2d/implicit.cu",
        f"masked_conv2d_{name}",
        tiling(result.size // columns, columns, depth),
        result,
        None if bias is None else contiguous(bias),
        leak,
        bool(accumulate),
        lambda c, bias, slope, add: (first, second, where, c, bias, *sizes, slope, *(() if accumulate is None else (add,))),
        along_k,
        PRECISION=PRECISIONS.index(chosen_precision()),
    )


@lru_cache(maxsize=64)
def table(taps: Taps, library: ModuleType) -> Array:
    """(L, 2) int32 on the library's device, brought there once."""
    made: Array = library.asarray(np.array(taps, np.int32))
    return made

"""What comes after a product: a bias for every column and a leaky ReLU, in place; and the way back through both.

    y = f(u), u = product + b             du = dy f'(u), db = sum of du over the rows

f is u where u > 0, else leak u: leak = 0 is a ReLU, leak = 1 no activation. Rows lie as (R, M). Leaks are at least 0: y then
has u's sign, and the way back needs y alone.

Products take `bias` and `leak` themselves (`finished`): where the rung is ours down to the last instruction, as in CUDA C, a
number is finished in the register in which it was summed, and y is written once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: elements


def finish(y: Array, b: Array | None, *, leak: float = 1.0) -> None:
    """y (R, M), contiguous, becomes f(y + b), with b (M,) or none. ValueError where b does not fit or leak is negative."""
    arguments.check_ndim("epilogue.finish", 2, y=y)
    _check("epilogue.finish", y, b, y.shape[1], leak)
    if b is None and leak == 1.0:
        return
    arguments.check_out("epilogue.finish", y, y.shape, y.dtype)
    LADDER.choose(y.size, y).finish(y, b, leak=leak)


def finished(rung: Any, product: str, columns: int, bias: Array | None, leak: float, *arrays: Any, **options: Any) -> Array:
    """f(product + bias), (..., M = columns). `product` names an operation and the rung's function of it: "conv2d.forward".

    A rung that FINISHES, which those for NumPy's arrays do not, takes bias (M,) and leak too; after any other comes `finish`.
    It raises as `finish` does.
    """
    run = getattr(rung, product.rpartition(".")[2])
    if bias is None and leak == 1.0:
        return run(*arrays, **options)
    _check(product, arrays[0], bias, columns, leak)
    if type(arrays[0]) is not np.ndarray and getattr(rung, "FINISHES", False):
        return run(*arrays, bias=bias, leak=leak, **options)
    y: Array = run(*arrays, **options)
    rows = y if y.ndim == 2 else y.reshape(-1, columns)
    LADDER.choose(rows.size, rows).finish(rows, bias, leak=leak)
    return y


def back(dy: Array, y: Array, *, leak: float, sums: bool = True) -> tuple[Array, Array | None]:
    """du (R, M) and, with `sums`, db (M,), from dy and y (R, M), what `finish` made.

    ValueError on shapes that differ and on a negative leak.
    """
    arguments.check_ndim("epilogue.back", 2, dy=dy)
    _check_leak("epilogue.back", leak)
    arguments.check_equal_shapes("epilogue.back", dy=dy, y=y)
    arguments.same_kind("epilogue.back", dy=dy, y=y)
    found: tuple[Array, Array | None] = LADDER.choose(dy.size, dy, y).back(dy, y, leak=leak, sums=sums)
    return found


def _check(operation: str, beside: Array, b: Array | None, columns: int, leak: float) -> None:
    _check_leak(operation, leak)
    if b is None:
        arguments.same_kind(operation, y=beside)
        return
    if b.shape != (columns,):
        raise ValueError(f"{operation}: the bias {b.shape} does not fit the {columns} columns of y: it must be ({columns},)")
    arguments.same_kind(operation, y=beside, bias=b)


def _check_leak(operation: str, leak: float) -> None:
    if not leak >= 0:
        raise ValueError(f"{operation}: leak={leak:g} hides the sign of u: at least 0 is needed")

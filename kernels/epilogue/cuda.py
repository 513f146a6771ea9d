"""Bias and leaky ReLU after a product, there and back, on a GPU, in CUDA C (`one_pass.cu`). The formulas are in `__init__.py`.

Against the definition: one pass there, one back.

Legend: R rows, M columns, K chunks of rows. y, dy, du (R, M), b, db (M,).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk, joined


def finish(y: Array, b: Array | None, *, leak: float = 1.0) -> None:
    """y = f(y + b), in place."""
    b = None if b is None else contiguous(b)
    each("epilogue/one_pass.cu", "epilogue_finish", y.size, y, b, y.size, y.shape[1], leak)


def back(dy: Array, y: Array, *, leak: float, sums: bool = True) -> tuple[Array, Array | None]:
    """du, and its sums."""
    R, M = dy.shape
    walk, du = Walk(1, R, M), empty_like(dy)
    parts = empty((walk.many, 1, M), dy.dtype, like=dy) if sums else None
    arguments = contiguous(dy), contiguous(y), du, parts, R, M, walk.chunk, leak
    walk.launch("epilogue/one_pass.cu", "epilogue_back", *arguments)
    if parts is None:
        return du, None
    db = parts[0] if walk.many == 1 else joined(parts, empty((1, M), dy.dtype, like=dy))
    return du, db.reshape(M)

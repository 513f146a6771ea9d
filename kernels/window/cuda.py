"""Windows cut out of images on a GPU, in CUDA C (`one_pass.cu`). The formula is in `definition.py`.

Against the definition: one launch, a thread for each number of a window, instead of an index, a comparison and a product for
every pixel.

Error: none.

Legend: N images, H, W size, C channels, h, w size of a window. x (N, H, W, C), y (N, h, w, C), top, left (N,) int64.
"""

from __future__ import annotations

from minigen.backend import Array, empty

from ..combine import contiguous
from ..cuda.launch import each


def cut(x: Array, top: Array, left: Array, h: int, w: int, *, sign: int = 1) -> Array:
    """-> y (N, h, w, C)."""
    N, H, W, C = x.shape
    y = empty((N, h, w, C), x.dtype, like=x)
    each("window/one_pass.cu", "window_cut", y.size, *map(contiguous, (x, top, left)), y, y.size, H, W, C, h, w, sign)
    return y

"""Matrix product on a GPU, in CUDA C.

    c[m, n] = f(sum over k of a[m, k] b[k, n] + bias[n])

Against the definition: kernels of our own, eleven of them, each a file that says what it changes against the one before:
naive, coalesced, shared_tile, column_tile, square_tile, vectorised, warp_tile, pipelined, float32, tf32, bf16. The engine runs
the last three, by `rounding.precision`; the others are the way there, and run by `teach`. What comes after a product, a bias
and a leaky ReLU f, is done before a number is written.

Error: |c - exact| <= (K + 1) u sum over k of |a b| with u = 2^-24; tf32 adds 2^-10 sum |a b|, bf16 2^-7.

Legend: M rows, N columns, K the inner size. a (M, K), b (K, N), c (M, N).
"""

from __future__ import annotations

from minigen.backend import Array, empty

from ..arguments import output
from ..combine import contiguous
from ..cuda.launch import launch
from ..cuda.tiling import run, tiling
from ..rounding import chosen_precision

FINISHES = True  # bias and leak (../epilogue)

# Of the rungs that teach: threads of a block, and the rows and columns of c that it makes.
TEACHING: dict[str, tuple[tuple[int, ...], int]] = {
    "naive": ((16, 16), 16),
    "coalesced": ((16, 16), 16),
    "shared_tile": ((32, 32), 32),
    "column_tile": ((512,), 64),
    "square_tile": ((256,), 128),
    "vectorised": ((256,), 128),
    "warp_tile": ((256,), 128),
    "pipelined": ((256,), 128),
}


def matmul(
    a: Array,
    b: Array,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    out: Array | None = None,
    accumulate: bool = False,
    bias: Array | None = None,
    leak: float = 1.0,
) -> Array:
    """c (M, N) = f(a b + bias), f(x) = x where x >= 0, else leak x; bias (N,) or None. With `accumulate`, f(... + out)."""
    a, b = contiguous(a), contiguous(b)
    rows, depth = a.shape[::-1] if transpose_a else a.shape
    columns = b.shape[1 - transpose_b]
    c = output(out, (rows, columns), a.dtype, like=a)
    name = chosen_precision()
    run(
        f"matmul/{name}.cu",
        f"matmul_{name}",
        tiling(rows, columns, depth),
        c,
        None if bias is None else contiguous(bias),
        leak,
        accumulate,
        lambda c, bias, slope, accumulate: (a, b, c, bias, rows, columns, depth, slope, accumulate),
        (not transpose_a, transpose_b),
        TRANSPOSE_A=int(transpose_a),
        TRANSPOSE_B=int(transpose_b),
    )
    return c


def teach(rung: str, a: Array, b: Array) -> Array:
    """c = a b on one of the rungs of TEACHING. a (M, K) and b (K, N), C-contiguous float32, none of the sizes 0."""
    block, side = TEACHING[rung]
    (rows, depth), columns = a.shape, b.shape[1]
    c = empty((rows, columns), a.dtype, like=a)
    down, across = -(-rows // side), -(-columns // side)
    grid = (down, across) if rung == "naive" else (across, down)
    launch(f"matmul/{rung}.cu", f"matmul_{rung}", grid, block, a, b, c, rows, columns, depth)
    return c

"""Matrix product, with either factor transposed and with accumulation: the work of every dense layer, there and back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from minigen.backend import Array, Shape

from .. import arguments, epilogue
from ..dispatch import Ladder

FEW, WHOLE = 4, range(1 << 12, 1 << 20)  # rows for few.py, and numbers of the matrix that is read or written whole

LADDER = Ladder(
    __name__,
    numba="register_tile",
    numba_from=1 << 19,  # work: multiplications
    between=("loops", "cache_order", "parallel"),
)


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
    """c = a b, or a' b, a b', a' b'; with `accumulate`, out += the product; then, with bias (N,) and leak, c = f(c + bias).

    Shapes: a (M, K), or (K, M) where `transpose_a`; b (K, N), or (N, K) where `transpose_b`; c (M, N), in `out` if given.
    f is x where x > 0, else leak x (`kernels.epilogue`). Raises ValueError on shapes that do not fit, and where `accumulate`
    has no `out` to add to; TypeError on mixed precisions.
    """
    m, k, n = _sizes(a.shape, b.shape, transpose_a, transpose_b)
    dtype = arguments.same_kind("matmul", a=a, b=b)
    if accumulate and out is None:
        raise ValueError("matmul: accumulate=True adds into out: pass out=")
    arguments.check_out("matmul", out, (m, n), dtype)
    rung, options = _rung(a, b, m, k, n), {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return epilogue.finished(rung, "matmul.matmul", n, bias, leak, a, b, out=out, accumulate=accumulate, **options)


@lru_cache(maxsize=1024)  # a layer asks for the same sizes at every step
def _sizes(a: Shape, b: Shape, transpose_a: bool, transpose_b: bool) -> tuple[int, int, int]:
    for name, shape in (("a", a), ("b", b)):
        if len(shape) != 2:
            raise ValueError(f"matmul: {name} must have 2 axes, got shape {shape}: reshape it")
    m, k = a[::-1] if transpose_a else a
    k_of_b, n = b[::-1] if transpose_b else b
    if k != k_of_b:
        raise ValueError(
            f"matmul: inner sizes {k} and {k_of_b} differ for a {a} with transpose_a={transpose_a} and b {b} "
            f"with transpose_b={transpose_b}: transpose the one that lies the other way"
        )
    return m, k, n


def _rung(a: Array, b: Array, m: int, k: int, n: int) -> Any:
    if min(m, k) <= FEW and max(m, k) * n in WHOLE and LADDER.numba_fits(LADDER.numba_from, a, b):
        return LADDER.load("few")
    # Some rows are as long as it takes to read b, by whatever kernel: they are left to the BLAS, which has one for them. Many
    # rows and columns of few products each are as long as it takes to write c: as if k were 8.
    return LADDER.choose((m - 8) * n * max(k, 8), a, b)

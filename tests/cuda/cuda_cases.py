"""What every CUDA kernel is asked: sizes that fill its tiles, that do not, that are smaller than one, one row, one channel.

A case runs one kernel at one size against float64 and checks the error by norm; it works under any order of threads and under
the sanitizers. `tiny` marks those that the thread sanitizer can finish, and those of a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigen.kernels import rounding
from minigen.kernels.cuda import tiling
from minigen.kernels.matmul import cuda as matmul
from minigen.random import Key


@dataclass(frozen=True)
class Case:
    """One run of one kernel."""

    name: str
    check: Callable[[], None]
    tiny: bool = False
    own_addresses: bool = True  # not those of another case's kernel, differently multiplied

    def __call__(self, sanitizer: str = "") -> int:
        """Runs it, unless that sanitizer can do without; the number of runs."""
        if (sanitizer in ("thread", "gpu") and not self.tiny) or (sanitizer == "address" and not self.own_addresses):
            return 0
        self.check()
        return 1


def close(got, expected, bound):
    """The norm of got - expected over that of expected is at most `bound`; a NaN fails."""
    assert got.shape == expected.shape, f"shape {got.shape} instead of {expected.shape}"
    assert np.isfinite(got).all(), f"{(~np.isfinite(got)).sum()} of {got.size} numbers are not finite"
    error = np.linalg.norm(got.astype(np.float64) - expected) / max(np.linalg.norm(expected), 1e-30)
    assert error <= bound, f"relative error {error:.1e} above {bound:.0e}"


# ---- matrix products

MATRICES = {  # (M, N, K)
    "exact tiles": (128, 256, 64),
    "ragged": (130, 141, 37),
    "ragged in fours": (132, 260, 44),
    "below a tile": (5, 7, 3),
    "below a tile, many steps": (5, 7, 100),
    "one row": (1, 300, 20),
    "one column": (200, 1, 40),
    "one product": (9, 10, 1),
}
BELOW = ("below a tile", "below a tile, many steps")  # small, but a tile of shared memory is written again while others read it
# By norm, on normal numbers: K u = 37 * 6e-8 at the most, in truth its root; and the factors' rounding.
BOUNDS = {"float32": 1e-6, "tf32": 7e-4, "bf16": 5e-3}


def factors(shape, transpose_a=False, transpose_b=False):
    m, n, k = shape
    key = Key(m + n + k)
    a = key.at("a").normal((k, m) if transpose_a else (m, k))
    b = key.at("b").normal((n, k) if transpose_b else (k, n))
    product = (a.T if transpose_a else a).astype(np.float64) @ (b.T if transpose_b else b).astype(np.float64)
    return a, b, product


def teaching(rung, shape):
    a, b, product = factors(shape)
    close(matmul.teach(rung, a, b), product, BOUNDS["float32"])


def engine(precision, shape, transpose_a, transpose_b, *, large=None, parts=None, bias=False, leak=1.0, accumulate=False):
    a, b, expected = factors(shape, transpose_a, transpose_b)
    out, vector = None, None
    if accumulate:
        out = Key(5).normal(expected.shape)
        expected = expected + out
    if bias:
        vector = Key(6).normal(expected.shape[1])
        expected = expected + vector
    expected = np.where(expected > 0, expected, leak * expected)
    natural = tiling.tiling
    forced = lambda rows, columns, depth: tiling.Tiling(
        rows, columns, depth, natural(rows, columns, depth).large if large is None else large, parts or 1
    )
    matmul.tiling = natural if large is None and parts is None else forced
    try:
        with rounding.precision(precision):
            options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "out": out, "accumulate": accumulate}
            c = matmul.matmul(a, b, bias=vector, leak=leak, **options)
    finally:
        matmul.tiling = natural
    assert out is None or c is out
    close(c, expected, BOUNDS[precision])


def _matrix_cases():
    for rung in matmul.TEACHING:
        for title, shape in MATRICES.items():
            yield Case(f"{rung}, {title}", lambda r=rung, s=shape: teaching(r, s), title in BELOW)
    for precision in rounding.PRECISIONS:
        for title, shape in MATRICES.items():
            for ta in (False, True):
                for tb in (False, True):
                    name = f"{precision}{', a transposed' * ta}{', b transposed' * tb}, {title}"
                    run = lambda p=precision, s=shape, a=ta, b=tb: engine(p, s, a, b)
                    yield Case(name, run, title in BELOW, ta == tb or precision == "float32")
        for ta, tb in ((False, False), (False, True), (True, False)):
            for title in ("exact tiles", "ragged", "ragged in fours"):
                name = f"{precision}, large blocks, {ta}, {tb}, {title}"
                run = lambda p=precision, s=MATRICES[title], a=ta, b=tb: engine(p, s, a, b, large=True)
                yield Case(name, run, own_addresses=precision == "float32")
        for many in (2, 3, 5):  # 5 parts of 3 steps: some have nothing to do
            for ta in (False, True):
                name = f"{precision}, {many} parts, {ta}"
                run = lambda p=precision, n=many, a=ta: engine(p, (70, 33, 37), a, False, parts=n)
                yield Case(name, run, own_addresses=precision == "float32")
        for name, options in {
            "bias and ReLU": {"bias": True, "leak": 0.0},
            "added to, leaky": {"accumulate": True, "leak": 0.2},
            "everything, in parts": {"accumulate": True, "bias": True, "leak": 0.1, "parts": 2},
        }.items():
            for shape in (MATRICES["ragged"], MATRICES["ragged in fours"], (3, 2, 50)):
                run = lambda p=precision, s=shape, o=options: engine(p, s, False, True, **o)
                yield Case(f"{precision}, {name}, {shape}", run, shape == (3, 2, 50), precision == "float32")


MATRIX_CASES = list(_matrix_cases())

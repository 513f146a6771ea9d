"""Every CUDA kernel on the CPU, at every size and in every order of threads and blocks, against float64."""

from __future__ import annotations

import conv_cases
import cuda_cases
import numpy as np
import pytest

from minigen.kernels.cuda import tiling
from minigen.kernels.matmul import cuda as matmul
from minigen.random import Key

CASES = [*cuda_cases.MATRIX_CASES, *conv_cases.cases()]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case, order):
    assert case() == 1


def test_cases_have_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_orders_agree_to_the_last_bit():
    """Sums have one order, whatever the order of threads: also where k is shared out."""
    from minigen.kernels.cuda import on_cpu

    a, b, _ = cuda_cases.factors((70, 65, 700))
    results = []
    for order in on_cpu.ORDERS:
        with on_cpu.running(order):
            results.append(matmul.matmul(a, b).copy())
    assert tiling.tiling(70, 65, 700).parts > 1
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_rungs_that_only_move_numbers_otherwise_have_the_same_bits():
    a, b, _ = cuda_cases.factors((130, 141, 37))
    first = matmul.teach("naive", a, b)
    for rung in matmul.TEACHING:
        assert np.array_equal(matmul.teach(rung, a, b), first), rung


@pytest.mark.parametrize("precision", tiling.PRECISIONS)
def test_nan_and_infinity_come_through(precision):
    a, b, _ = cuda_cases.factors((33, 40, 50))
    a[5, 3] = np.nan
    a[7, 2] = np.inf
    with tiling.precision(precision):
        c = matmul.affine(a, b, None, slope=0.0)
    assert np.isnan(c[5]).all()
    assert set(c[7]) == {np.inf, 0.0}  # ReLU of plus and minus infinity
    assert np.isfinite(np.delete(c, (5, 7), 0)).all()


def test_tensor_cores_round_as_they_say():
    """A factor with more bits than fit is rounded, not cut: 1 + 2^-11 + 2^-12 goes up in tf32, a half to even in bf16."""
    one = np.ones((1, 1), np.float32)
    with tiling.precision("tf32"):
        assert matmul.matmul(one * np.float32(1 + 2**-11 + 2**-12), one) == 1 + 2**-10
    with tiling.precision("bf16"):
        assert matmul.matmul(one * np.float32(1 + 2**-8), one) == 1
        assert matmul.matmul(one * np.float32(1 + 3 * 2**-8), one) == 1 + 2**-6


def test_tilings():
    assert tiling.tiling(4096, 4096, 64).large
    assert tiling.tiling(4096, 4096, 1 << 20).parts == 1
    small = tiling.tiling(65, 64, 4096)
    assert (small.large, small.side, small.threads, small.grid) == (False, 64, 128, (2, 1, 16))
    with (
        pytest.raises(ValueError, match="unknown precision 'fp16': choose one of 'float32', 'tf32', 'bf16'"),
        tiling.precision("fp16"),
    ):
        pass


def test_views_and_given_outputs():
    a, b, expected = cuda_cases.factors((20, 34, 10))
    whole = np.full((3, 20, 34), 7, np.float32)
    assert matmul.matmul(np.asfortranarray(a), b.T.copy().T, out=whole[1]).base is whole
    cuda_cases.close(whole[1], expected, 1e-6)
    assert (whole[[0, 2]] == 7).all()
    assert Key(1).normal(3).dtype == np.float32

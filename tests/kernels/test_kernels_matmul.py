"""The matrix product on every rung against the definition in float64."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen import backend
from minigen.kernels import matmul, rungs
from minigen.kernels.tally import tally
from minigen.random import Key

SIZES = st.sampled_from((1, 2, 3, 7, 8, 9, 13, 31, 32, 33, 40, 65))
RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])


def factors(key, m, n, k, transpose_a, transpose_b, dtype=np.float32):
    a = key.at("a").normal((k, m) if transpose_a else (m, k), dtype)
    b = key.at("b").normal((n, k) if transpose_b else (k, n), dtype)
    product = (a.T if transpose_a else a).astype(np.float64) @ (b.T if transpose_b else b).astype(np.float64)
    return a, b, product


@given(
    m=SIZES,
    n=SIZES,
    k=SIZES,
    ta=st.booleans(),
    tb=st.booleans(),
    accumulate=st.booleans(),
    wide=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_numba_equals_definition(m, n, k, ta, tb, accumulate, wide, seed):
    key, dtype = Key(seed), np.float64 if wide else np.float32
    a, b, expected = factors(key, m, n, k, ta, tb, dtype)
    out = None
    if accumulate:
        out = key.at("out").normal((m, n), dtype)
        expected = expected + out
    with backend.workspace(backend.Workspace(poison=True)), rungs("numba"):
        c = matmul.matmul(a, b, transpose_a=ta, transpose_b=tb, out=out, accumulate=accumulate)
    assert c.dtype == dtype
    assert out is None or c is out
    kernel_cases.check_close(c, expected)


@pytest.mark.parametrize("name", matmul.LADDER.names)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_rung_of_the_ladder(name, dtype):
    """Those for readers too, which no mode chooses."""
    for transpose_a, transpose_b, accumulate in ((0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)):
        a, b, expected = factors(Key(2), 13, 37, 29, transpose_a, transpose_b, dtype)
        out = Key(3).normal((13, 37), dtype) if accumulate else np.full((13, 37), np.nan, dtype)
        expected = expected + out if accumulate else expected
        rung = matmul.LADDER.load(name)
        c = rung.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b, out=out, accumulate=bool(accumulate))
        assert c is out
        kernel_cases.check_close(c, expected)


@RUNGS
@pytest.mark.parametrize("transposed", [False, True])
def test_depth_beyond_one_block(mode, transposed):
    a, b, expected = factors(Key(1), 37, 45, 2500, transposed, not transposed)
    with rungs(mode):
        kernel_cases.check_close(matmul.matmul(a, b, transpose_a=transposed, transpose_b=not transposed), expected)


@RUNGS
def test_out_may_be_a_view(mode):
    a, b, expected = factors(Key(2), 5, 6, 7, False, False)
    whole = np.zeros((3, 5, 6), np.float32)
    with rungs(mode):
        assert matmul.matmul(a, b, out=whole[1]).base is whole
    kernel_cases.check_close(whole[1], expected)
    assert not whole[0].any()
    assert not whole[2].any()


@RUNGS
def test_non_contiguous_factors(mode):
    a, b, expected = factors(Key(3), 20, 34, 10, False, False)
    spread_a, spread_b = np.zeros((40, 30), np.float32), np.zeros((20, 68), np.float32)
    spread_a[::2, ::3], spread_b[::2, 1::2] = a, b
    with rungs(mode):
        kernel_cases.check_close(matmul.matmul(spread_a[::2, ::3], spread_b[::2, 1::2]), expected)
        kernel_cases.check_close(matmul.matmul(np.asfortranarray(a), b.T.copy().T), expected)


@given(few=st.integers(1, matmul.FEW), n=SIZES, large=SIZES, flags=st.tuples(*[st.booleans()] * 5), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_few_rows_and_few_outer_products(few, n, large, flags, seed):
    transpose_a, transpose_b, accumulate, wide, outer = flags
    m, k = (large, few) if outer else (few, large)
    dtype = np.float64 if wide else np.float32
    a, b, expected = factors(Key(seed), m, n, k, transpose_a, transpose_b, dtype)
    out = Key(seed).at("out").normal((m, n), dtype) if accumulate else np.full((m, n), np.nan, dtype)
    expected = expected + out if accumulate else expected
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "out": out, "accumulate": accumulate}
    assert matmul.LADDER.load("few").matmul(a, b, **options) is out
    kernel_cases.check_close(out, expected)


@pytest.mark.parametrize(
    ("m", "k", "n", "rung"),
    [
        (1, 784, 400, "few"),
        (784, 4, 400, "few"),
        (5, 784, 400, "definition"),
        (1, 20, 30, "definition"),
        (4, 2048, 1024, "definition"),
    ],
)
def test_few_rows_have_a_rung_of_their_own(m, k, n, rung):
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    with tally() as seen:
        matmul.matmul(a, b)
    assert seen[0].rung == rung


@RUNGS
@pytest.mark.parametrize(("m", "n", "k"), [(0, 4, 3), (5, 0, 3), (5, 4, 0), (0, 0, 0)])
def test_empty(mode, m, n, k):
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    out = np.full((m, n), 7, np.float32)
    with rungs(mode):
        c = matmul.matmul(a, b)
        matmul.matmul(a, b, out=out, accumulate=True)
    assert c.shape == (m, n)
    assert not c.any()
    assert (out == 7).all()


def test_the_number_of_threads_does_not_change_a_bit():
    from minigen import kernels

    a, b, _ = factors(Key(4), 70, 90, 300, False, False)
    with rungs("numba"):
        with kernels.threads(1):
            one = matmul.matmul(a, b).copy()
        assert np.array_equal(matmul.matmul(a, b), one)


def test_complex_weights_past_real_data():
    a, b, expected = factors(Key(5), 3, 4, 5, False, False, np.float64)
    c = matmul.matmul(a, b + 1e-30j * b)
    assert c.dtype == np.complex128
    np.testing.assert_allclose(c.imag / 1e-30, expected, rtol=1e-14)


@RUNGS
def test_nan_comes_through(mode):
    a, b, _ = factors(Key(6), 33, 40, 50, False, False)
    a[5, 3] = np.nan
    with rungs(mode):
        c = matmul.matmul(a, b)
    assert np.isnan(c[5]).all()
    assert np.isfinite(np.delete(c, 5, 0)).all()


def test_errors_say_what_to_do():
    a, b = np.ones((3, 4), np.float32), np.ones((5, 6), np.float32)
    with pytest.raises(ValueError, match=r"matmul: inner sizes 4 and 5 differ .*\(3, 4\).*\(5, 6\).*transpose"):
        matmul.matmul(a, b)
    with pytest.raises(ValueError, match="a must have 2 axes"):
        matmul.matmul(a[None], b)
    with pytest.raises(TypeError, match="mixed precisions, a float32, b float64: convert"):
        matmul.matmul(a, np.ones((4, 6)))
    with pytest.raises(TypeError, match="needs floating-point arrays, got a float32, b int64: convert"):
        matmul.matmul(a, np.ones((4, 6), int))
    with pytest.raises(ValueError, match="accumulate=True adds into out"):
        matmul.matmul(a, np.ones((4, 6), np.float32), accumulate=True)
    with pytest.raises(ValueError, match=r"out must be \(3, 6\) float32"):
        matmul.matmul(a, np.ones((4, 6), np.float32), out=np.empty((6, 3), np.float32))
    with pytest.raises(ValueError, match="C-contiguous"):
        matmul.matmul(a, np.ones((4, 6), np.float32), out=np.empty((6, 3), np.float32).T)

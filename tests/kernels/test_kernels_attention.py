"""Attention on the Numba rung: against the definition in float64 at awkward sizes, far out, and by the complex step."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.kernels import attention, rungs
from minigen.kernels.tally import tally
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
LENGTHS, WIDTHS = st.sampled_from((1, 2, 7, 8, 9, 31, 32, 33, 70)), st.sampled_from((1, 3, 8, 17, 40))
BOUND = {np.float32: 3e-6, np.float64: 1e-13}


def drawn(sizes, dtype, spread=2.0):
    """q, k, v and dy."""
    B, T, S, d = sizes
    shapes = {"q": (B, T, d), "k": (B, S, d), "v": (B, S, d), "dy": (B, T, d)}
    return [
        (spread if name == "q" else 1.0) * Key(1).at(name).normal(shape, np.float64).astype(dtype)
        for name, shape in shapes.items()
    ]


@given(
    sizes=st.tuples(st.sampled_from((1, 3)), LENGTHS, LENGTHS, WIDTHS),
    causal=st.booleans(),
    dtype=st.sampled_from((np.float32, np.float64)),
)
@settings(deadline=None, max_examples=40)
def test_strips_equal_the_definition(sizes, causal, dtype):
    B, T, S, d = sizes
    q, k, v, dy = drawn((B, T, T if causal else S, d), dtype)
    wide = [x.astype(np.float64) for x in (q, k, v, dy)]
    with rungs("definition"):
        exact = attention.forward(*wide[:3], causal=causal)
        gradients = attention.gradient(wide[3], *wide[:3], *exact, causal=causal)
    with rungs("numba"):
        y, log_sum = attention.forward(q, k, v, causal=causal)
        got = attention.gradient(dy, q, k, v, y, log_sum, causal=causal)
    assert y.dtype == log_sum.dtype == dtype
    kernel_cases.check_close(y, exact[0], BOUND[dtype], scale=np.full_like(exact[0], np.abs(wide[2]).max()))
    assert np.abs(log_sum - exact[1]).max() <= BOUND[dtype] * max(1, np.abs(exact[1]).max())
    for one, true in zip(got, gradients, strict=True):
        assert one.dtype == dtype
        assert one.shape == true.shape
        assert np.abs(one - true).max() <= 4 * BOUND[dtype] * max(1, np.abs(true).max())


@RUNGS
def test_weights_of_forward_are_a_mean_over_what_is_seen(mode):
    q, k, v, _ = drawn((2, 40, 40, 5), np.float32)
    with rungs(mode):
        y, log_sum = attention.forward(100 * q, k, np.ones_like(v), causal=True)
        first, _ = attention.forward(q, k, v, causal=True)
    np.testing.assert_allclose(y, 1, rtol=1e-5)  # the weights add up to 1, large scores do not overflow
    assert np.isfinite(log_sum).all()
    np.testing.assert_allclose(first[:, 0], v[:, 0], rtol=1e-6)


def test_weights_are_those_of_forward():
    q, k, v, _ = drawn((2, 5, 5, 3), np.float64)
    for causal in (False, True):
        y, log_sum = attention.forward(q, k, v, causal=causal)
        p = attention.weights(q, k, causal=causal)
        np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-13)
        np.testing.assert_allclose(p @ v, y, rtol=1e-12)
        np.testing.assert_allclose(p[:, :, 0], np.exp((q * k[:, :1]).sum(-1) / np.sqrt(3) - log_sum), rtol=1e-12)
        assert (p[:, 0, 1:] == 0).all() == causal


@RUNGS
def test_a_nan_stays_with_its_query(mode):
    q, k, v, dy = drawn((1, 40, 9, 4), np.float32)
    q[0, 35, 2] = np.nan
    with rungs(mode):
        y, log_sum = attention.forward(q, k, v)
        dq, _, _ = attention.gradient(dy, q, k, v, y, log_sum)
    for found in (y, dq):
        assert np.unique(np.argwhere(np.isnan(found))[:, 1]).tolist() == [35]
    assert np.argwhere(np.isnan(log_sum)).tolist() == [[0, 35]]


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_by_the_complex_step(causal):
    arrays, dy = drawn((2, 5, 5, 3), np.float64)[:3], drawn((2, 5, 5, 3), np.float64)[3]
    y, log_sum = attention.forward(*arrays, causal=causal)
    for i, gradient in enumerate(attention.gradient(dy, *arrays, y, log_sum, causal=causal)):
        direction = Key(7 + i).normal(arrays[i].shape, np.float64)
        stepped = [x + 1e-30j * direction if i == j else x for j, x in enumerate(arrays)]
        y_dot = attention.forward(*stepped, causal=causal)[0].imag / 1e-30
        np.testing.assert_allclose((dy * y_dot).sum(), (gradient * direction).sum(), rtol=1e-11)


def test_its_products_are_counted():
    q, k, v, dy = drawn((2, 5, 7, 3), np.float32)
    with tally() as seen:
        attention.gradient(dy, q, k, v, *attention.forward(q, k, v))
        attention.forward(q, q, q, causal=True)
    assert [one.flops for one in seen] == [2 * 2 * 2 * 5 * 7 * 3, 2 * 5 * 2 * 5 * 7 * 3, 2 * 2 * 2 * 15 * 3]


def test_what_does_not_fit_is_refused():
    q, k, v, _ = drawn((2, 5, 7, 3), np.float32)
    with pytest.raises(ValueError, match=r"k \(2, 7, 3\), v \(2, 7, 2\) must be \(B, T, d\), \(B, S, d\) and \(B, S, d\)"):
        attention.forward(q, k, v[..., :2])
    with pytest.raises(ValueError, match="causal, with 5 queries and 7 keys: they must be as many"):
        attention.forward(q, k, v, causal=True)
    with pytest.raises(ValueError, match="must have 3 axes"):
        attention.forward(q[0], k, v)
    with pytest.raises(ValueError, match=r"attention.gradient: shapes differ, dy \(2, 4, 3\)"):
        attention.gradient(q[:, :4], q, k, v, *attention.forward(q, k, v))
    with pytest.raises(TypeError, match="mixed precisions"):
        attention.forward(q, k, v.astype(np.float64))

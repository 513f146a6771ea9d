"""The negative log-likelihood of a flow: values, gradients, parts, what is not a number, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import both, drawn

from minigen.kernels import flow, rungs
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])
BOUND = {np.float32: 1e-6, np.float64: 1e-14}


@given(
    n=st.sampled_from((1, 2, 31)),
    widths=st.lists(st.sampled_from((1, 15, 17, 100, 4097)), min_size=1, max_size=3),
    dtype=st.sampled_from((np.float32, np.float64)),
    scale=st.sampled_from((1.0, -0.3)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=30)
def test_values_and_gradients(n, widths, dtype, scale, seed):
    z = [drawn(Key(seed).at(i), (width, n), dtype).T for i, width in enumerate(widths)]  # views
    logdet = drawn(Key(seed).at("logdet"), n, dtype)
    made, exact = both(lambda *given: flow.loss(*given, scale=scale), logdet, *z)
    assert all(isinstance(value, float) for value in made[:2])
    log_p = -((np.concatenate(z, 1).astype(float) ** 2).sum(1) + sum(widths) * np.log(2 * np.pi)) / 2
    np.testing.assert_allclose(made[:2], (-log_p.mean(), -logdet.mean(dtype=float)), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(exact[:2], made[:2], rtol=1e-12, atol=1e-15)
    assert (made[2] == dtype(-scale / n)).all()
    for part, got, true in zip(z, made[3:], exact[3:], strict=True):
        assert (got.shape, got.dtype) == (part.shape, dtype)
        assert (np.abs(got - true) <= np.finfo(dtype).eps * np.abs(true)).all()  # 2 u


def test_by_the_complex_step():
    z, directions = ([Key(i + j).normal((4, 3, 2 + i), float) for i in range(2)] for j in (0, 5))
    logdet, turn = Key(8).normal((2, 4), float)
    (prior, volume, dlogdet, *dz) = flow.loss(logdet, *z, scale=0.5)
    moved = flow.loss(logdet + 1e-30j * turn, *(part + 1e-30j * d for part, d in zip(z, directions, strict=True)))
    np.testing.assert_allclose([value.real for value in moved[:2]], (prior, volume), rtol=1e-15)
    along = sum((g * d).sum() for g, d in zip(dz, directions, strict=True)) + (dlogdet * turn).sum()
    np.testing.assert_allclose((moved[0] + moved[1]).imag / 1e-30, 2 * along, rtol=1e-12)


@RUNGS
def test_a_nan_stays_in_its_place(mode):
    z, other, logdet = np.ones((3, 5000), np.float32), np.ones((3, 2), np.float32), np.ones(3, np.float32)
    z[1, 4321] = np.nan
    with rungs(mode):
        prior, volume, dlogdet, dz, rest = flow.loss(logdet, z, other)
    assert np.isnan(prior)
    assert volume == -1
    assert np.isfinite(dlogdet).all()
    assert np.argwhere(np.isnan(dz)).tolist() == [[1, 4321]]
    assert np.isfinite(rest).all()


@RUNGS
def test_sums_are_taken_in_float64(mode):
    """A million terms of 1 beside one of 2^24: a float32 sum would keep none of them."""
    z = np.ones((1, 1 << 20), np.float32)
    z[0, 0] = 4096
    logdet = np.zeros(1, np.float32)
    with rungs(mode):
        prior, *_ = flow.loss(logdet, z)
    assert prior == pytest.approx((4096.0**2 + z.size - 1 + z.size * np.log(2 * np.pi)) / 2, rel=1e-12)


def test_what_does_not_fit_is_refused():
    z, logdet = np.zeros((4, 3), np.float32), np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=r"flow.loss: logdet \(4,\) must have a number for each row of z \(4, 3\), \(3,\)"):
        flow.loss(logdet, z, z[0])
    with pytest.raises(ValueError, match=r"flow.loss: logdet \(4, 3\) must have"):
        flow.loss(z, z)
    with pytest.raises(TypeError, match="mixed precisions"):
        flow.loss(logdet, z, z.astype(float))

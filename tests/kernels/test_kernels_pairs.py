"""How close rows' points are: every rung against the definition in float64, by the complex step, and where points touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import both, drawn

from minigen.kernels import pairs, rungs
from minigen.random import Key

MODES = pytest.mark.parametrize("mode", ["definition", "numba"])
SIZES = st.sampled_from((1, 2, 3, 7, 16, 33))


def given_arrays(shape, dtype, seed=0):
    """m, m_dot, do, do_dot."""
    key = Key(seed)
    points = (drawn(key.at(name), shape, dtype, 0.5) for name in ("m", "m_dot"))
    return (*points, *(drawn(key.at(name), shape[:2], dtype) for name in ("do", "do_dot")))


def all_passes(m, m_dot, do, do_dot):
    dm, dm_dot = pairs.gradient_dot(do, do_dot, m_dot, m)
    return pairs.forward(m), pairs.tangent(m_dot, m), pairs.gradient(do, m), dm, dm_dot


@given(n=SIZES, b=st.sampled_from((1, 2, 5)), e=SIZES, dtype=st.sampled_from((np.float32, np.float64)), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_pairs(n, b, e, dtype, seed):
    """Number by number, within what the kernel promises; in float64 the definition is rounded as much."""
    arrays = given_arrays((n, b, e), dtype, seed)
    m, m_dot, do, do_dot = (x.astype(np.float64) for x in arrays)
    difference = m[:, None] - m
    d = np.abs(difference).sum(-1)  # (N, N, B)
    k, moved = np.exp(-d), np.abs(m_dot[:, None] - m_dot).sum(-1)
    of_k, of_dot = (e * d + 4) * k, (e * d + 2 * e + 5) * k * moved
    pull, pull_dot = (np.abs(x[:, None]) + np.abs(x) for x in (do, do_dot))
    of_dm = (of_k * pull + (n + 2) * k * pull).sum(1)[..., None]
    of_dm_dot = (of_dot * pull + of_k * pull_dot + (n + 4) * k * (moved * pull + pull_dot)).sum(1)[..., None]
    limits = (of_k + (n + 2) * k).sum(1), (of_dot + (n + 2) * k * moved).sum(1), of_dm, of_dm, of_dm_dot
    u = np.finfo(dtype).eps / 2 * (1 if dtype == np.float32 else 2)
    for got, exact, limit in zip(*both(all_passes, *arrays), limits, strict=True):
        assert got.dtype == dtype
        assert (np.abs(got - exact) <= u * limit).all()


def test_by_the_complex_step():
    """Each pass is the derivative of another."""
    m, m_dot, do, do_dot = given_arrays((5, 3, 4), np.float64)
    moved, step = m + 1e-30j * m_dot, lambda x: x.imag / 1e-30
    o_dot, (dm, dm_dot) = pairs.tangent(m_dot, m), pairs.gradient_dot(do, do_dot, m_dot, m)
    np.testing.assert_allclose(step(pairs.forward(moved)), o_dot, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose((do * o_dot).sum(), (dm * m_dot).sum(), rtol=1e-12)
    np.testing.assert_allclose(step(pairs.gradient(do + 1e-30j * do_dot, moved)), dm_dot, rtol=1e-12, atol=1e-14)
    assert np.array_equal(dm, pairs.gradient(do, m))


@MODES
def test_points_that_touch_do_not_push_each_other(mode):
    """Equal rows count in full, and far ones not at all."""
    m = np.zeros((40, 2, 3), np.float32)
    m[30:] = 1e3
    with rungs(mode):
        o, o_dot, *gradients = all_passes(m, np.ones_like(m), np.ones((40, 2), np.float32), np.ones((40, 2), np.float32))
    assert np.array_equal(o, np.repeat([[30.0, 30.0], [10.0, 10.0]], (30, 10), 0))
    assert not o_dot.any()
    assert not any(x.any() for x in gradients)


@MODES
def test_a_nan_is_seen_by_its_points_pairs_alone(mode):
    m, m_dot, do, do_dot = given_arrays((40, 2, 3), np.float32)
    m[7, 1, 2] = np.nan
    with rungs(mode):
        for made in all_passes(m, m_dot, do, do_dot):
            assert np.isnan(made[:, 1]).all()
            assert not np.isnan(made[:, 0]).any()


@MODES
@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0)])
def test_nothing_to_compare(mode, shape):
    with rungs(mode):
        o, o_dot, *gradients = all_passes(*given_arrays(shape, np.float32))
    assert np.array_equal(o, np.full(shape[:2], 4.0))
    assert np.array_equal(o_dot, np.zeros(shape[:2]))
    assert all(x.shape == shape for x in gradients)


def test_what_does_not_fit():
    m, m_dot, do, _ = given_arrays((4, 2, 3), np.float32)
    with pytest.raises(ValueError, match=r"pairs.forward: m must have 3 axes, got shape \(4, 2\)"):
        pairs.forward(do)
    with pytest.raises(ValueError, match=r"pairs.gradient: do \(3, 2\) must have a number for each point of m \(4, 2, 3\)"):
        pairs.gradient(do[:3], m)
    with pytest.raises(ValueError, match=r"pairs.tangent: shapes differ, m \(4, 2, 3\), m_dot \(3, 2, 3\)"):
        pairs.tangent(m_dot[:3], m)
    with pytest.raises(TypeError, match=r"pairs.gradient_dot: mixed precisions"):
        pairs.gradient_dot(do, do, m_dot, m.astype(np.float64))

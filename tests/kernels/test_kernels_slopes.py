"""What is paid for slopes: every rung against the formula, by the complex step, and where a norm has no derivative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import both, drawn

from minigen.kernels import rungs, slopes
from minigen.random import Key

MODES = pytest.mark.parametrize("mode", ["definition", "numba"])
RULES = pytest.mark.parametrize("rule", slopes.RULES)
FACTORS = {"weight": 3.0, "scale": -0.7}


@RULES
@given(
    n=st.sampled_from((1, 2, 7, 64)),
    m=st.sampled_from((1, 2, 15, 33, 1000)),
    dtype=st.sampled_from((np.float32, np.float64)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=20)
def test_slopes(rule, n, m, dtype, seed):
    """Number by number, within what the kernel promises: two roundings."""
    g = drawn(Key(seed), (m, 2, n), dtype, 0.3).transpose(2, 0, 1)  # a view
    (value, dg), (exact, exact_dg) = both(lambda g: slopes.paid(rule, g, **FACTORS), g)
    assert isinstance(value, float)
    assert dg.dtype == dtype
    assert dg.shape == g.shape
    assert abs(value - exact) <= 1e-12 * (1 + exact)
    norms = np.sqrt((g.astype(np.float64) ** 2).sum((1, 2)))
    limit = 2.01 * 2.0**-24 * np.abs(exact_dg)
    if dtype == np.float64:  # where the sum is rounded too, and 1 - 1 / |g| cancels
        limit = m * 2.0**-51 * 4.2 / n * np.abs(g) * (1 + 1 / norms)[:, None, None]
    assert (np.abs(dg - exact_dg) <= limit).all()
    paid = norms**2 / 2 if rule == "half_square" else (norms - 1) ** 2
    np.testing.assert_allclose(exact, 3 * paid.mean(), rtol=1e-10)


@RULES
def test_by_the_complex_step(rule):
    """The value's slope is the gradient; weight multiplies both, scale the gradient alone."""
    g, direction = drawn(Key(1), (4, 3, 2)), drawn(Key(2), (4, 3, 2))
    moved = slopes.paid(rule, g + 1e-30j * direction, weight=3.0)[0].imag / 1e-30
    value, dg = slopes.paid(rule, g, **FACTORS)
    np.testing.assert_allclose(-0.7 * moved, (dg * direction).sum(), rtol=1e-12)
    np.testing.assert_allclose(value, 3 * slopes.paid(rule, g)[0], rtol=1e-14)


@MODES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_flat_row_pays_and_is_not_pushed(mode, dtype):
    g = np.zeros((3, 40), dtype)
    g[1] = 1
    with rungs(mode), np.errstate(all="raise"):
        value, dg = slopes.paid("squared_excess", g)
        nothing, still = slopes.paid("half_square", g[:1])
    np.testing.assert_allclose(value, (2 + (np.sqrt(40) - 1) ** 2) / 3, rtol=1e-12)
    assert not dg[::2].any()
    np.testing.assert_allclose(dg[1], 2 * (1 - 1 / np.sqrt(40)) / 3, rtol=1e-6)
    assert nothing == 0
    assert not still.any()


@MODES
def test_a_slope_whose_square_float32_does_not_hold_keeps_its_direction(mode):
    g = np.array([[3e-25, 4e-25], [3e25, 4e25]], np.float32)
    with rungs(mode):
        value, dg = slopes.paid("squared_excess", g)
    np.testing.assert_allclose(value, 5e25**2 / 2, rtol=1e-6)
    np.testing.assert_allclose(dg, [[-0.6, -0.8], [3e25, 4e25]], rtol=1e-6)


@MODES
@RULES
def test_a_nan_stays_in_its_row(mode, rule):
    g = np.ones((3, 500), np.float32)
    g[1, 321] = np.nan
    with rungs(mode):
        value, dg = slopes.paid(rule, g)
    assert np.isnan(value)
    rows = np.isnan(dg).any(1).tolist()
    assert rows == [False, True, False]


def test_what_is_refused():
    with pytest.raises(ValueError, match="unknown rule on slopes 'steep': choose one of half_square, squared_excess"):
        slopes.paid("steep", np.ones((2, 3)))
    with pytest.raises(TypeError, match="slopes: needs floating-point arrays"):
        slopes.paid("half_square", np.ones((2, 3), int))

"""Adam's step on every rung, against the formula and PyTorch."""

from __future__ import annotations

import kernel_cases
import numpy as np
import pytest

from minigen.kernels import adam, rungs
from minigen.random import Key

SETTINGS = {"rate": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.05}
RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])


def start(n, dtype):
    theta = Key(1).normal(n, dtype)
    return theta, np.zeros_like(theta), np.zeros_like(theta)


def test_first_step_of_the_definition_moves_by_the_rate():
    """At t = 1 the corrected means are the gradient and its square: the step is the gradient's sign times the rate."""
    theta, m, v = start(5, np.float64)
    grad, before = np.array([3.0, -2.0, 1e-3, -1e3, 0.5]), theta.copy()
    adam.step(theta, grad, m, v, rate=0.1, beta1=0.9, beta2=0.999, eps=0.0, weight_decay=0.0, t=1)
    np.testing.assert_allclose(theta, before - 0.1 * np.sign(grad), rtol=1e-13)


@pytest.mark.parametrize("n", [1, 31, 1000, 40_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numba_equals_definition(n, dtype):
    exact, single = start(n, np.float64), start(n, dtype)
    exact[0][...] = single[0]
    for t in (1, 2, 3):
        grad = Key(2).at(t).normal(n, dtype)
        with rungs("definition"):
            adam.step(exact[0], grad.astype(np.float64), *exact[1:], **SETTINGS, t=t)
        with rungs("numba"):
            adam.step(single[0], grad, *single[1:], **SETTINGS, t=t)
    for got, expected in zip(single, exact, strict=True):
        assert got.dtype == dtype
        kernel_cases.check_close(got, expected)


@RUNGS
def test_against_torch(mode):
    torch = pytest.importorskip("torch", reason="outside evidence: PyTorch is an extra for development")
    theta, m, v = start(40, np.float64)
    theirs = torch.nn.Parameter(torch.tensor(theta.copy()))
    optimiser = torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.05)
    for t in range(1, 6):
        grad = Key(3).at(t).normal(40, np.float64)
        theirs.grad = torch.tensor(grad.copy())
        optimiser.step()
        with rungs(mode):
            adam.step(theta, grad, m, v, **SETTINGS, t=t)
    # It decays before the step and we within it: the same to first order in the rate, and exactly the same here, since the
    # decay multiplies theta as it was before the step in both.
    kernel_cases.check_close(theta, theirs.detach().numpy(), 1e-13)


@RUNGS
def test_slices_of_one_vector(mode):
    """Optimisers pass slices; what lies beside them must stay."""
    theta, m, v = start(100, np.float32)
    before, grad = theta.copy(), Key(4).normal(100)
    part = slice(17, 60)
    with rungs(mode):
        adam.step(theta[part], grad[part], m[part], v[part], **SETTINGS, t=1)
    assert (theta[part] != before[part]).all()
    assert np.array_equal(np.delete(theta, range(17, 60)), np.delete(before, range(17, 60)))


@RUNGS
def test_strided_and_empty(mode):
    theta, m, v = start(40, np.float32)
    expected = [a[::2].astype(np.float64) for a in (theta, m, v)]
    grad = Key(5).normal(40)
    adam.step(expected[0], grad[::2].astype(np.float64), *expected[1:], **SETTINGS, t=2)
    with rungs(mode):
        adam.step(theta[::2], grad[::2], m[::2], v[::2], **SETTINGS, t=2)
        adam.step(theta[:0], grad[:0], m[:0], v[:0], **SETTINGS, t=2)
    kernel_cases.check_close(theta[::2], expected[0])


@RUNGS
def test_nan_comes_through(mode):
    theta, m, v = start(40, np.float32)
    grad = np.ones(40, np.float32)
    grad[7] = np.nan
    with rungs(mode):
        adam.step(theta, grad, m, v, **SETTINGS, t=1)
    assert np.flatnonzero(np.isnan(theta)).tolist() == [7]


def test_errors_say_what_to_do():
    theta, m, v = start(4, np.float32)
    with pytest.raises(ValueError, match="counted from t = 1, got 0"):
        adam.step(theta, theta, m, v, **SETTINGS, t=0)
    with pytest.raises(ValueError, match=r"adam: shapes differ, theta \(4,\), grad \(3,\)"):
        adam.step(theta, theta[:3], m, v, **SETTINGS, t=1)
    with pytest.raises(TypeError, match="mixed precisions"):
        adam.step(theta, theta, m.astype(np.float64), v, **SETTINGS, t=1)
    with pytest.raises(TypeError, match="dtypes differ"):
        adam.step(theta.astype(complex), theta.astype(np.float64), m.astype(complex), v.astype(complex), **SETTINGS, t=1)

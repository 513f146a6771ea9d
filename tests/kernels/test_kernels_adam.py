"""Adam's step on every rung, against the formula and PyTorch; imagined steps, by the complex step."""

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


# ---- imagined steps

AHEAD = {"rate": 1e-2, "beta1": 0.5, "beta2": 0.99, "eps": 1e-8}
ROUNDED = {np.float32: 2.0**-24, np.float64: 40 * 2.0**-53}  # in float64 c2 = 0.03 is rounded too, a difference of ones


def imagined_from(n, dtype, t=2):
    """theta, grad, m, v, and the traces of t steps."""
    theta, grad, m = (Key(i).normal(n, np.float64).astype(dtype) for i in (6, 7, 8))
    traces = (np.array([AHEAD[beta] ** t], dtype) for beta in ("beta1", "beta2"))
    return theta, grad, m, Key(9).normal(n, np.float64).astype(dtype) ** 2, *traces


@RUNGS
def test_an_imagined_step_is_the_step(mode):
    """The k-th after t steps is step t + k without decay, and what it starts from stays."""
    theta, grad, m, v, *kept = imagined_from(50, np.float64)
    moved = [x.copy() for x in (theta, m, v)]
    with rungs(mode):
        adam.step(moved[0], grad, *moved[1:], **AHEAD, weight_decay=0.0, t=5)
        made = adam.imagined(theta, grad, m, v, *kept, **AHEAD, k=3)
    for got, expected in zip(made, moved, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-13)
    assert np.array_equal(theta, imagined_from(50, np.float64)[0])


@pytest.mark.parametrize("n", [1, 31, 1000, 40_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numba_imagines_what_the_definition_does(n, dtype):
    """Number by number, within what the kernel promises."""
    given, u = imagined_from(n, dtype), ROUNDED[dtype]
    theta, grad, m, _, *kept = (x.astype(np.float64) for x in given)
    with rungs("numba"):
        found = adam.imagined(*given, **AHEAD, k=1)
    with rungs("definition"):
        exact = adam.imagined(*(x.astype(np.float64) for x in given), **AHEAD, k=1)
    assert all(x.dtype == dtype for x in found)
    terms = np.abs(0.5 * m) + np.abs(0.5 * grad), exact[2]
    for got, expected, scale in zip(found[1:], exact[1:], terms, strict=True):
        assert (np.abs(got - expected) <= 3 * u * scale).all()
    c1, c2 = (1 - AHEAD[beta] * trace for beta, trace in zip(("beta1", "beta2"), kept, strict=True))
    step = AHEAD["rate"] * found[1].astype(float) / c1 / (np.sqrt(found[2].astype(float) / c2) + AHEAD["eps"])
    assert (np.abs(found[0] - (theta - step)) <= u * np.abs(theta - step) + 8 * u * np.abs(step)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [True, False], ids=["after the last step", "before it"])
def test_numba_goes_back_as_the_definition_does(dtype, first):
    (_, grad, m, v, *kept), u = imagined_from(20_001, dtype), ROUNDED[dtype]
    v += dtype(1e-3)
    a, a_m, a_v = (Key(i).normal(20_001, np.float64).astype(dtype) for i in (10, 11, 12))
    if first:
        a_m = a_v = None
    given = a, a_m, a_v, grad, m, v, *kept
    with rungs("numba"):
        found = adam.imagined_back(*given, **AHEAD, k=2)
    with rungs("definition"):
        wide = [None if x is None else x.astype(np.float64) for x in given]
        exact = adam.imagined_back(*wide, **AHEAD, k=2)
        signs = [None if x is None else np.abs(x) for x in wide]
        signs[0] *= -1  # b_m is a difference of a_m and a's share
        of_m = adam.imagined_back(*signs, **AHEAD, k=2)[1]
        signs[0] *= -1
        of_v = adam.imagined_back(*signs, **AHEAD, k=2)[2]
    terms = of_m + 2 * 0.01 / 0.99 * np.abs(grad) * of_v, of_m, of_v  # of 0.5 of_m / 0.5, and of_v / 0.99
    for got, expected, scale in zip(found, exact, terms, strict=True):
        assert got.dtype == dtype
        assert (np.abs(got - expected) <= 12 * u * scale).all()


def test_the_way_back_is_the_derivative():
    """By theta, grad, m and v, with the complex step, of a sum of all that an imagined step makes."""
    given, weights = imagined_from(9, np.float64), [Key(i).normal(9, np.float64) for i in (13, 14, 15)]
    made = adam.imagined(*given, **AHEAD, k=2)
    by = weights[0], *adam.imagined_back(*weights, given[1], *made[1:], *given[4:], **AHEAD, k=2)
    for i, gradient in enumerate(by):
        direction = Key(16 + i).normal(9, np.float64)
        stepped = [x + 1e-30j * direction if i == j else x for j, x in enumerate(given)]
        moved = sum((w * x).sum() for w, x in zip(weights, adam.imagined(*stepped, **AHEAD, k=2), strict=True))
        np.testing.assert_allclose(moved.imag / 1e-30, (gradient * direction).sum(), rtol=1e-12)


@RUNGS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_never_had_a_gradient_stays_and_passes_nothing_on(mode, dtype):
    """v = m = grad = 0, as of a unit that is always off: nothing is divided by zero."""
    nothing, a, kept = np.zeros(5, dtype), np.ones(5, dtype), np.full(1, 0.99, dtype)
    with rungs(mode), np.errstate(all="raise", under="ignore"):
        theta, m, v = adam.imagined(a, nothing, nothing, nothing, kept, kept, **AHEAD, k=1)
        by_grad, by_m, by_v = adam.imagined_back(a, None, a, nothing, m, v, kept, kept, **AHEAD, k=1)
    assert np.array_equal(theta, a)
    assert np.isfinite(by_grad).all()
    np.testing.assert_allclose(by_grad, by_m)  # beta1 = 1 - beta1
    np.testing.assert_allclose(by_v, 0.99, rtol=1e-6)


@RUNGS
def test_an_imagined_nan_stays_in_its_place(mode):
    given = imagined_from(40, np.float32)
    given[1][7] = np.nan
    with rungs(mode):
        made = adam.imagined(*given, **AHEAD, k=1)
        by = adam.imagined_back(given[0], None, None, given[1], *made[1:], *given[4:], **AHEAD, k=1)
    for x in (*made, *by):
        assert np.flatnonzero(np.isnan(x)).tolist() == [7]


def test_what_cannot_be_imagined():
    theta, grad, m, v, *kept = imagined_from(4, np.float32)
    with pytest.raises(ValueError, match=r"adam.imagined: shapes differ, theta \(4,\), grad \(3,\)"):
        adam.imagined(theta, grad[:3], m, v, *kept, **AHEAD, k=1)
    with pytest.raises(ValueError, match=r"adam.imagined: kept1 must be one number in an array \(1,\), got shape \(4,\)"):
        adam.imagined(theta, grad, m, v, m, kept[1], **AHEAD, k=1)
    with pytest.raises(ValueError, match="imagined steps are counted from k = 1, got 0"):
        adam.imagined_back(theta, None, None, grad, m, v, *kept, **AHEAD, k=0)
    with pytest.raises(TypeError, match="mixed precisions"):
        adam.imagined_back(theta.astype(np.float64), None, None, grad, m, v, *kept, **AHEAD, k=1)

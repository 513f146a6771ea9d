"""Every loss of minigen in its suite; a wrong one is refused; and the distributions are those that the names say.

The last is needed because a right gradient of a wrong loss passes every other test.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.check import CheckError, loss_suite
from minigen.check.cases import LOSSES, SMALL, Sizes, loss_names
from minigen.losses import bernoulli, categorical, gaussian, gaussian_kl, mse
from minigen.losses.likelihood import log_softmax
from minigen.models.vae import reparameterize, reparameterize_backward, spread
from minigen.random import Key

COUNTS = st.sampled_from([1, 2, 3, 7, 16, 17])
SIZES = st.builds(Sizes, *[COUNTS] * 4, h=st.just(1), w=st.just(1), T=st.just(1), seed=st.integers(0, 2**32 - 1))  # N, a, b, c


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_loss_has_every_property(case):
    @settings(max_examples=5, deadline=None, derandomize=True, database=None)
    @given(SIZES)
    def at_some_sizes(s):
        loss, dot = case.make()
        loss_suite(loss, *case.args(s), dot=dot, reference=case.reference, large=case.large, key=Key(s.seed))

    at_some_sizes()


def test_every_loss_has_a_case():
    assert set(loss_names()) <= {case.name for case in LOSSES}


# ---- the suite is checked


def test_report_names_every_property():
    case = LOSSES[0]
    loss, dot = case.make()
    report = loss_suite(loss, *case.args(SMALL), dot=dot, reference=case.reference, large=case.large)
    assert all(check.error is not None for check in report.checks)
    assert "derivative of the gradients" in str(report)


def scaled(y, target):
    value, dy = mse(y, target)
    return value, 1.001 * dy


def flipped(y, target):
    value, dy = mse(y, target)
    return value, -dy


def nan(y, target):
    value, dy = mse(y, target)
    return value, np.nan * dy


def transposed(y, target):
    value, dy = mse(y, target)
    return value, dy.T


def promoted(y, target):
    value, dy = mse(y, target)
    return value, dy * np.sqrt(1)


def in_place(y, target):
    value, dy = mse(y, target)
    y += 1e-13
    return value, dy


def summed(y, target):
    value, dy = mse(y, target)
    return value * y.size, dy * y.size


def broadcast(y, target):
    error = y - target
    return (error * error).mean(), 2 * error / error.size


def per_row(y, target):
    error = y - target
    return (error * error).mean(1), 2 * error / error.size


@pytest.mark.parametrize(
    ("wrong", "prop"),
    [
        *((f, "gradient") for f in (scaled, flipped, nan, transposed)),
        (promoted, "float32"),
        (in_place, "pure"),
        (summed, "batch"),
        (broadcast, "shapes"),
        (per_row, "value"),
    ],
)
def test_wrong_loss_is_rejected(wrong, prop):
    with pytest.raises(CheckError) as raised:
        loss_suite(wrong, (5, 3), (5, 3))
    assert str(raised.value).startswith(f"{wrong.__name__}: {prop}")


def test_wrong_dot_and_wrong_value_are_rejected():
    with pytest.raises(CheckError, match="mse: dot: dy_dot is off"):
        loss_suite(mse, (5, 3), (5, 3), dot=lambda y_dot: 2.002 * y_dot / y_dot.size)
    with pytest.raises(CheckError, match="mse: value"):
        loss_suite(mse, (5, 3), (5, 3), reference=lambda y, t: ((y - t) ** 2).sum())


def test_overflow_is_rejected():
    def naive(logits, x):
        value, dlogits = bernoulli(logits, x)
        return value + 0 * np.exp(logits.real).sum(), dlogits

    x = Key(0).uniform((5, 3), np.float64)
    loss_suite(naive, (5, 3), x)
    with pytest.raises(CheckError, match="large: FloatingPointError"):
        loss_suite(naive, (5, 3), x, large=1e4)


# ---- the distributions


def test_gaussian_integrates_to_one():
    mean, logvar = np.array([[0.7]]), np.array([[-0.4]])
    x = np.linspace(-12, 12, 4001)
    density = [math.exp(-gaussian(mean, logvar, np.array([[value]]))[0]) for value in x]
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-10)
    assert np.trapezoid(density * x, x) == pytest.approx(0.7, abs=1e-10)
    assert np.trapezoid(density * (x - 0.7) ** 2, x) == pytest.approx(math.exp(-0.4), abs=1e-10)


def test_bernoulli_and_categorical_sum_to_one():
    logits = Key(1).normal((1, 3), np.float64)
    outcomes = [np.array([[a, b, c]], float) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    assert sum(math.exp(-bernoulli(logits, x)[0]) for x in outcomes) == pytest.approx(1, abs=1e-14)
    assert sum(math.exp(-categorical(logits, np.array([k]))[0]) for k in range(3)) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(np.exp(log_softmax(logits)).sum(), 1, rtol=1e-14)
    np.testing.assert_allclose(log_softmax(np.array([[3e3, 0, -3e3]])), [[0, -3e3, -6e3]])


def test_closed_form_kl_is_that_of_monte_carlo():
    mu, logvar = np.array([[0.8, -0.3]]), np.array([[-0.7, 0.5]])
    n = 200_000
    eps = Key(2).normal((n, 2), np.float64)
    (z,) = spread(mu, logvar, eps[None])
    log_q = -0.5 * (logvar + eps**2).sum(1)
    log_p = -0.5 * (z**2).sum(1)
    sampled = log_q - log_p
    error = sampled.std() / math.sqrt(n)
    assert abs(sampled.mean() - gaussian_kl(mu, logvar)[0]) < 4 * error
    assert gaussian_kl(0 * mu, 0 * logvar)[0] == 0


def test_reparameterized_samples_have_the_variance_that_logvar_says():
    mu, logvar = np.array([[1.5, -2.0, 0.0]]), np.array([[-2.0, 0.0, 1.5]])
    (z,) = spread(mu, logvar, Key(3).normal((1, 100_000, 3), np.float64))
    np.testing.assert_allclose(z.var(0), np.exp(logvar)[0], rtol=0.02)
    np.testing.assert_allclose(z.mean(0), mu[0], atol=4 * np.exp(0.5 * 1.5) / math.sqrt(100_000))


def test_reparameterize_backward_is_the_derivative():
    mu, logvar, eps, dz, a, b = (Key(4).at(i).normal((5, 3), np.float64) for i in range(6))
    z_dot = reparameterize(mu + 1e-30j * a, logvar + 1e-30j * b, eps).imag / 1e-30
    dmu, dlogvar = reparameterize_backward(dz, logvar, eps)
    assert (dz * z_dot).sum() == pytest.approx((dmu * a + dlogvar * b).sum(), rel=1e-12)

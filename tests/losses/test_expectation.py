"""Pathwise and score-function gradients: both right on average, and far apart in variance."""

import math

import numpy as np
import pytest

from minigen.losses.expectation import leave_one_out, pathwise, score_function
from minigen.random import Key

N, MU, LOGVAR = 200_000, 1.0, -0.5
EPS = Key(0).normal(N, np.float64)
Z = MU + math.exp(LOGVAR / 2) * EPS

# f, f', and the gradient of E f in closed form: of 100 + z^2, E f = 100 + mu^2 + e^logvar; of sin z, e^(-var/2) sin mu.
DECAY = math.exp(-math.exp(LOGVAR) / 2)
CASES = {
    "square": (100 + Z**2, 2 * Z, 2 * MU, math.exp(LOGVAR)),
    "sine": (np.sin(Z), np.cos(Z), DECAY * math.cos(MU), -DECAY * math.sin(MU) * math.exp(LOGVAR) / 2),
}


def estimates(value, slope):
    return {
        "pathwise": pathwise(slope, LOGVAR, EPS),
        "score": score_function(value, LOGVAR, EPS),
        "baseline": score_function(value, LOGVAR, EPS, leave_one_out(value)),
    }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["pathwise", "score", "baseline"])
def test_each_is_unbiased(case, name):
    """Its mean is within four standard errors of the truth."""
    value, slope, *truth = CASES[case]
    for estimate, true in zip(estimates(value, slope)[name], truth, strict=True):
        assert abs(estimate.mean() - true) < 4 * estimate.std() / math.sqrt(N)


def test_the_variances_are_those_of_the_closed_forms():
    """At f = 100 + z^2: the slope 2 z has variance 4 e^logvar; the score's is E f^2 eps^2 e^-logvar - 4 mu^2."""
    value, slope, *_ = CASES["square"]
    found = {name: estimate.dmu.var() for name, estimate in estimates(value, slope).items()}
    var = math.exp(LOGVAR)
    assert found["pathwise"] == pytest.approx(4 * var, rel=0.02)
    assert found["score"] == pytest.approx((value**2 * EPS**2).mean() / var - 4 * MU**2, rel=0.02)
    assert found["score"] > 1000 * found["pathwise"]
    assert 2 * found["pathwise"] < found["baseline"] < 10 * found["pathwise"]


def test_the_baseline_is_the_mean_of_the_others():
    np.testing.assert_allclose(leave_one_out(np.array([1.0, 2.0, 6.0])), [4.0, 3.5, 1.5])
    with pytest.raises(ValueError, match="two"):
        leave_one_out(np.ones(1))


def test_the_pathwise_one_is_the_vaes():
    from minigen.models.vae import reparameterize_backward

    dz = np.cos(Z)
    through_z = reparameterize_backward(dz[:, None], np.full((N, 1), LOGVAR), EPS[:, None])
    for ours, theirs in zip(pathwise(dz, LOGVAR, EPS), through_z, strict=True):
        np.testing.assert_allclose(ours[:, None], theirs)

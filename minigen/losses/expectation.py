"""Two gradients of an expectation whose distribution depends on the parameters: through the sample, and through its score.

    L(mu, logvar) = E_z f(z),        z ~ N(mu, e^logvar)

pathwise    z = mu + e^(logvar/2) eps, and the gradient is taken through z (Kingma and Welling 2014). It needs f'(z).

    dmu = f'(z)                                        dlogvar = f'(z) e^(logvar/2) eps / 2

score       the derivative of the density itself (REINFORCE, Williams 1992): dL = E [ f(z) d log q(z) ]. It needs f(z) alone,
            so it also serves where z is discrete or f is not known. With eps = (z - mu) e^(-logvar/2):

    dmu = (f(z) - b) eps e^(-logvar/2)                 dlogvar = (f(z) - b) (eps^2 - 1) / 2

A baseline b that does not depend on the sample changes no expectation, since E [ d log q ] = 0, but much of the variance.
The mean of the other samples is one ("leave one out"). Every line here is one sample's estimate: average them.

n samples, "..." their axes; f is summed over none of them (one number for each sample).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array


class Estimates(NamedTuple):
    """One for each sample; both are unbiased for the gradient of E f."""

    dmu: Array  # (n, ...)
    dlogvar: Array  # (n, ...)


def pathwise(slope: Array, logvar: Any, eps: Array) -> Estimates:
    """From f'(z) (n, ...) at z = mu + e^(logvar/2) eps."""
    return Estimates(slope + 0 * eps, 0.5 * slope * np.exp(0.5 * logvar) * eps)


def score_function(value: Array, logvar: Any, eps: Array, baseline: Any = 0.0) -> Estimates:
    """From f(z) (n, 1 for each further axis of eps) alone. `baseline` must not depend on the sample it is taken from."""
    reward = value - baseline
    return Estimates(reward * eps * np.exp(-0.5 * logvar), 0.5 * reward * (eps**2 - 1))


def leave_one_out(value: Array) -> Array:
    """For each sample the mean of the others' values: (n, ...) -> (n, ...). Raises ValueError on a single sample."""
    if len(value) < 2:
        raise ValueError("a baseline from the other samples needs at least two of them")
    others: Array = (value.sum(0) - value) / (len(value) - 1)
    return others

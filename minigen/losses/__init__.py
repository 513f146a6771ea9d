"""Losses: each returns its value and the gradient of every argument that can learn, in order.

`likelihood.py`: Bernoulli, categorical, Gaussian, squared error and the Gaussian KL; `adversarial.py`: the games of GANs.
"""

from .likelihood import (
    bernoulli,
    bernoulli_dot,
    categorical,
    categorical_dot,
    gaussian,
    gaussian_dot,
    gaussian_kl,
    gaussian_kl_dot,
    log_softmax,
    mse,
    mse_dot,
)

__all__ = [
    "bernoulli",
    "bernoulli_dot",
    "categorical",
    "categorical_dot",
    "gaussian",
    "gaussian_dot",
    "gaussian_kl",
    "gaussian_kl_dot",
    "log_softmax",
    "mse",
    "mse_dot",
]

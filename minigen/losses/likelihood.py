"""Losses: each returns its value and the gradient of every argument that can learn, in order.

Likelihoods are in nats per row: summed over all axes but the first, averaged over the batch. They take logits or log-variances,
never probabilities or variances: no logarithm of a rounded zero. Targets are constants.

`scale` multiplies the gradients alone, as an objective's does: in the pass that makes them, which spares one more.

`<loss>_dot` is the product rule on the gradient: how it moves as the arguments move along their tangents. Second order
(unrolled games, Hessian-vector products) needs it.

N batch, "..." any further axes, K classes. Each value is a number; each gradient has the shape of its argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..kernels import bernoulli as bernoulli_kernel
from ..kernels import categorical as categorical_kernel
from ..kernels import gaussian as gaussian_kernel
from ..kernels import squares as squares_kernel
from ..layers.elementwise import sigmoid


def _rows(name: str, x: Array) -> int:
    if not len(x):
        raise ValueError(f"{name}: the batch is empty, and its mean is not defined")
    return len(x)


def bernoulli(logits: Array, x: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-log p(x), with p = s(logits), the sigmoid, as sum log(1 + e^l) - x l. x in [0, 1] (N, ...).

    Where x is not 0 or 1 this is the cross-entropy, and no longer a likelihood of x.
    Gradient: dlogits = (s(logits) - x) / N.
    """
    _rows("bernoulli", x)
    return bernoulli_kernel.loss(logits, x, scale=scale)


def bernoulli_dot(logits: Array, logits_dot: Array) -> Array:
    """dlogits_dot = s (1 - s) logits_dot / N."""
    s = sigmoid(logits)
    return s * (1 - s) * logits_dot / _rows("bernoulli_dot", logits)


def log_softmax(logits: Array) -> Array:
    """log p_k = l_k - log sum_j e^l_j over the last axis, shifted by the largest real part."""
    shifted = logits - logits.real.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def categorical(logits: Array, labels: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """-log p(labels), with p the softmax of logits (N, ..., K) and labels (N, ...) integers below K.

    Gradient: dlogits = (p - onehot(labels)) / N. Raises ValueError on a label that is no class; on a GPU it makes NaN instead.
    """
    _rows("categorical", labels)
    return categorical_kernel.loss(logits, labels, scale=scale)


def categorical_dot(logits: Array, logits_dot: Array) -> Array:
    """dlogits_dot = p (logits_dot - sum_k p_k logits_dot_k) / N."""
    p = np.exp(log_softmax(logits))
    return p * (logits_dot - (p * logits_dot).sum(-1, keepdims=True)) / _rows("categorical_dot", logits)


def gaussian(mean: Array, logvar: Array, x: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """-log N(x; mean, e^logvar) = sum (logvar + log 2 pi + (x - mean)^2 e^-logvar) / 2; all (N, ...).

    Gradients: dmean = (mean - x) e^-logvar / N, dlogvar = (1 - (x - mean)^2 e^-logvar) / 2N.
    """
    _rows("gaussian", x)
    return gaussian_kernel.loss(mean, logvar, x, scale=scale)


def gaussian_dot(mean: Array, logvar: Array, x: Array, mean_dot: Array, logvar_dot: Array) -> tuple[Array, Array]:
    """How gaussian's gradients move, with p = e^-logvar:

    dmean_dot = (mean_dot - error logvar_dot) p / N, dlogvar_dot = error (error logvar_dot - 2 mean_dot) p / 2N.
    """
    N, precision, error = _rows("gaussian_dot", x), np.exp(-logvar), mean - x
    dmean_dot = (mean_dot - error * logvar_dot) * precision / N
    return dmean_dot, error * (error * logvar_dot - 2 * mean_dot) * precision / (2 * N)


def mse(y: Array, target: Array, *, scale: float = 1.0) -> tuple[Any, Array]:
    """The mean over all elements of (y - target)^2, in squared units of y. Gradient: dy = 2 (y - target) / size."""
    _rows("mse", y)
    return squares_kernel.loss(y, target, scale=scale)


def mse_dot(y_dot: Array) -> Array:
    """dy_dot = 2 y_dot / size."""
    return 2 * y_dot / y_dot.size


def gaussian_kl(mu: Array, logvar: Array, *, scale: float = 1.0) -> tuple[Any, Array, Array]:
    """KL(N(mu, e^logvar) || N(0, 1)) = sum (mu^2 + e^logvar - 1 - logvar) / 2; both (N, ...) (Kingma and Welling 2014, app. B).

    Gradients: dmu = mu / N, dlogvar = (e^logvar - 1) / 2N.
    """
    _rows("gaussian_kl", mu)
    return gaussian_kernel.divergence(mu, logvar, scale=scale)


def gaussian_kl_dot(logvar: Array, mu_dot: Array, logvar_dot: Array) -> tuple[Array, Array]:
    """dmu_dot = mu_dot / N, dlogvar_dot = e^logvar logvar_dot / 2N."""
    N = _rows("gaussian_kl_dot", logvar)
    return mu_dot / N, np.exp(logvar) * logvar_dot / (2 * N)

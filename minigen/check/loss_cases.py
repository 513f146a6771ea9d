"""A case for every loss of minigen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import bernoulli, flow, logit, reparameterize, slopes
from ..kernels.arguments import check_equal_shapes
from ..losses import adversarial, likelihood
from ..random import Key
from .case import LossCase, Sizes


def _mean(total: Any, x: Any) -> Any:
    return total.sum() / len(x)


def _one_hot(labels: Any, K: int) -> Any:
    return (labels[..., None] == np.arange(K)).astype(float)


def _likelihood(
    name: str, args: Callable[[Sizes], tuple[Any, ...]], reference: Callable[..., Any], large: float | None = None
) -> LossCase:
    return LossCase(name, lambda: (getattr(likelihood, name), getattr(likelihood, f"{name}_dot")), args, reference, large)


def _side(name: str, make: Callable[[], adversarial.Side], reference: Callable[[Any], Any]) -> LossCase:
    def made() -> tuple[Callable[..., Any], Callable[..., Any]]:
        side = make()
        return side, side.dot

    return LossCase(name, made, lambda s: ((s.N, s.a),), lambda l: reference(l).mean(), 1e4)


def _softplus(l: Any) -> Any:
    return np.log(1 + np.exp(l))


def _bits(l: Any, x: Any) -> Any:
    """-log p of every pixel x under its logit l."""
    return -x * np.log(1 / (1 + np.exp(-l))) - (1 - x) * np.log(1 / (1 + np.exp(l)))


def _weighed(logits: Any, weights: Any, x: Any) -> tuple[Any, Any, Any]:
    """sum w nll / N over rows that are kept apart, (N, K): linear in w, whose gradient is nll / N."""
    N, nll = likelihood._rows("bernoulli of rows", x), bernoulli.rows(logits, x)
    return (weights * nll).sum() / N, bernoulli.rows_gradient(logits, x, weights / N), nll / N


def _sampled(mu: Any, logvar: Any, eps: Any, c: Any, r: Any) -> tuple[Any, Any, Any]:
    """sum_k (c_k . z_k + r_k (log p(z_k) - log q(z_k))) / N over samples z_k = mu + e^(logvar/2) eps_k."""
    N = likelihood._rows("samples of a Gaussian", mu)
    check_equal_shapes("samples of a Gaussian", eps=eps, c=c)
    z = reparameterize.sample(mu, logvar, eps)  # (N, K, L)
    ratio = reparameterize.log_ratio(logvar, eps, z)  # (N, K)
    check_equal_shapes("samples of a Gaussian", ratio=ratio, r=r)
    dmu, dlogvar = reparameterize.gradient((c - r[..., None] * z) / N, logvar, eps)
    return ((c * z).sum() + (r * ratio).sum()) / N, dmu, dlogvar + r.sum(1, keepdims=True) / (2 * N)


def _flow(z: Any, left: Any, logdet: Any, *, scale: float = 1.0) -> tuple[Any, Any, Any, Any]:
    """-log p of a flow whose z has two parts."""
    likelihood._rows("likelihood of a flow", logdet)
    prior, volume, dlogdet, dz, dleft = flow.loss(logdet, z, left, scale=scale)
    return prior + volume, dz, dleft, dlogdet


def _pixels(c: Any, r: Any, x: Any, u: Any) -> tuple[Any, Any, Any]:
    """sum (c . z + r logdet) / N of pixels' logits: linear in c and r."""
    N, (z, logdet) = likelihood._rows("pixels of a flow", x), logit.of_pixels(x, u, 0.05)
    check_equal_shapes("pixels of a flow", c=c, z=z)
    check_equal_shapes("pixels of a flow", r=r, logdet=logdet)
    return ((c * z).sum() + (r * logdet).sum()) / N, z / N, logdet / N


def _of_pixels(c: Any, r: Any, x: Any, u: Any) -> Any:
    p = 0.05 + 0.9 * (np.floor(255 * x + 0.5) + u) / 256
    return _mean((c * np.log(p / (1 - p))).sum(-1) + r * np.log(0.9 / (p - p * p)).sum(-1), x)


def _paid(rule: str, pays: Callable[[Any], Any]) -> LossCase:
    """A rule on the norms of rows, times 3."""

    def made() -> tuple[Callable[..., Any], None]:
        def loss(g: Any) -> tuple[Any, Any]:
            likelihood._rows(rule, g)
            value, half = slopes.paid(rule, g, weight=3.0, scale=0.5)
            return value, 2 * half

        return loss, None

    return LossCase(rule, made, lambda s: ((s.N, s.a, s.b),), lambda g: _mean(3 * pays((g**2).sum((1, 2))), g))


LOSSES: tuple[LossCase, ...] = (
    _likelihood(
        "bernoulli",
        lambda s: ((s.N, s.a, s.b), Key(s.seed).uniform((s.N, s.a, s.b), np.float64)),
        lambda l, x: _mean(_bits(l, x), x),
        1e4,
    ),
    LossCase(
        "bernoulli of rows",
        lambda: (_weighed, None),
        lambda s: ((s.N, s.a, s.b), (s.N, s.a), Key(s.seed).uniform((s.N, s.b), np.float64)),
        lambda l, w, x: _mean(w[..., None] * _bits(l, x[:, None]), x),
    ),
    _likelihood(
        "categorical",
        lambda s: ((s.N, s.a, s.b + 1), s.ids((s.N, s.a), s.b + 1)),
        lambda l, x: _mean(-np.log((np.exp(l) * _one_hot(x, l.shape[-1])).sum(-1) / np.exp(l).sum(-1)), x),
        1e4,
    ),
    _likelihood(
        "gaussian",
        lambda s: ((s.N, s.a), (s.N, s.a), (s.N, s.a)),
        lambda m, v, x: _mean(-np.log(np.exp(-((x - m) ** 2) / (2 * np.exp(v))) / np.sqrt(2 * np.pi * np.exp(v))), x),
    ),
    _likelihood("mse", lambda s: ((s.N, s.a), (s.N, s.a)), lambda y, t: ((y - t) ** 2).mean()),
    _likelihood(
        "gaussian_kl",
        lambda s: ((s.N, s.a), (s.N, s.a)),
        lambda m, v: _mean(0.5 * (m**2 + np.exp(v) - 1 - v), m),
    ),
    LossCase(
        "likelihood of a flow",
        lambda: (_flow, None),
        lambda s: ((s.N, s.a), (s.N, s.b, 2), (s.N,)),
        lambda z, left, l: (
            _mean(-np.log(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)), z)
            - _mean(np.log(np.exp(-(left**2) / 2) / np.sqrt(2 * np.pi)), z)
            - l.mean()
        ),
    ),
    LossCase(
        "pixels of a flow",
        lambda: (_pixels, None),
        lambda s: (
            *((s.N, s.a), (s.N,)),
            *(Key(s.seed).integers(256, (s.N, s.a)) / 255, Key(s.seed).at("u").uniform((s.N, s.a), np.float64)),
        ),
        _of_pixels,
    ),
    LossCase(
        "samples of a Gaussian",
        lambda: (_sampled, None),
        lambda s: (
            *((s.N, s.b), (s.N, s.b)),
            *Key(s.seed).normal((2, s.N, s.a, s.b), np.float64),
            Key(s.seed).at("r").normal((s.N, s.a), np.float64),
        ),
        lambda m, v, eps, c, r: _mean(
            sum(
                c[:, k] * (m + np.exp(v) ** 0.5 * eps[:, k])
                + r[:, k, None] * (eps[:, k] ** 2 + v - (m + np.exp(v) ** 0.5 * eps[:, k]) ** 2) / 2
                for k in range(eps.shape[1])
            ),
            m,
        ),
    ),
    _paid("half_square", lambda squares: squares / 2),
    _paid("squared_excess", lambda squares: (squares**0.5 - 1) ** 2),
    _side("cross_entropy", lambda: adversarial.cross_entropy(0.9), lambda l: _softplus(l) - 0.9 * l),
    _side("least squares", lambda: adversarial._squares(1.0), lambda l: (l - 1) ** 2 / 2),
    _side("linear", lambda: adversarial._linear(-1.0), lambda l: -l),
    _side("hinge", lambda: adversarial._hinge(-1.0), lambda l: np.maximum(0, 1 - l)),
    _side("minimax generator", lambda: adversarial.game("minimax").generator, lambda l: -_softplus(l)),
)

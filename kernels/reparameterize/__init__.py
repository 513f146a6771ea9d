"""Samples z = mu + e^(logvar/2) eps of a Gaussian, the way back to mu and logvar, and what a sample weighs: a pass each."""

from __future__ import annotations

from minigen.backend import Array

from .. import arguments
from ..dispatch import Ladder

LADDER = Ladder(__name__, numba="one_pass", numba_from=1 << 9)  # work: samples, N K L


def sample(mu: Array, logvar: Array, eps: Array) -> Array:
    """-> z (N, K, L) = mu + e^(logvar/2) eps: K samples of each N(mu_n, e^logvar_n) where eps is one of N(0, 1).

    mu, logvar (N, L), eps (N, K, L). Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check("reparameterize.sample", {"mu": mu, "logvar": logvar}, {"eps": eps})
    arguments.same_kind("reparameterize.sample", mu=mu, logvar=logvar, eps=eps)
    z: Array = LADDER.choose(eps.size, mu, logvar, eps).sample(mu, logvar, eps)
    return z


def gradient(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """-> (dmu, dlogvar), both (N, L): the sums over the samples of dz and of dz e^(logvar/2) eps / 2.

    logvar (N, L), dz and eps (N, K, L). Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check("reparameterize.gradient", {"logvar": logvar}, {"dz": dz, "eps": eps})
    arguments.same_kind("reparameterize.gradient", dz=dz, logvar=logvar, eps=eps)
    result: tuple[Array, Array] = LADDER.choose(eps.size, dz, logvar, eps).gradient(dz, logvar, eps)
    return result


def log_ratio(logvar: Array, eps: Array, z: Array) -> Array:
    """-> log p(z) - log q(z) (N, K), in nats, at z = `sample(mu, logvar, eps)`, with p = N(0, 1) and q = N(mu, e^logvar).

    logvar (N, L), eps and z (N, K, L). Raises ValueError on shapes that do not fit, TypeError on mixed precisions.
    """
    _check("reparameterize.log_ratio", {"logvar": logvar}, {"eps": eps, "z": z})
    arguments.same_kind("reparameterize.log_ratio", logvar=logvar, eps=eps, z=z)
    ratio: Array = LADDER.choose(eps.size, logvar, eps, z).log_ratio(logvar, eps, z)
    return ratio


def _check(name: str, of_rows: dict[str, Array], of_samples: dict[str, Array]) -> None:
    """ValueError unless all `of_rows` are (N, L) and all `of_samples` (N, K, L)."""
    rows, samples = ({x.shape for x in arrays.values()} for arrays in (of_rows, of_samples))
    (row, *others), (sample, *more) = rows, samples
    if others or more or len(row) != 2 or len(sample) != 3 or (sample[0], sample[2]) != row:
        own, drawn = (", ".join(f"{label} {x.shape}" for label, x in arrays.items()) for arrays in (of_rows, of_samples))
        raise ValueError(f"{name}: {own} must be (N, L) and {drawn} (N, K, L), K samples for each row: one is eps[:, None]")

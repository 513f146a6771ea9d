"""What each latent means: the nats that it carries, and what an image becomes when it alone is moved.

    kl_j      = mean over images of KL(q(z_j|x) || N(0, 1))            nats; near 0 where latent j carries nothing
    traversal : decode(mu(x) with its j-th number replaced by t),      t from -2 to 2, where a prior N(0, 1) has 95 of 100 draws

It works for a model with `encode` and `decode`, as the VAEs. N images, L latents, T values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, device_of, to_device

REACH = 2.0  # how far a traversal goes, in standard deviations of the prior


def latent_kl(mu: Array, logvar: Array) -> Array:
    """kl_j of each latent, (L,), in nats, from mu and logvar (N, L). Their sum is the KL of the bound."""
    kl: Array = 0.5 * (mu * mu + np.exp(logvar) - 1 - logvar).mean(0)
    return kl


def traverse(model: Any, x: Array, latents: Array, values: Array) -> Array:
    """Image x (*shape) with each of `latents` (M,) in turn set to each of `values` (T,): (M, T, *shape)."""
    mu = model.encode(x[None])[0]  # (1, L)
    z = np.broadcast_to(mu, (len(latents), len(values), mu.shape[1])).copy()  # (M, T, L)
    there = to_device(np.asarray(values, mu.dtype), device_of(mu))
    for m, j in enumerate(to_device(latents, "cpu")):
        z[m, :, int(j)] = there
    images: Array = model.decode(z.reshape(-1, z.shape[-1]))
    return images.reshape(*z.shape[:2], *images.shape[1:])


def traversals(model: Any, x: Array, columns: int = 8) -> Array:
    """The first image of x (N, *shape), a row for each latent, that with the most nats first: (L, columns, *shape)."""
    by_kl = np.argsort(-latent_kl(*model.encode(x)))  # (L,)
    return traverse(model, x[0], by_kl, np.linspace(-REACH, REACH, columns))

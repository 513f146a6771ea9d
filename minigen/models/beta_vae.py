"""The beta-VAE (Higgins et al. 2017): the bound of `vae`, with a price on what the latents carry.

Reconstruct as well as possible, where the latents may carry no more than C nats:

    min E_q(z|x) [-log p(x|z)]   subject to   KL(q(z|x) || p(z)) <= C

With a multiplier beta of the constraint, and its constant beta C left out, that is (nats per image, one sample of z)

    L = E_q [-log p(x|z)] + beta KL(q(z|x) || p(z))            z = mu + e^(logvar/2) eps,  p(z) = N(0, 1)

    dmu     = dz + beta mu / N
    dlogvar = dz e^(logvar/2) eps / 2 + beta (e^logvar - 1) / 2N

which is `NegativeElbo(beta)`, the code of vae.py. At beta = 1 it is the bound; above, it is no bound on log p(x), but -L at any
beta >= 1 lies below the elbo.

Why it separates latents: averaged over the data, with q(z) = E_x q(z|x) the distribution of all codes,

    E_x KL(q(z|x) || p(z)) = I(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))

The middle part is the *total correlation*: how far the latents are from independent. beta presses on it, and also on I(x; z),
what the latents say about x. So separate latents are paid for with blurred images. `factor_vae` presses on the middle part
alone.

Encoder and decoder have two hidden layers. N batch, L latents.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape
from ..layers.composite import Sequential
from ..layers.elementwise import ReLU
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..random import Key
from .model import Recipe
from .traversal import traversals
from .vae import VAE, Encoder


class BetaVAE(VAE):
    """784-400-400-10-400-400-784. Held-out figures are those of the bound, whatever beta. Raises ValueError where beta <= 0."""

    name = "beta_vae"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "glyph_factors", "mnist", "fashion_mnist"),
        batch=128,
        steps=20_000,
        rate=1e-3,
        lesson="03",
        options={"hidden": 400, "latents": 10, "beta": 4.0},
        objectives=("elbo",),
        by_data={"glyph_factors": {"options": {"beta": 2.0}}},  # of its five factors, 4 pays for the nats of three
    )

    def __init__(
        self, shape: Shape, key: Key, dtype: DTypeLike = np.float32, *, hidden: int = 400, latents: int = 10, beta: float = 4.0
    ) -> None:
        if not 0 < beta < math.inf:
            raise ValueError(f"beta={beta:g} is no price of a nat: give a positive number, such as 4")
        super().__init__(shape, key, dtype, hidden=hidden, latents=latents, beta=beta)

    def networks(self, shape: Shape, hidden: int, latents: int) -> tuple[Encoder, Sequential]:
        return deep_networks(shape, hidden, latents)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """Those of `vae`; `traversals`: a row for each latent, the most nats first, set to -2 .. 2 in the code of one image."""
        return super().pictures(batch, key) | {"traversals": traversals(self, self.batch_of(batch))}


def deep_networks(shape: Shape, hidden: int, latents: int) -> tuple[Encoder, Sequential]:
    """Encoder and decoder with two hidden layers of ReLU: (N, *shape) -> mu, logvar (N, L) -> logits (N, *shape)."""
    pixels = math.prod(shape)
    trunk = Sequential(
        flat=Flatten(),
        hidden1=Linear(pixels, hidden, activation=ReLU()),
        hidden2=Linear(hidden, hidden, activation=ReLU()),
    )
    decoder = Sequential(
        hidden1=Linear(latents, hidden, activation=ReLU()),
        hidden2=Linear(hidden, hidden, activation=ReLU()),
        out=Linear(hidden, pixels),
        shape=Reshape(*shape),
    )
    return Encoder(trunk, hidden, latents), decoder

"""FactorVAE (Kim and Mnih 2018): a VAE whose latents are pressed to be independent of each other, and of nothing else.

With q(z) = E_x q(z|x) the distribution of all codes, and q_(z) = prod_j q(z_j) the product of its marginals,

    L = E [-log p(x|z)] + KL(q(z|x) || p(z)) + gamma TC,        TC = KL(q(z) || q_(z)) = E_q(z) log ( q(z) / q_(z) )

TC is the total correlation: 0 where the latents are independent. No density is known, but both can be sampled, q(z) by
encoding, q_(z) by shuffling each latent over the batch by itself. So a discriminator D is trained to tell them apart (the
density-ratio trick). With l its logit and s the sigmoid, it pays

    L_D = 1/2 ( mean softplus(-l(z)) + mean softplus(l(z_)) )          z ~ q(z), z_ ~ q_(z)

Where D cannot learn more, dL_D/dl = 0 at each z: q(z) s(-l) = q_(z) s(l), which is e^l = q(z) / q_(z), and so TC = E_q(z) l(z).

    minimax step                               gradient                             moves
    VAE's turn   L with gamma mean l(z)        dl = gamma / N, back through D       encoder, decoder; D is held still
    D's turn     L_D                           dl(z)  = (s(l) - 1) / 2N             D; z and z_ are constants
                                               dl(z_) = s(l) / 2N

A batch is two halves, drawn independently. The first is the VAE's, and its z are those of q(z); the second is encoded to be
shuffled, so that no z_ has a number in common with a z (algorithm 2 of the paper).

N rows of a half, L latents.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..layers.composite import Sequential
from ..layers.elementwise import LeakyReLU
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..losses import bernoulli, gaussian_kl
from ..losses.adversarial import GAMES, Side
from ..random import Key
from .beta_vae import deep_networks
from .model import Recipe
from .objective import Forwarder, Forwards, Objective, Terms
from .traversal import traversals
from .vae import VAE, Encoder, reparameterize, reparameterize_backward

SIDES = GAMES["minimax"]  # real: softplus(-l), fake: softplus(l), with their slopes
MEAN = Side("linear", 1.0)  # of logits, as a loss


def orders(rows: int, latents: int, key: Key, *, like: Any = None) -> Array:
    """A random order of the rows for each latent, (L, N), on the device of `like`: what `shuffle` takes."""
    return np.stack([key.at(j).permutation(rows, like=like) for j in range(latents)])


def shuffle(z: Array, order: Array) -> Array:
    """z_ij = z[order[j, i], j]: each latent is shuffled over the batch by itself. z (N, L), order (L, N) -> (N, L).

    Every marginal keeps its values; which of them stand together in a row is chance. Rows are mixed, latents never.
    """
    return np.take_along_axis(z, order.T, 0)


class FactorNoise(NamedTuple):
    eps: Array  # (N, L) of the first half
    eps_apart: Array  # (N, L) of the second
    order: Array  # (L, N)


class FactorElbo(Objective):
    """E [-log p(x|z)] + KL + gamma mean l(z), nats per image, over the first half (Kim and Mnih 2018, eq. 2 with eq. 3)."""

    name, updates = "elbo", ("encoder", "decoder")

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def draw(self, model: FactorVAE, batch: Array, key: Key, forwards: Forwards | None = None) -> FactorNoise:
        first, second = halves(batch)
        eps, apart = (key.at(name).normal((len(first), model.latents), like=batch) for name in ("eps", "apart"))
        return FactorNoise(eps, apart, orders(len(second), model.latents, key.at("order"), like=batch))

    def __call__(
        self,
        model: FactorVAE,
        batch: Array,
        noise: FactorNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, (x, _) = Forwarder(model, forwards, train=train), halves(batch)
        (mu, logvar), encoder_cache = forward("encoder", x)  # (N, L), (N, L)
        z = reparameterize(mu, logvar, noise.eps)  # (N, L)
        logits, decoder_cache = forward("decoder", z)  # (N, ...)
        l, judge_cache = forward("discriminator:together", z)  # (N, 1)

        reconstruction, dlogits = bernoulli(logits, x, scale=scale)
        kl, dmu, dlogvar = gaussian_kl(mu, logvar, scale=scale)
        total_correlation, dl = MEAN(l, scale=scale * self.gamma)
        if backward:
            dz = model.decoder.backward(dlogits, decoder_cache)
            dz = dz + model.discriminator.backward(dl, judge_cache, param_grads=False)
            dmu_z, dlogvar_z = reparameterize_backward(dz, logvar, noise.eps)
            model.encoder.backward((dmu + dmu_z, dlogvar + dlogvar_z), encoder_cache, need_dx=False)

        terms = {"reconstruction": reconstruction, "kl": kl, "total_correlation": self.gamma * total_correlation}
        return terms, forward.made(self.updates)


class DensityRatio(Objective):
    """1/2 (mean softplus(-l(z)) + mean softplus(l(z_))), z of the first half, z_ of the second, shuffled: both constants."""

    name, updates = "discriminator", ("discriminator",)
    draw = FactorElbo.draw

    def __call__(
        self,
        model: FactorVAE,
        batch: Array,
        noise: FactorNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, (x, x_apart), D = Forwarder(model, forwards, train=train), halves(batch), model.discriminator
        (mu, logvar), _ = forward("encoder", x)  # (N, L), (N, L)
        (mu_apart, logvar_apart), _ = forward("encoder:apart", x_apart)  # (N, L), (N, L)
        z = reparameterize(mu, logvar, noise.eps)  # (N, L)
        z_apart = shuffle(reparameterize(mu_apart, logvar_apart, noise.eps_apart), noise.order)  # (N, L)
        l, cache = forward("discriminator:together", z)  # (N, 1)
        l_apart, cache_apart = forward("discriminator:apart", z_apart)  # (N, 1)

        together, dl = SIDES.real(l, scale=0.5 * scale)
        apart, dl_apart = SIDES.fake(l_apart, scale=0.5 * scale)
        if backward:
            D.backward(dl, cache, need_dx=False)
            D.backward(dl_apart, cache_apart, need_dx=False)
        return {"together": 0.5 * together, "apart": 0.5 * apart}, forward.made(self.updates)


def halves(batch: Array) -> tuple[Array, Array]:
    """Two sets of as many rows; the last row of an odd number is left out. Raises ValueError on fewer than two."""
    half = len(batch) // 2
    if not half:
        raise ValueError(f"factor_vae splits its batch in two, and this one has {len(batch)} rows: give at least 2")
    return batch[:half], batch[half : 2 * half]


class FactorVAE(VAE):
    """The networks of `beta_vae`, and a discriminator with `depth` hidden layers of `width` units.

    `rate_ratio` is D's learning rate over the VAE's. Raises ValueError where gamma <= 0, or D has no hidden layer.
    """

    name = "factor_vae"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "glyph_factors", "mnist", "fashion_mnist"),
        batch=128,
        steps=20_000,
        rate=1e-3,
        lesson="03",
        options={"hidden": 400, "latents": 10, "gamma": 10.0, "width": 256, "depth": 3, "rate_ratio": 0.5},
        objectives=("elbo", "discriminator"),
        by_data={"glyph_factors": {"options": {"gamma": 6.0}}},
    )
    discriminator: Sequential

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        hidden: int = 400,
        latents: int = 10,
        gamma: float = 10.0,
        width: int = 256,
        depth: int = 3,
        rate_ratio: float = 0.5,
    ) -> None:
        if not 0 < gamma < math.inf:
            raise ValueError(f"gamma={gamma:g} is no weight of the total correlation: give a positive number, such as 10")
        if depth < 1:
            raise ValueError(f"depth={depth}: a discriminator without a hidden layer sees no dependence: give at least 1")
        hidden_layers: dict[str, Layer] = {
            f"hidden{i + 1}": Linear(width if i else latents, width, activation=LeakyReLU(0.2)) for i in range(depth)
        }
        discriminator = Sequential(**hidden_layers, out=Linear(width, 1))
        super().__init__(shape, key, dtype, hidden=hidden, latents=latents, discriminator=discriminator)
        self.gamma, self.rate_ratio = gamma, rate_ratio
        self.objectives = (FactorElbo(gamma), DensityRatio())

    def networks(self, shape: Shape, hidden: int, latents: int) -> tuple[Encoder, Sequential]:
        return deep_networks(shape, hidden, latents)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(
            vae=optim.Adam(self, self.spans("encoder", "decoder"), rate),
            d=optim.Adam(self, self.spans("discriminator"), self.rate_ratio * rate, betas=(0.5, 0.9)),
        )

    def step(self, batch: Array, key: Key) -> Terms:
        elbo, ratio = self.objectives
        noise = elbo.draw(self, batch, key)
        x, _ = halves(batch)
        (mu, logvar), _ = encoded = self.encoder.forward(x, train=True)
        judged = self.discriminator.forward(reparameterize(mu, logvar, noise.eps), train=True)
        forwards = {"encoder": encoded, "discriminator:together": judged}  # both turns see the same z

        self.zero_grads()
        vae_terms, seen = elbo(self, batch, noise, forwards=forwards)
        self.optimizers["vae"].step()  # D stands still, so its forward is fresh in its own turn
        self.commit(noise, seen)

        d_terms, seen = ratio(self, batch, noise, forwards=forwards)
        self.optimizers["d"].step()
        self.commit(noise, seen)
        return vae_terms | d_terms

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """The bound and its two parts, as of `vae`, and D's estimate of the total correlation, in nats."""
        z = reparameterize(*self.encode(batch), key.at("total correlation").normal((len(batch), self.latents), like=batch))
        return super().evaluate(batch, key) | {"total_correlation": self.discriminator.forward(z)[0].mean()}

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """Those of `vae`; `traversals` as of `beta_vae`."""
        return super().pictures(batch, key) | {"traversals": traversals(self, self.batch_of(batch))}

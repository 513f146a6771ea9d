"""The variational autoencoder (Kingma and Welling 2014), dense: 784-400-20-400-784.

The log likelihood of an image has a lower bound that can be sampled (derived in lessons/03_vae.py):

    log p(x) >= elbo = E_q(z|x) [log p(x|z)] - KL(q(z|x) || p(z)),        q(z|x) = N(mu(x), e^logvar(x)),  p(z) = N(0, 1)

z is drawn as mu + e^(logvar/2) eps, so at fixed eps the loss is a function of the parameters like any other:

    x -- encoder --> mu, logvar -- reparameterize(eps) --> z -- decoder --> logits --> -log p(x|z)
                          \\--------------------------------------------------> KL

N batch, L latents, "..." the axes of an image.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape, device_of, to_device
from ..kernels import bernoulli as bernoulli_kernel
from ..kernels import reparameterize as gaussian_samples
from ..layers.composite import Composite, Sequential
from ..layers.elementwise import ReLU, sigmoid
from ..layers.initialisers import fan_in_uniform
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..layers.tree import Tree
from ..layers.vector import Initialiser
from ..losses import bernoulli, gaussian_kl
from ..random import Key
from .latent import line
from .model import Model, Recipe
from .objective import Forwards, Objective, Terms, total


def reparameterize(mu: Array, logvar: Array, eps: Array) -> Array:
    """z = mu + e^(logvar/2) eps: a sample of N(mu, e^logvar) where eps is one of N(0, 1). All (N, L)."""
    return spread(mu, logvar, eps[:, None])[:, 0]


def reparameterize_backward(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """dmu = dz, dlogvar = dz e^(logvar/2) eps / 2. All (N, L)."""
    return spread_backward(dz[:, None], logvar, eps[:, None])


def spread(mu: Array, logvar: Array, eps: Array) -> Array:
    """K samples for every image: z_i = mu + e^(logvar/2) eps_i, with mu and logvar (N, L), eps and z (N, K, L)."""
    return gaussian_samples.sample(mu, logvar, eps)


def spread_backward(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """dmu = sum_i dz_i, dlogvar = sum_i dz_i e^(logvar/2) eps_i / 2, of dz and eps (N, K, L)."""
    return gaussian_samples.gradient(dz, logvar, eps)


def log_ratio(logvar: Array, eps: Array, z: Array) -> Array:
    """log p(z_i) - log q(z_i|x) = sum_l (eps_i^2 + logvar - z_i^2) / 2 at z_i = mu + e^(logvar/2) eps_i: (N, K).

    log q is -sum (log 2 pi + logvar + eps^2) / 2 there, and log 2 pi is in both.
    """
    return gaussian_samples.log_ratio(logvar, eps, z)


class Encoder(Composite):
    """x -> (mu, logvar): a trunk and two linear heads."""

    def __init__(self, trunk: Layer, width: int, latents: int, *, initialiser: Initialiser = fan_in_uniform) -> None:
        super().__init__()
        self.trunk = trunk
        self.mu, self.logvar = (Linear(width, latents, initialiser=initialiser) for _ in range(2))

    def wire(self, f: Any, x: Array) -> tuple[Array, Array]:
        h = f.trunk(x)  # (N, width)
        return f.mu(h), f.logvar(h)  # (N, L), (N, L)

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dmu, dlogvar = dy
        dh = b.logvar(dlogvar) + b.mu(dmu)
        return b.trunk(dh, need_dx=b.need_dx)


class ElboNoise(NamedTuple):
    eps: Array  # (N, L)


class NegativeElbo(Objective):
    """E_q[-log p(x|z)] + beta KL(q(z|x) || p(z)), nats per image, with one sample of z (Kingma and Welling 2014, eq. 10).

    beta = 1 is the bound; other values are those of Higgins et al. 2017.
    """

    name, updates = "elbo", ("encoder", "decoder")

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def draw(self, model: VAE, batch: Array, key: Key, forwards: Forwards | None = None) -> ElboNoise:
        return ElboNoise(eps=key.at("eps").normal((len(batch), model.latents), like=batch))

    def __call__(
        self,
        model: VAE,
        batch: Array,
        noise: ElboNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        encoder, decoder, beta = model.encoder, model.decoder, self.beta
        encoded = (forwards or {}).get("encoder") or encoder.forward(batch, train=train)
        (mu, logvar), encoder_cache = encoded  # (N, L), (N, L)
        z = reparameterize(mu, logvar, noise.eps)  # (N, L)
        logits, decoder_cache = decoder.forward(z, train=train)  # (N, ...)

        reconstruction, dlogits = bernoulli(logits, batch, scale=scale)
        kl, dmu, dlogvar = gaussian_kl(mu, logvar, scale=scale * beta)
        if backward:
            dz = decoder.backward(dlogits, decoder_cache)
            dmu_z, dlogvar_z = reparameterize_backward(dz, logvar, noise.eps)
            encoder.backward((dmu + dmu_z, dlogvar + dlogvar_z), encoder_cache, need_dx=False)

        terms = {"reconstruction": reconstruction, "kl": beta * kl}
        return terms, {"encoder": encoded, "decoder": (logits, decoder_cache)}


def mean_log_odds(x: Array) -> Array:
    """The logits (pixels,) of the mean of images x (N, *shape), with one black and one white more: never 0 or 1."""
    mean = (x.sum(0) + 1) / (len(x) + 2)
    return np.log(mean / (1 - mean)).reshape(-1)


class VAE(Model):
    """Encoder and decoder with one hidden layer of ReLU; pixels are Bernoulli, latents Gaussian."""

    name = "vae"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "mnist"),
        batch=128,
        steps=4000,
        rate=1e-3,
        lesson="03",
        options={"hidden": 400, "latents": 20, "beta": 1.0},
        objectives=("elbo",),
        # Glyphs have few causes. With no more latents than needed, more places of the prior have a glyph to show.
        by_data={"glyphs": {"steps": 8000, "rate": 2e-3, "options": {"latents": 8}}},
    )
    unit = "nats per image"
    encoder: Encoder
    decoder: Sequential

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        hidden: int = 400,
        latents: int = 20,
        beta: float = 1.0,
        **others: Layer,
    ) -> None:
        """`others` are networks that a model has besides encoder and decoder."""
        self.shape, self.latents = shape, latents
        encoder, decoder = self.networks(shape, hidden, latents)
        super().__init__(key, dtype, encoder=encoder, decoder=decoder, **others)
        self.objectives = (NegativeElbo(beta),)

    def networks(self, shape: Shape, hidden: int, latents: int) -> tuple[Encoder, Sequential]:
        """The encoder (N, *shape) -> mu, logvar and the decoder (N, L) -> logits (N, *shape)."""
        pixels = math.prod(shape)
        trunk = Sequential(flat=Flatten(), hidden=Linear(pixels, hidden, activation=ReLU()))
        of_latents = Linear(latents, hidden, activation=ReLU())
        decoder = Sequential(hidden=of_latents, out=Linear(hidden, pixels), shape=Reshape(*shape))
        return Encoder(trunk, hidden, latents), decoder

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=rate))

    def step(self, batch: Array, key: Key) -> Terms:
        (elbo,) = self.objectives
        noise = elbo.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = elbo(self, batch, noise)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """The bound itself, negative and at beta = 1 whatever the training's beta, and its two parts."""
        bound = NegativeElbo(beta=1.0)
        terms, _ = bound(self, batch, bound.draw(self, batch, key), train=False, backward=False)
        return {"negative_elbo": total(terms), **terms}

    def log_weights(self, x: Array, samples: int, key: Key) -> Array:
        """log w_i = log p(x|z_i) + log p(z_i) - log q(z_i|x) for samples z_i of q(z|x): (N, samples), nats.

        The mean of the w_i is an unbiased estimate of p(x) (Burda et al. 2016; derived in iwae.py).
        """
        mu, logvar = self.encode(x)  # (N, L), (N, L)
        eps = key.normal((len(x), samples, self.latents), like=x)
        z = spread(mu, logvar, eps)
        logits = self.decoder.forward(z.reshape(-1, self.latents))[0].reshape(len(x), samples, -1)  # (N, samples, P)
        return log_ratio(logvar, eps, z) - bernoulli_kernel.rows(logits, x.reshape(len(x), -1))

    # ---- what it is used for

    def encode(self, x: Array) -> tuple[Array, Array]:
        """mu and logvar (N, L) of q(z|x)."""
        return self.encoder.forward(x)[0]

    def decode(self, z: Array) -> Array:
        """The probability of every pixel, (N, *shape), at latents z (N, L)."""
        return sigmoid(self.decoder.forward(z)[0])

    def reconstruct(self, x: Array) -> Array:
        """decode at the posterior's mean."""
        return self.decode(self.encode(x)[0])

    def sample(self, n: int, key: Key) -> Array:
        """decode at latents from the prior: (n, *shape)."""
        return self.decode(key.normal((n, self.latents), like=self.theta))

    def interpolate(self, a: Array, b: Array, steps: int) -> Array:
        """decode on the straight line from the mean of image a to that of image b: (steps, *shape)."""
        mu, _ = self.encode(np.stack((a, b)))  # (2, L)
        return self.decode(line(mu, steps))

    def latent_map(self, side: int) -> Array:
        """decode on a grid of quantiles of the prior, (side, side, *shape): the whole of a two-dimensional latent space.

        Raises ValueError where there are not two latents.
        """
        if self.latents != 2:
            raise ValueError(f"a latent map needs 2 latents, this model has {self.latents}: train with --set latents=2")
        from scipy.special import ndtri

        q = ndtri((np.arange(side) + 0.5) / side).astype(self.dtype)  # (side,): equal probability between neighbours
        z = np.stack(np.meshgrid(q, q[::-1]), -1).reshape(-1, 2)
        return self.decode(to_device(z, device_of(self.theta))).reshape(side, side, *self.shape)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        x = self.batch_of(batch)
        pictures = {"samples": self.sample(64, key.at("samples")).reshape(8, 8, *self.shape)}
        if len(x) >= 16:
            pairs = np.stack((x[:16].reshape(2, 8, *self.shape), self.reconstruct(x[:16]).reshape(2, 8, *self.shape)), 1)
            pictures["reconstructions"] = pairs.reshape(4, 8, *self.shape)
            pictures["interpolation"] = np.stack([self.interpolate(x[2 * i], x[2 * i + 1], 8) for i in range(8)])
        if self.latents == 2:
            pictures["latent_map"] = self.latent_map(20)
        return pictures

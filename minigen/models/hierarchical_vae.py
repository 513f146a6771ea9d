"""A VAE with two layers of latents, as in the IWAE paper (Burda et al. 2016): 784-200-200-100-100-100-50.

h1 explains the image, h2 explains h1; each arrow is a network of two hidden layers of tanh:

    p:   h2 ~ N(0, 1)  ->  h1 ~ N(m(h2), e^s(h2))  ->  x ~ Bernoulli(logits(h1))
    q:   x  ->  h1 ~ N(mu1(x), e^logvar1(x))  ->  h2 ~ N(mu2(h1), e^logvar2(h1))

The bound, with both drawn by the reparameterization trick, h_i = mu_i + e^(logvar_i/2) eps_i:

    log p(x) >= E_q [ log p(x|h1) + log p(h1|h2) + log p(h2) - log q(h1|x) - log q(h2|h1) ]

    -bound =   -log p(x|h1)                                     reconstruction
             + log q(h1|x) - log p(h1|h2)                       lower, at the sample
             + KL(q(h2|h1) || N(0, 1))                          upper, in closed form given h1

`lower` has two Gaussians and yet no closed form: h2 was drawn from q(h2|h1), so it knows h1, and a KL would take h1 for
independent of it. At its own sample log q(h1|x) = -sum (log 2 pi + logvar1 + eps1^2) / 2.

Backward. h1 is used three times: decoded, explained by h2, and encoded again. With d for the gradients of the mean over N rows,

    dh2      = what comes back through m, s                     of -log p(h1|h2), whose gradients are losses.gaussian's
    dmu2     = dh2 + mu2 / N,   dlogvar2 = dh2 e^(logvar2/2) eps2 / 2 + (e^logvar2 - 1) / 2N
    dh1      = through the decoder - dm + through mu2, logvar2  (h1 - m is in -log p(h1|h2) as the error: its dh1 is -dm)
    dmu1     = dh1,             dlogvar1 = dh1 e^(logvar1/2) eps1 / 2 - 1 / 2N

N batch, L1 and L2 latents, S samples, "..." the axes of an image.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..kernels import bernoulli as bernoulli_kernel
from ..kernels import combine
from ..kernels.gaussian.definition import LOG_2PI
from ..layers.composite import Sequential
from ..layers.elementwise import Elementwise, Tanh, sigmoid
from ..layers.initialisers import glorot_uniform
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..losses import bernoulli, gaussian, gaussian_kl
from ..random import Key
from .model import Model, Recipe
from .objective import Forwarder, Forwards, Objective, Terms, total
from .vae import Encoder, log_ratio, mean_log_odds, reparameterize, reparameterize_backward


class TwoLayerNoise(NamedTuple):
    eps1: Array  # (N, L1)
    eps2: Array  # (N, L2)


class TwoLayerElbo(Objective):
    """-log p(x|h1) + log q(h1|x) - log p(h1|h2) + KL(q(h2|h1) || N(0, 1)), nats per image, one sample of h1 and h2."""

    name, updates = "elbo", ("encoder1", "encoder2", "prior1", "decoder")

    def draw(self, model: HierarchicalVAE, batch: Array, key: Key, forwards: Forwards | None = None) -> TwoLayerNoise:
        eps1, eps2 = (key.at(f"eps{i}").normal((len(batch), L), like=batch) for i, L in enumerate(model.latents, 1))
        return TwoLayerNoise(eps1, eps2)

    def __call__(
        self,
        model: HierarchicalVAE,
        batch: Array,
        noise: TwoLayerNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, (eps1, eps2), N = Forwarder(model, forwards, train=train), noise, len(batch)
        (mu1, logvar1), cache1 = forward("encoder1", batch)  # (N, L1), (N, L1)
        h1 = reparameterize(mu1, logvar1, eps1)  # (N, L1)
        (mu2, logvar2), cache2 = forward("encoder2", h1)  # (N, L2), (N, L2)
        h2 = reparameterize(mu2, logvar2, eps2)  # (N, L2)
        (m, s), prior_cache = forward("prior1", h2)  # (N, L1), (N, L1)
        logits, decoder_cache = forward("decoder", h1)  # (N, ...)

        reconstruction, dlogits = bernoulli(logits, batch, scale=scale)
        log_q = -(LOG_2PI + logvar1 + eps1 * eps1).sum() / (2 * N)
        nll, dm, ds = gaussian(m, s, h1, scale=scale)
        upper, dmu2, dlogvar2 = gaussian_kl(mu2, logvar2, scale=scale)
        if backward:
            dh2 = model.prior1.backward((dm, ds), prior_cache)
            dmu2_h, dlogvar2_h = reparameterize_backward(dh2, logvar2, eps2)
            both = combine.add(dmu2, dmu2_h), combine.add(dlogvar2, dlogvar2_h)
            dh1 = model.encoder2.backward(both, cache2)
            dh1 = combine.add(dh1, (-1, dm), model.decoder.backward(dlogits, decoder_cache))
            dmu1, dlogvar1 = reparameterize_backward(dh1, logvar1, eps1)
            model.encoder1.backward((dmu1, dlogvar1 - scale / (2 * N)), cache1, need_dx=False)

        return {"reconstruction": reconstruction, "lower": log_q + nll, "upper": upper}, forward.made(self.updates)


class HierarchicalVAE(Model):
    """encoder1 784-200-200-100, encoder2 100-100-100-50, prior1 its mirror image, decoder 100-200-200-784.

    `hidden` are the widths of the lower and of the upper networks' layers, `latents` the sizes of h1 and h2.
    """

    name = "hierarchical_vae"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "mnist", "fashion_mnist"),
        batch=100,
        steps=12_000,
        rate=1e-3,
        lesson="03",
        options={"hidden1": 200, "hidden2": 100, "latents1": 100, "latents2": 50},
        objectives=("elbo",),
    )
    unit = "nats per image"
    encoder1: Encoder
    encoder2: Encoder
    prior1: Encoder
    decoder: Sequential

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        hidden1: int = 200,
        hidden2: int = 100,
        latents1: int = 100,
        latents2: int = 50,
    ) -> None:
        self.shape, self.latents = shape, (latents1, latents2)
        pixels = math.prod(shape)
        nets: dict[str, Layer] = {
            "encoder1": gaussian_mlp(pixels, hidden1, latents1),
            "encoder2": gaussian_mlp(latents1, hidden2, latents2),
            "prior1": gaussian_mlp(latents2, hidden2, latents1),
            "decoder": Sequential(mlp=tanh_mlp(latents1, hidden1), out=dense(hidden1, pixels), shape=Reshape(*shape)),
        }
        super().__init__(key, dtype, **nets)
        self.objectives = (TwoLayerElbo(),)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps)))

    def data_init(self, batch: Array, key: Key) -> None:
        """The decoder starts at the mean image of these rows (N, *shape): its last bias is the mean's log-odds, as the paper's.

        Otherwise the mean is learned first, while noise alone reaches the decoder, and by then h1 may be switched off for good.
        """
        self.decoder["out"].params["b"][...] = mean_log_odds(batch)

    def step(self, batch: Array, key: Key) -> Terms:
        (elbo,) = self.objectives
        noise = elbo.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = elbo(self, batch, noise)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """The bound, negative, and its three parts."""
        terms = super().evaluate(batch, key)
        return {"negative_elbo": total(terms), **terms}

    def log_weights(self, x: Array, samples: int, key: Key) -> Array:
        """log w_i of samples (h1, h2)_i of q: (N, S), nats. The mean of the w_i is an unbiased estimate of p(x).

        log w = log p(x|h1) + log p(h1|h2) + log p(h2) - log q(h1|x) - log q(h2|h1); every log 2 pi cancels.
        """
        N, S, (L1, L2) = len(x), samples, self.latents
        eps1, eps2 = (key.at(f"eps{i}").normal((N * S, L), like=x) for i, L in ((1, L1), (2, L2)))
        mu1, logvar1 = (part.repeat(S, 0) for part in self.encoder1.forward(x)[0])  # (N S, L1)
        h1 = reparameterize(mu1, logvar1, eps1)  # (N S, L1)
        mu2, logvar2 = self.encoder2.forward(h1)[0]  # (N S, L2)
        h2 = reparameterize(mu2, logvar2, eps2)  # (N S, L2)
        m, s = self.prior1.forward(h2)[0]  # (N S, L1)
        lower = 0.5 * (eps1 * eps1 + logvar1 - s - (h1 - m) ** 2 * np.exp(-s)).sum(1)  # log p(h1|h2) - log q(h1|x)
        upper = log_ratio(logvar2, eps2[:, None], h2[:, None])[:, 0]  # log p(h2) - log q(h2|h1)
        logits = self.decoder.forward(h1)[0].reshape(N, S, -1)
        return (lower + upper).reshape(N, S) - bernoulli_kernel.rows(logits, x.reshape(N, -1))

    # ---- what it is used for

    def encode(self, x: Array) -> tuple[Array, Array]:
        """mu1 and logvar1 (N, L1) of q(h1|x)."""
        return self.encoder1.forward(x)[0]

    def decode(self, h1: Array) -> Array:
        """The probability of every pixel, (N, *shape), at h1 (N, L1)."""
        return sigmoid(self.decoder.forward(h1)[0])

    def decode_upper(self, h2: Array, eps1: Array | None = None) -> Array:
        """The same at h2 (N, L2), with h1 drawn by eps1 (N, L1), or at its mean."""
        m, s = self.prior1.forward(h2)[0]
        return self.decode(m if eps1 is None else reparameterize(m, s, eps1))

    def reconstruct(self, x: Array) -> Array:
        """decode at the mean of q(h1|x)."""
        return self.decode(self.encode(x)[0])

    def sample(self, n: int, key: Key) -> Array:
        """h2 from the prior, h1 given h2, decoded: (n, *shape)."""
        eps1, h2 = (key.at(name).normal((n, L), like=self.theta) for name, L in zip(("eps1", "h2"), self.latents, strict=True))
        return self.decode_upper(h2, eps1)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """`samples`; `one_h2`: rows of eight h1 drawn at one h2; `layers`: images, decoded from h1, and from h2 alone."""
        x, (L1, L2) = self.batch_of(batch), self.latents
        h2 = key.at("h2").normal((8, L2), like=self.theta).repeat(8, 0)  # (64, L2)
        eps1 = key.at("eps1").normal((64, L1), like=self.theta)
        pictures = {
            "samples": self.sample(64, key).reshape(8, 8, *self.shape),
            "one_h2": self.decode_upper(h2, eps1).reshape(8, 8, *self.shape),
        }
        if len(x) >= 8:
            mu1, _ = self.encode(x[:8])
            mu2, _ = self.encoder2.forward(mu1)[0]
            pictures["layers"] = np.stack((x[:8], self.decode(mu1), self.decode_upper(mu2)))
        return pictures


def dense(inputs: int, outputs: int, activation: Elementwise | None = None) -> Linear:
    """A dense layer with the first weights that suit tanh (Glorot and Bengio 2010)."""
    return Linear(inputs, outputs, activation=activation, initialiser=glorot_uniform)


def tanh_mlp(inputs: int, hidden: int) -> Sequential:
    """(N, ...) -> (N, hidden): two layers of tanh."""
    return Sequential(flat=Flatten(), hidden1=dense(inputs, hidden, Tanh()), hidden2=dense(hidden, hidden, Tanh()))


def gaussian_mlp(inputs: int, hidden: int, outputs: int) -> Encoder:
    """(N, ...) -> mean and log-variance, (N, outputs) each, after two layers of tanh."""
    return Encoder(tanh_mlp(inputs, hidden), hidden, outputs, initialiser=glorot_uniform)

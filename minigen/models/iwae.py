"""The importance-weighted autoencoder (Burda et al. 2016): K samples of z for every image, and a tighter bound.

For any K, with z_1 .. z_K drawn from q(z|x),

    w_i = p(x|z_i) p(z_i) / q(z_i|x),      E[w_i] = p(x)

so the average of the w_i is an unbiased estimate of p(x), and by Jensen's inequality its logarithm is too low on average:

    log p(x) >= L_K = E[log (1/K) sum_i w_i],        L_1 the bound of a VAE, L_K <= L_(K+1), L_K -> log p(x)

At fixed eps, z_i = mu + sigma eps_i with sigma = e^(logvar/2), and log q(z_i|x) = -sum (log 2 pi + logvar + eps_i^2) / 2. So

    log w_i = log p(x|z_i) + sum_l (eps_il^2 + logvar_l - z_il^2) / 2

and with the normalised weights r_i = w_i / sum_j w_j, which are d L_K / d log w_i,

    d L_K = sum_i r_i d log w_i
    dz_i     = r_i (d log p(x|z_i) / dz_i - z_i)
    dmu      = sum_i dz_i
    dlogvar  = sum_i dz_i sigma eps_i / 2 + 1/2                     (the r_i sum to one)

`bound="average"` is the VAE with K samples, E[(1/K) sum_i log w_i]: the same lines with r_i = 1/K.

`bound="doubly"`: the larger K, the less signal and the more noise is in the encoder's gradient (Rainforth et al. 2018). Its
noisy part is the score, log q's own dependence on mu and logvar. Taking that part by the reparameterization trick once more
gives (Tucker et al. 2018, eq. 8), with the same expectation,

    d L_K / d(mu, logvar) = E[ sum_i r_i^2  (d log w_i / dz_i) (dz_i / d(mu, logvar)) ]

r_i^2 and the parameters of q inside log w_i held fixed. No loss has that as its gradient and the bound as its value, so there
are two objectives: the bound, which moves the decoder, and a surrogate, whose gradient moves the encoder.

N batch, K samples, L latents, P pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..kernels import bernoulli, combine
from ..layers.composite import Sequential
from ..layers.elementwise import Tanh
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..losses.likelihood import log_softmax
from ..random import Key
from .model import Recipe
from .objective import Forwards, Objective, Terms
from .vae import VAE, Encoder, log_ratio, mean_log_odds, spread, spread_backward

BOUNDS = "importance", "average", "doubly"


def log_mean(log_w: Array) -> tuple[Array, Array]:
    """-> log (1/K) sum_i w_i (N,), and the normalised weights r (N, K)."""
    log_r = log_softmax(log_w)
    return (log_w - log_r)[:, 0] - math.log(log_w.shape[1]), np.exp(log_r)  # log w_i - log r_i is the log of the sum for any i


def mean_log(log_w: Array) -> tuple[Array, Array]:
    """-> (1/K) sum_i log w_i (N,), and its weights 1/K (N, K)."""
    return log_w.mean(1), np.full_like(log_w, 1 / log_w.shape[1])


class BoundNoise(NamedTuple):
    eps: Array  # (N, K, L)


class NegativeBound(Objective):
    """-L_K, nats per image: of the logarithm of the average weight, or of the average logarithm (`average`)."""

    name, updates = "bound", ("encoder", "decoder")

    def __init__(self, samples: int, *, average: bool = False) -> None:
        self.samples, self.rule = samples, mean_log if average else log_mean

    def draw(self, model: IWAE, batch: Array, key: Key, forwards: Forwards | None = None) -> BoundNoise:
        return BoundNoise(key.at("eps").normal((len(batch), self.samples, model.latents), like=batch))

    def __call__(
        self,
        model: IWAE,
        batch: Array,
        noise: BoundNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        encoder, decoder, eps = model.encoder, model.decoder, noise.eps
        (N, K, L), x = eps.shape, batch.reshape(len(batch), -1)  # (N, P)
        encoded = (forwards or {}).get("encoder") or encoder.forward(batch, train=train)
        (mu, logvar), encoder_cache = encoded  # (N, L), (N, L)
        z = spread(mu, logvar, eps)  # (N, K, L)
        decoded = (forwards or {}).get("decoder") or decoder.forward(z.reshape(N * K, L), train=train)
        logits = decoded[0].reshape(N, K, -1)  # (N, K, P)

        log_w = log_ratio(logvar, eps, z) - bernoulli.rows(logits, x)  # (N, K)
        bound, r = self.rule(log_w)  # (N,), (N, K)
        if backward:
            dnll = scale * r / N  # (N, K): of -L_K to the negative log likelihoods, so both signs are turned
            dlogits = bernoulli.rows_gradient(logits, x, dnll)
            dz = decoder.backward(dlogits.reshape(decoded[0].shape), decoded[1]).reshape(z.shape)
            dz = combine.add(dz, (dnll[..., None], z))
            dmu, dlogvar = spread_backward(dz, logvar, eps)  # (N, L), (N, L)
            encoder.backward((dmu, dlogvar - 0.5 * scale / N), encoder_cache, need_dx=False)

        return {"negative_bound": -bound.mean()}, {"encoder": encoded, "decoder": decoded}


class DecoderNoise(NamedTuple):
    z: Array  # (N, K, L), from the encoder
    log_ratio: Array  # (N, K): log p(z) - log q(z|x)


class DecoderBound(Objective):
    """-L_K as a function of the decoder: the samples are constants."""

    name, updates = "decoder", ("decoder",)

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def draw(self, model: IWAE, batch: Array, key: Key, forwards: Forwards | None = None) -> DecoderNoise:
        eps = key.at("eps").normal((len(batch), self.samples, model.latents), like=batch)
        (mu, logvar), _ = (forwards or {}).get("encoder") or model.encoder.forward(batch, train=True)
        z = spread(mu, logvar, eps)
        return DecoderNoise(z, log_ratio(logvar, eps, z))

    def __call__(
        self,
        model: IWAE,
        batch: Array,
        noise: DecoderNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        (N, K, L), x = noise.z.shape, batch.reshape(len(batch), -1)
        decoded = (forwards or {}).get("decoder") or model.decoder.forward(noise.z.reshape(N * K, L), train=train)
        logits = decoded[0].reshape(N, K, -1)  # (N, K, P)
        bound, r = log_mean(noise.log_ratio - bernoulli.rows(logits, x))
        if backward:
            dlogits = bernoulli.rows_gradient(logits, x, scale * r / N)
            model.decoder.backward(dlogits.reshape(decoded[0].shape), decoded[1], need_dx=False)
        return {"negative_bound": -bound.mean()}, {"decoder": decoded}


class SurrogateNoise(NamedTuple):
    eps: Array  # (N, K, L)
    squares: Array  # (N, K): r_i^2
    mu: Array  # (N, L): q's, as log w sees it
    logvar: Array  # (N, L)


class EncoderSurrogate(Objective):
    """-sum_i r_i^2 log w_i as a function of the samples: its gradient is the doubly reparameterized one, its value nothing.

    With q fixed where log q is evaluated, d log w_i / dz_i = d log p(x|z_i) / dz_i - z_i + (z_i - mu) / sigma^2.
    """

    name, updates = "encoder", ("encoder",)

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def draw(self, model: IWAE, batch: Array, key: Key, forwards: Forwards | None = None) -> SurrogateNoise:
        given, x = forwards or {}, batch.reshape(len(batch), -1)
        eps = key.at("eps").normal((len(batch), self.samples, model.latents), like=batch)
        (mu, logvar), _ = given.get("encoder") or model.encoder.forward(batch, train=True)
        z = spread(mu, logvar, eps)
        logits, _ = given.get("decoder") or model.decoder.forward(z.reshape(-1, model.latents), train=True)
        _, r = log_mean(log_ratio(logvar, eps, z) - bernoulli.rows(logits.reshape(*eps.shape[:2], -1), x))
        return SurrogateNoise(eps, r * r, mu, logvar)

    def __call__(
        self,
        model: IWAE,
        batch: Array,
        noise: SurrogateNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        encoder, decoder, eps, squares = model.encoder, model.decoder, noise.eps, noise.squares
        (N, K, L), x = eps.shape, batch.reshape(len(batch), -1)
        encoded = (forwards or {}).get("encoder") or encoder.forward(batch, train=train)
        (mu, logvar), encoder_cache = encoded  # (N, L), (N, L)
        z = spread(mu, logvar, eps)  # (N, K, L)
        decoded = (forwards or {}).get("decoder") or decoder.forward(z.reshape(N * K, L), train=train)
        logits = decoded[0].reshape(N, K, -1)  # (N, K, P)

        away, precision = z - noise.mu[:, None], np.exp(-noise.logvar)[:, None]  # (N, K, L), (N, 1, L)
        log_q = -0.5 * (noise.logvar[:, None] + away * away * precision).sum(-1)  # (N, K); log 2 pi is in p(z) too
        log_w = -0.5 * (z * z).sum(-1) - log_q - bernoulli.rows(logits, x)
        if backward:
            dnll = scale * squares / N  # (N, K)
            dlogits = bernoulli.rows_gradient(logits, x, dnll)
            dz = decoder.backward(dlogits.reshape(decoded[0].shape), decoded[1], param_grads=False).reshape(z.shape)
            dz += dnll[..., None] * (z - away * precision)
            encoder.backward(spread_backward(dz, logvar, eps), encoder_cache, need_dx=False)

        return {"surrogate": -(squares * log_w).sum(1).mean()}, {"encoder": encoded}


class IWAE(VAE):
    """Two hidden layers of tanh on either side, as in the paper: 784-200-200-50.

    Raises ValueError on another `bound` than importance, average or doubly, and on fewer than one sample.
    """

    name = "iwae"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "mnist"),
        batch=100,
        steps=5000,
        rate=1e-3,
        lesson="11",
        options={"hidden": 200, "latents": 50, "samples": 5, "bound": "importance"},
        objectives=("bound",),
        by_data={"glyphs": {"options": {"latents": 8}}},  # as the dense VAE has it
        proof={"rows": 3, "options": {"hidden": 8, "latents": 3, "samples": 4}, "data_options": {"size": 16}},
    )

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        hidden: int = 200,
        latents: int = 50,
        samples: int = 5,
        bound: str = "importance",
    ) -> None:
        if bound not in BOUNDS:
            raise ValueError(f"bound={bound!r}: bounds are {', '.join(map(repr, BOUNDS))}")
        if samples < 1:
            raise ValueError(f"samples={samples}: an image needs at least one sample of z")
        super().__init__(shape, key, dtype, hidden=hidden, latents=latents)
        self.samples = samples
        if bound == "doubly":
            self.objectives = DecoderBound(samples), EncoderSurrogate(samples)
        else:
            self.objectives = (NegativeBound(samples, average=bound == "average"),)

    def networks(self, shape: Shape, hidden: int, latents: int) -> tuple[Encoder, Sequential]:
        pixels = math.prod(shape)
        trunk = Sequential(
            flat=Flatten(),
            hidden1=Linear(pixels, hidden, activation=Tanh()),
            hidden2=Linear(hidden, hidden, activation=Tanh()),
        )
        decoder = Sequential(
            hidden1=Linear(latents, hidden, activation=Tanh()),
            hidden2=Linear(hidden, hidden, activation=Tanh()),
            out=Linear(hidden, pixels),
            shape=Reshape(*shape),
        )
        return Encoder(trunk, hidden, latents), decoder

    def data_init(self, batch: Array, key: Key) -> None:
        """The decoder starts at the mean image of these rows (N, *shape): its last bias is the mean's log-odds, as the paper's.

        Otherwise the mean is learned first, while noise alone reaches the decoder, and latents may be switched off by then.
        """
        self.decoder["out"].params["b"][...] = mean_log_odds(batch)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps) if steps else rate))

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """The terms of a VAE, and -L_K at the K of training, whatever the training's bound."""
        bound, _ = log_mean(self.log_weights(batch, self.samples, key.at("weights")))
        return {**super().evaluate(batch, key), "negative_bound": -bound.mean()}

    def step(self, batch: Array, key: Key) -> Terms:
        bound, *surrogate = self.objectives
        encoded = {"encoder": self.encoder.forward(batch, train=True)}
        noise = bound.draw(self, batch, key, encoded)

        self.zero_grads()
        terms, forwards = bound(self, batch, noise, forwards=encoded)
        for objective in surrogate:  # the encoder's gradient, at the same samples, from the forwards that exist
            given = encoded | forwards
            more, moved = objective(self, batch, objective.draw(self, batch, key, given), forwards=given)
            terms, forwards = terms | more, forwards | moved
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

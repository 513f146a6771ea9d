"""The conditional VAE (Sohn et al. 2015): encoder and decoder are told the class; the latents hold what the class leaves open.

The bound of `vae`, on the likelihood of an image given its class y. The prior does not depend on y:

    log p(x|y) >= E_q(z|x,y) [log p(x|z, y)] - KL(q(z|x, y) || p(z)),        p(z) = N(0, 1)

    (x, y) -- encoder --> mu, logvar -- reparameterize(eps) --> z
                              \\------------------------------> KL
    (z, y) -- decoder --> logits --> -log p(x|z, y)

y enters the first layer of both, as a row of a learned table E (an embedding). It is what a dense layer does with a one-hot y
beside its other inputs, without the zeros:

    [x, onehot(y)] [W; E] = x W + E[y]                dW = x' da,   dE[v] = sum of the da_n with y_n = v

What y says need not be encoded: it would cost nats, and the decoder has it for nothing. So the latents keep to what is left,
and one z, decoded as each class in turn, shows ten digits in one hand (Kingma et al. 2014, figure 1).

By Bayes' rule a model of images given classes is a classifier too: p(y|x) is proportional to p(x|y) p(y), and the bounds of an
image under each class stand in for log p(x|y).

N batch, L latents, K classes, M hidden units, S samples, "..." the axes of an image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape
from ..kernels import bernoulli as bernoulli_kernel
from ..layers.composite import Composite, Sequential
from ..layers.elementwise import ReLU, sigmoid
from ..layers.embedding import Embedding
from ..layers.layer import Layer
from ..layers.linear import Linear
from ..layers.shape import Flatten, Reshape
from ..layers.tree import Tree
from ..losses import bernoulli, gaussian_kl
from ..random import Key
from .labelled import Labelled, asked_for, labelled
from .model import Model, Recipe
from .objective import Forwarder, Forwards, Objective, Terms, total
from .vae import ElboNoise, Encoder, log_ratio, reparameterize, reparameterize_backward, spread


class Told(Composite):
    """(x, y) -> relu(a + E[y]), with a = linear(x) (N, M), y (N,) integers, E (K, M): a hidden layer that knows the class."""

    def __init__(self, linear: Layer, classes: int, hidden: int) -> None:
        super().__init__()
        self.linear, self.label, self.act = linear, Embedding(classes, hidden), ReLU()

    def wire(self, f: Any, x: Tree) -> Tree:
        rows, y = x
        return f.act(f.linear(rows) + f.label(y))

    def unwire(self, b: Any, dy: Tree) -> Tree:
        da = b.act(dy)
        dlabel = b.label(da)
        return b.linear(da, need_dx=b.need_dx), dlabel


class ConditionalElbo(Objective):
    """E_q[-log p(x|z, y)] + KL(q(z|x, y) || p(z)), nats per image, with one sample of z."""

    name, updates = "elbo", ("encoder", "decoder")

    def draw(self, model: ConditionalVAE, batch: Labelled, key: Key, forwards: Forwards | None = None) -> ElboNoise:
        return ElboNoise(eps=key.at("eps").normal((len(batch.images), model.latents), like=batch.images))

    def __call__(
        self,
        model: ConditionalVAE,
        batch: Labelled,
        noise: ElboNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, (x, y) = Forwarder(model, forwards, train=train), batch
        (mu, logvar), encoder_cache = forward("encoder", (x, y))  # (N, L), (N, L)
        z = reparameterize(mu, logvar, noise.eps)  # (N, L)
        logits, decoder_cache = forward("decoder", (z, y))  # (N, ...)

        reconstruction, dlogits = bernoulli(logits, x, scale=scale)
        kl, dmu, dlogvar = gaussian_kl(mu, logvar, scale=scale)
        if backward:
            dz, _ = model.decoder.backward(dlogits, decoder_cache)
            dmu_z, dlogvar_z = reparameterize_backward(dz, logvar, noise.eps)
            model.encoder.backward((dmu + dmu_z, dlogvar + dlogvar_z), encoder_cache, need_dx=False)

        return {"reconstruction": reconstruction, "kl": kl}, forward.made(self.updates)


class ConditionalVAE(Model):
    """Two hidden layers on either side, of which the first is told the class: 784-400-400-20-400-400-784."""

    name = "conditional_vae"
    recipe = Recipe(
        family="vae",
        data=("glyphs", "mnist", "fashion_mnist"),
        batch=128,
        steps=8000,
        rate=1e-3,
        lesson="03",
        options={"classes": 10, "hidden": 400, "latents": 20},
        objectives=("elbo",),
        by_data={"glyphs": {"options": {"latents": 8}}},  # as the dense VAE has it
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
        classes: int = 10,
        hidden: int = 400,
        latents: int = 20,
    ) -> None:
        self.shape, self.classes, self.latents = shape, classes, latents
        pixels = math.prod(shape)
        image = Sequential(flat=Flatten(), dense=Linear(pixels, hidden))
        trunk = Sequential(told=Told(image, classes, hidden), hidden=Linear(hidden, hidden, activation=ReLU()))
        decoder = Sequential(
            told=Told(Linear(latents, hidden), classes, hidden),
            hidden=Linear(hidden, hidden, activation=ReLU()),
            out=Linear(hidden, pixels),
            shape=Reshape(*shape),
        )
        super().__init__(key, dtype, encoder=Encoder(trunk, hidden, latents), decoder=decoder)
        self.objectives = (ConditionalElbo(),)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=rate))

    def batch_of(self, batch: Any) -> Labelled:
        """Images and labels. Raises ValueError where there are no labels."""
        return labelled(batch, self.name, self.classes)

    def step(self, batch: Labelled, key: Key) -> Terms:
        (elbo,) = self.objectives
        noise = elbo.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = elbo(self, batch, noise)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    def evaluate(self, batch: Labelled, key: Key) -> Terms:
        """The bound on log p(x|y), negative, and its parts; the part of the rows whose own class has the highest bound."""
        (elbo,) = self.objectives
        terms, _ = elbo(self, batch, elbo.draw(self, batch, key), train=False, backward=False)
        guessed = self.bounds(batch.images, key.at("bounds")).argmax(1)  # (N,)
        return {"negative_elbo": total(terms), **terms, "accuracy": (guessed == batch.labels).mean()}

    def bounds(self, x: Array, key: Key) -> Array:
        """The bound on log p(x|y) for every class y, from one sample of z, the same eps for each: (N, K), nats."""
        eps = key.normal((len(x), self.latents), like=x)
        columns = []
        for label in range(self.classes):
            y = self._labels(np.full(len(x), label))
            mu, logvar = self.encode(x, y)
            logits = self.decoder.forward((reparameterize(mu, logvar, eps), y))[0].reshape(len(x), 1, -1)  # (N, 1, pixels)
            nll = bernoulli_kernel.rows(logits, x.reshape(len(x), -1))[:, 0]  # (N,)
            columns.append(-nll - 0.5 * (mu * mu + np.exp(logvar) - 1 - logvar).sum(1))
        return np.stack(columns, 1)

    def log_weights(self, x: Labelled, samples: int, key: Key) -> Array:
        """log w_i = log p(x|z_i, y) + log p(z_i) - log q(z_i|x, y): (N, S), nats. The mean of w_i estimates p(x|y)."""
        images, y = x
        mu, logvar = self.encode(images, y)  # (N, L), (N, L)
        eps = key.normal((len(images), samples, self.latents), like=images)
        z = spread(mu, logvar, eps)  # (N, S, L)
        logits = self.decoder.forward((z.reshape(-1, self.latents), y.repeat(samples)))[0]
        nll = bernoulli_kernel.rows(logits.reshape(len(images), samples, -1), images.reshape(len(images), -1))  # (N, S)
        return log_ratio(logvar, eps, z) - nll

    # ---- what it is used for

    def encode(self, x: Array, y: Array) -> tuple[Array, Array]:
        """mu and logvar (N, L) of q(z|x, y)."""
        return self.encoder.forward((x, y))[0]

    def decode(self, z: Array, y: Array) -> Array:
        """The probability of every pixel, (N, *shape), at latents z (N, L) in the classes y (N,)."""
        return sigmoid(self.decoder.forward((z, y))[0])

    def reconstruct(self, x: Array, y: Array) -> Array:
        """decode at the posterior's mean."""
        return self.decode(self.encode(x, y)[0], y)

    def latent(self, n: int, key: Key) -> Array:
        """n latents from the prior: (n, L)."""
        return key.normal((n, self.latents), like=self.theta)

    def sample_class(self, labels: Any, key: Key) -> Array:
        """An image (N, *shape) of each of these classes (N,). Raises ValueError on a label that is not in 0 .. K - 1."""
        y = self._labels(labels)
        return self.decode(self.latent(len(y), key), y)

    def sample(self, n: int, key: Key) -> Array:
        """n images, as many of each class as of the others, in the order of the classes."""
        return self.sample_class(np.arange(n) * self.classes // max(1, n), key)

    def in_every_class(self, z: Array) -> Array:
        """Latents z (N, L) decoded as each class: (K, N, *shape)."""
        return np.stack([self.decode(z, self._labels(np.full(len(z), label))) for label in range(self.classes)])

    def _labels(self, labels: Any) -> Array:
        return asked_for(labels, self.classes, self.name, self.theta)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        """`samples`: a row for each class, a column for each z. `hands`: first an image, then its z in every class."""
        pictures = {"samples": self.in_every_class(self.latent(8, key))}
        if batch.labels is not None and len(batch.images) >= 16:
            x, y = (part[:8] for part in self.batch_of(batch))
            ways = self.in_every_class(self.encode(x, y)[0]).swapaxes(0, 1)  # (8, K, *shape)
            pictures["hands"] = np.concatenate((x[:, None], ways), 1)
            pairs = np.stack((x, self.reconstruct(x, y)))  # (2, 8, *shape)
            pictures["reconstructions"] = pairs
        return pictures

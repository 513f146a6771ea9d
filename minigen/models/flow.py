"""Normalizing flows (Rezende and Mohamed 2015): a density by a bijection, exact, trained by its likelihood.

x is sent to z = f(x) whose density is a standard normal one. What f stretches thins out: by the change of variables

    log p(x) = log N(z; 0, 1) + log |det dz/dx|        -log p(x) = |z|^2 / 2 + D/2 log 2 pi - logdet

Samples are f^-1 of normal numbers. Nothing is bounded or approximated; the price is that f must be inverted, and that its
determinant be cheap: see layers/coupling.py. Derived in lessons/05_normalizing_flows.py.

N batch, D numbers in a row. z is an array (N, ...) or, where parts of it leave the flow early, a tuple of them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from .. import optim
from ..backend import Array, Shape
from ..kernels import flow as flow_kernel
from ..kernels.gaussian.definition import LOG_2PI
from ..layers.bijection import Bijection
from ..layers.tree import Tree, leaves, map_tree
from ..random import Key
from .latent import line
from .model import Model
from .objective import Forwarder, Forwards, Objective, Terms


class NegativeLogLikelihood(Objective):
    """-log p(x), nats per row, as the mean over the batch of `prior`, |z|^2 / 2 + D/2 log 2 pi, and `volume`, -logdet.

    So dz = z / N, and dlogdet = -1 / N for every row.
    """

    name, updates = "likelihood", ("flow",)

    def __call__(
        self,
        model: NormalizingFlow,
        batch: Array,
        noise: Any,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward = Forwarder(model, forwards, train=train)
        (z, logdet), cache = forward("flow", batch)  # (N, ...), (N,)
        prior, volume, dlogdet, *parts = flow_kernel.loss(logdet, *leaves(z), scale=scale)
        if backward:
            of_leaves = iter(parts)
            dz = map_tree(lambda _: next(of_leaves), z)
            model.flow.backward((dz, dlogdet), cache, need_dx=False)
        return {"prior": prior, "volume": volume}, forward.made(self.updates)


def log_normal(z: Tree) -> Any:
    """log N(z; 0, 1) of every row, (N,): -|z|^2 / 2 - D/2 log 2 pi."""
    return sum(-0.5 * (part * part + LOG_2PI).reshape(len(part), -1).sum(1) for part in leaves(z))


class NormalizingFlow(Model):
    """A bijection `flow`, and all that follows from it: likelihood, training, samples, interpolation."""

    unit = "nats per row"
    flow: Bijection
    shape: Shape
    draws = MappingProxyType({"temperature": float})
    clip = 0.0  # the largest norm of a gradient, 0 for no limit

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps)))

    def step(self, batch: Array, key: Key) -> Terms:
        (likelihood,) = self.objectives
        noise = likelihood.draw(self, batch, key)

        self.zero_grads()
        terms, forwards = likelihood(self, batch, noise)
        if self.clip:
            optim.clip_norm(self, self.spans(""), self.clip)
        self.optimizers["adam"].step()
        self.commit(noise, forwards)
        return terms

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """The negative log-likelihood."""
        return {"negative_log_likelihood": -self.log_prob(batch).mean()}

    # ---- what it is used for

    def log_prob(self, x: Array) -> Array:
        """(N, ...) -> (N,): log p(x) in nats, exact."""
        (z, logdet), _ = self.flow.forward(x)
        log_p: Array = log_normal(z) + logdet
        return log_p

    def encode(self, x: Array) -> Tree:
        """z = f(x)."""
        return self.flow.forward(x)[0][0]

    def decode(self, z: Tree) -> Array:
        """x = f^-1(z)."""
        x: Array = self.flow.inverse(z)[0]
        return x

    def latent(self, n: int, key: Key) -> Tree:
        """z of n rows from N(0, 1)."""
        return key.normal((n, *self.shape), like=self.theta)

    def sample(self, n: int, key: Key, *, temperature: float = 1.0) -> Array:
        """f^-1 of temperature times normal numbers, (n, ...): below 1 nearer to the modes, at the price of variety."""
        return self.decode(map_tree(lambda z: temperature * z, self.latent(n, key)))

    def interpolate(self, a: Array, b: Array, steps: int) -> Array:
        """f^-1 on the straight line from f(a) to f(b), rows a and b: (steps, ...)."""
        ends = self.encode(np.stack((a, b)))
        return self.decode(map_tree(lambda z: line(z, steps), ends))

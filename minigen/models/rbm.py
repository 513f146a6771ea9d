"""The restricted Boltzmann machine (Smolensky 1986; Hinton 2002): bits v, bits h, and an energy between them.

    p(v) = e^-F(v) / Z          F the free energy, layers/free_energy.py; Z the sum over all 2^V images

The gradient of -log p is dF(data) - E_p dF (models/contrast.py), and what differs is where the samples for E_p come from:

    contrastive divergence, CD-k      k Gibbs sweeps from the data itself (Hinton 2002): little noise, but biased
    persistent, PCD-k                 k sweeps from where the chains were in the last step (Tieleman 2008), in state["chain"]

**Centring** (Montavon and Mueller 2012; Melchior, Fischer and Wiskott 2016). With the units written as v - mu and h - lambda,
mu and lambda their means on the data, the energy has other biases and the same distribution; a gradient step in those
coordinates is another step in ours, one that no longer depends on whether a bit is called 0 or 1. With plain gradients dW, db,
dc (each a difference of two phases, in which constants cancel):

    dW_c = dW - mu dc' - db lambda'        since <(v - mu)(h - lambda)'> = <v h'> - mu <h'> - <v> lambda' + mu lambda'
    db_c = db - dW_c lambda                the centred biases are b + W lambda and c + W' mu; while W moves by dW_c, b and c
    dc_c = dc - dW_c' mu                   must follow for the centred biases to move by db and dc alone

An image's pixel is a bit: 1 where it is above 1/2. N rows, V = H W C pixels, H hidden units, M chains.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape, to_device
from ..kernels import combine
from ..kernels.matmul import matmul
from ..kernels.sums import over_rows
from ..layers.elementwise import softplus
from ..layers.free_energy import FreeEnergy
from ..random import Key
from .contrast import Contrast, Negatives
from .model import Model, Recipe
from .objective import Forwards, Terms
from .partition import LogZ, OfParameters, ais, exact_log_z, is_small, on_host

SLIDE = 0.01  # of the running means, a step
SHOWN_FILTERS = 64
AIS_CHAINS, AIS_STEPS = 50, 500  # of `evaluate`, where log Z is not enumerated


class RBM(Model):
    """V visible and `hidden` hidden units; plain stochastic gradient descent.

    `persistent` chooses PCD with `chains` chains, else CD; `k` sweeps a step; `centered` the centred gradient. The learning
    rate falls in a straight line to `final_rate` times its first value.
    """

    name = "rbm"
    recipe = Recipe(
        family="energy",
        data=("glyphs", "mnist", "binarized_mnist"),
        batch=100,
        steps=6000,
        rate=0.05,
        lesson="06",
        options={"hidden": 500, "persistent": True, "chains": 100, "k": 1, "centered": True, "final_rate": 0.1},
        objectives=("contrast",),
    )
    unit = "nats per image"
    energy: FreeEnergy

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        hidden: int = 500,
        persistent: bool = True,
        chains: int = 100,
        k: int = 1,
        centered: bool = True,
        final_rate: float = 0.1,
    ) -> None:
        if len(shape) != 3:
            raise ValueError("an RBM models images whose pixels are bits: use data such as glyphs or mnist")
        if min(hidden, chains, k) < 1:
            raise ValueError(f"hidden {hidden}, chains {chains} and k {k} must each be at least 1")
        self.shape, self.visible_units, self.hidden_units = tuple(shape), math.prod(shape), hidden
        self.persistent, self.k, self.centered, self.final_rate = persistent, k, centered, final_rate
        super().__init__(key, dtype, energy=FreeEnergy(self.visible_units, hidden))
        self.objectives = (Contrast(),)
        half = np.full(self.visible_units, 0.5, self.theta.real.dtype)
        self.state = {"visible_mean": half, "hidden_mean": np.full(hidden, 0.5, half.dtype)}
        if persistent:
            self.state["chain"] = key.at("chain").bernoulli(0.5, (chains, self.visible_units), half.dtype)
        self._log_z = OfParameters()

    def start(self, rate: float, steps: int) -> None:
        schedule = rate if self.final_rate == 1 else optim.linear_decay(rate, steps, self.final_rate * rate)
        self.optimize(sgd=optim.SGD(self, rate=schedule))

    def data_init(self, batch: Array, key: Key) -> None:
        """Starts as independent bits of the mean of these rows (N, V), b its log-odds (Hinton 2012, section 8.1); chains too.

        Otherwise the hidden units learn the mean first, all the same, and may end switched off.
        """
        mean = (batch.sum(0) + 1) / (len(batch) + 2)  # (V,), never 0 or 1
        self.energy.params["b"][...] = np.log(mean / (1 - mean))
        self.state["visible_mean"] = mean
        if self.persistent:
            self.state["chain"] = key.at("chain").bernoulli(mean, self.state["chain"].shape, mean.dtype)

    def negatives(self, batch: Array, key: Key, forwards: Forwards | None = None) -> Negatives:
        """k Gibbs sweeps from the chains, or from the data."""
        if self.persistent:
            h = self.energy.hidden(self.state["chain"])  # (M, H)
        elif forwards and "energy:data" in forwards:
            h = forwards["energy:data"][1].h  # (N, H)
        else:
            h = self.energy.hidden(batch)
        return Negatives(self.sweeps(h, self.k, key))

    def sweeps(self, h: Array, n: int, key: Key) -> Array:
        """n Gibbs sweeps from the probabilities h (M, H): bits (M, V)."""
        v = self.energy.gibbs(h, key.at(0))
        for i in range(1, n):
            v = self.energy.gibbs(self.energy.hidden(v), key.at(i))
        return v

    def step(self, batch: Array, key: Key) -> Terms:
        (contrast,) = self.objectives
        forwards: Forwards = {"energy:data": self.energy.forward(batch, train=True)}
        noise = contrast.draw(self, batch, key, forwards)

        self.zero_grads()
        terms, forwards = contrast(self, batch, noise, forwards=forwards)
        if self.centered:
            center(**self.energy.grads, mu=self.state["visible_mean"], lam=self.state["hidden_mean"])
        self.optimizers["sgd"].step()
        self.commit(noise, forwards)
        return terms

    def commit(self, noise: Negatives, forwards: Forwards) -> None:
        super().commit(noise, forwards)
        seen = forwards["energy:data"][1]
        for name, units in (("visible_mean", seen.v), ("hidden_mean", seen.h)):
            self.state[name] = combine.add((1 - SLIDE, self.state[name]), (SLIDE / len(units), over_rows(units)))
        if self.persistent:
            self.state["chain"] = noise.samples

    def batch_of(self, batch: Any) -> Array:
        """Images as bits, (N, V): 1 above 1/2."""
        images: Array = batch.images
        return (images > 0.5).astype(images.dtype).reshape(len(images), -1)

    # ---- what it is worth

    def log_z(self, key: Key) -> LogZ:
        """log Z in nats and its standard error: enumerated where a layer is small, else by annealed importance sampling."""

        def compute() -> LogZ:
            energy = on_host(self.energy)
            if is_small(energy):
                return LogZ(exact_log_z(energy), 0.0)
            mean = to_device(self.state["visible_mean"], "cpu")
            return ais(energy, mean, chains=AIS_CHAINS, steps=AIS_STEPS, key=key.at("ais"))

        found: LogZ = self._log_z(self.theta, compute)
        return found

    def evaluate(self, batch: Array, key: Key) -> Terms:
        """-log p, exact or with log Z by annealing, which is then too low rather than too high; and its parts.

        `reconstruction` is -log p(v | h) at the hidden units' probabilities given v: no likelihood, but always cheap.
        """
        F, cache = self.energy.forward(batch)  # (N,)
        log_z, w = self.log_z(key), self.energy.weights(cache)
        logits = cache.h @ w.W.T + w.b  # (N, V)
        figures = {"negative_log_likelihood": F.mean(dtype=np.float64) + log_z.value, "log_z": log_z.value}
        if log_z.error:
            figures["log_z_standard_error"] = log_z.error
        return figures | {"reconstruction": (softplus(logits) - batch * logits).sum(1).mean()}

    # ---- what it shows

    def chain(self, n: int, key: Key, sweeps: int = 200) -> Array:
        """The probabilities of the pixels, (n, V), after so many sweeps of n chains.

        They start where training has left its chains, or, without such, at independent bits of the data's mean.
        """
        if self.persistent:
            rows = key.at("rows").integers(len(self.state["chain"]), n)
            v = self.state["chain"][rows]
        else:
            mean = self.state["visible_mean"]
            v = key.at("bits").bernoulli(mean, (n, len(mean)), mean.dtype)
        v = self.sweeps(self.energy.hidden(v), sweeps, key.at("sweeps"))
        h = self.energy.hidden(v)
        return self.energy.visible(key.at("last").bernoulli(h, dtype=h.dtype))

    def sample(self, n: int, key: Key) -> Array:
        return self.chain(n, key).reshape(n, *self.shape)

    def filters(self, n: int = SHOWN_FILTERS) -> Array:
        """What the first n hidden units look for: their weights as images (n, *shape), grey at 0, each at its own scale."""
        W = to_device(self.energy.params["W"], "cpu").T[:n]
        scaled: Array = 0.5 + 0.5 * W / np.abs(W).max(1, keepdims=True)
        return scaled.reshape(-1, *self.shape)

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        return super().pictures(batch, key) | {"filters": self.filters()}


def center(W: Array, b: Array, c: Array, *, mu: Array, lam: Array) -> None:
    """Makes the gradients W (V, H), b (V,), c (H,) the centred ones, in place; mu (V,), lam (H,). See the top of this file."""
    left, right = combine.concatenate((mu[None], b[None])), combine.concatenate((c[None], lam[None]))  # (2, V), (2, H)
    minus = combine.add((-1, right))
    matmul(left, minus, transpose_a=True, out=W, accumulate=True)  # W - mu c' - b lam', in one pass over W
    matmul(W, minus[1][:, None], out=b[:, None], accumulate=True)
    combine.add(c, (-1, matmul(mu[None], W)[0]), out=c)

"""The objective of energy-based models: lower the energy of the data, raise that of the model's own samples.

    p(x) = e^-F(x) / Z,  Z = sum_x e^-F(x)
    -log p(x) = F(x) + log Z
    d log Z / dtheta = -(1/Z) sum_x e^-F(x) dF(x)/dtheta = -E_p dF/dtheta

    d(-log p)/dtheta = dF(data)/dtheta - E_p dF/dtheta        positive phase, negative phase

The expectation is estimated by samples of a Markov chain. They depend on theta, but the formula differentiates F alone, not the
samples: they are constants, drawn before, and so the noise of this objective. Whatever F is, the free energy of a restricted
Boltzmann machine or a network, this one objective serves. Its value is no likelihood (log Z is missing).

N rows of data, M samples, "..." the axes of one; F is (N,) or (N, 1).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import Array
from ..kernels import combine, games
from ..random import Key
from .objective import Forwarder, Forwards, Objective, Terms


class Negatives(NamedTuple):
    samples: Array  # (M, ...): what the model's chains have come to
    slots: Array | None = None  # (M,) int64: where a replay buffer keeps them
    jitter: Array | None = None  # (N, ...): noise that is added to the data


class Contrast(Objective):
    """mean F(data) - mean F(samples) + alpha (mean F(data)^2 + mean F(samples)^2).

    The last term, "size", keeps the energies of a network near 0, where its gradients are good (Du and Mordatch 2019, section
    3.3); with alpha = 0 there is none. The samples come from `model.negatives(batch, key, forwards)`.
    """

    name, updates = "contrast", ("energy",)

    def __init__(self, alpha: float = 0.0) -> None:
        self.alpha = alpha

    def draw(self, model: Any, batch: Array, key: Key, forwards: Forwards | None = None) -> Negatives:
        drawn: Negatives = model.negatives(batch, key, forwards)
        return drawn

    def __call__(
        self,
        model: Any,
        batch: Array,
        noise: Negatives,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, alpha, size = Forwarder(model, forwards, train=train), self.alpha, 0.0
        terms: Terms = {}
        data = batch if noise.jitter is None else combine.add(batch, noise.jitter)
        for name, x, sign in (("data", data, 1), ("samples", noise.samples, -1)):
            F, cache = forward(f"energy:{name}", x)
            terms[name], dF = games.loss("linear", F, sign, scale=scale)
            if alpha:
                half, dsize = games.loss("squares", F, 0.0, scale=2 * alpha * scale)  # half: mean F^2 / 2
                size, dF = size + 2 * alpha * half, combine.add(dF, dsize)
            if backward:
                model.energy.backward(dF, cache, need_dx=False)
        if alpha:
            terms["size"] = size
        return terms, forward.made(self.updates)

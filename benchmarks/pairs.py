"""For every reference configuration: our model with the peer's weights, and both losses at the same noise.

The peer is written in `torch_steps.py`. PyTorch keeps a linear weight as (outputs, inputs); ours is (inputs, outputs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import torch_steps
from minigen.models.model import Model
from minigen.models.objective import total
from minigen.models.vae import VAE, ElboNoise
from minigen.random import Key


@dataclass
class Pair:
    """One configuration, built on both sides."""

    model: Model
    peer: Any  # torch_steps.Peer
    step: Callable[[], object]  # one training step of ours
    first_losses: Callable[[], dict[str, tuple[float, float]]]  # by name: (ours, peer's), before any step, at one noise


def vae(peer: Any) -> Pair:
    """784-400-20."""
    net = peer.networks["net"]
    model = VAE((784,), Key(0))
    encoder, decoder = model.encoder, model.decoder
    trunk: Any = encoder.trunk
    copy_linear(net["encoder"][0], trunk["hidden"])
    copy_linear(net["heads"]["mu"], encoder.mu)
    copy_linear(net["heads"]["logvar"], encoder.logvar)
    copy_linear(net["decoder"][0], decoder["hidden"])
    copy_linear(net["decoder"][2], decoder["out"])
    model.start(rate=peer.rate, steps=0)
    batch = peer.batch.numpy()  # (N, 784)
    eps = Key(1).normal((len(batch), model.latents))
    stream = Steps(model, batch)

    def first_losses() -> dict[str, tuple[float, float]]:
        terms, _ = model.objectives[0](model, batch, ElboNoise(eps), backward=False)
        with torch.no_grad():
            theirs = peer.losses(torch_steps.Replay([torch.from_numpy(eps)]))["net"]
        return {"elbo": (float(total(terms)), float(theirs))}

    return Pair(model, peer, stream, first_losses)


PAIRS: dict[str, Callable[[Any], Pair]] = {"vae": vae}


class Steps:
    """Training steps on one batch, each with a key of its own."""

    def __init__(self, model: Model, batch: Any) -> None:
        self.model, self.batch, self.key, self.taken = model, batch, Key(2), 0

    def __call__(self) -> object:
        self.taken += 1
        return self.model.step(self.batch, self.key.at(self.taken))


def copy_linear(theirs: Any, ours: Any) -> None:
    """nn.Linear -> Linear."""
    ours.params["W"][...] = theirs.weight.detach().numpy().T
    if theirs.bias is not None:
        ours.params["b"][...] = theirs.bias.detach().numpy()


def relative_difference(a: float, b: float) -> float:
    """|a - b| / |b|."""
    return float(np.abs(a - b) / np.abs(b))

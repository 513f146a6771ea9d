"""A step's forward and backward passes alone, on both sides, at one noise and without an update: what batch 1 is held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.pairs import Pair
from minigen.random import Key

Call = Callable[[], object]


def of_one_loss(pair: Pair) -> tuple[Call, Call]:
    """(ours, the peer's) where there is one objective."""
    model, peer = pair.model, pair.peer
    noise = pair.noise(Key(1))
    (objective,) = model.objectives

    def ours() -> None:
        model.zero_grads()
        objective(model, pair.ours.batch, noise)

    def theirs() -> None:
        peer.optimizers["net"].zero_grad(set_to_none=True)
        peer.losses(pair.replay(noise))["net"].backward()

    return ours, theirs


def of_a_game(pair: Pair) -> tuple[Call, Call]:
    """(ours, the peer's) where two play, with the fakes made once and the discriminator frozen in the generator's loss."""
    model: Any = pair.model
    peer, noise = pair.peer, pair.noise(Key(1))
    d_loss, g_loss = model.objectives
    G, D = peer.networks["generator"], peer.networks["discriminator"]

    def ours() -> None:
        forwards = {"generator": model.generator.forward(noise.z, train=True, key=noise.key.at("generator"))}
        model.discriminator.zero_grads()
        d_loss(model, pair.ours.batch, noise, forwards=forwards)
        model.generator.zero_grads()
        g_loss(model, pair.ours.batch, noise, forwards=forwards)

    def theirs() -> None:
        fake = G(pair.replay(noise).normal(*noise.z.shape))
        peer.optimizers["discriminator"].zero_grad(set_to_none=True)
        peer.discriminator_loss(fake.detach()).backward()
        D.requires_grad_(False)
        peer.optimizers["generator"].zero_grad(set_to_none=True)
        peer.generator_loss(fake).backward()
        D.requires_grad_(True)

    return ours, theirs


SINGLE = {"vae": of_one_loss, "dcgan": of_a_game}  # timed at batch 1

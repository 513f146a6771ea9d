"""For every reference configuration: our model with the peer's weights, and both sides at the same noise.

The peer is written in `torch_steps.py`, our side in `ours.py`. PyTorch keeps a linear weight as (outputs, inputs); ours is
(inputs, outputs). What an objective drew from a key, the peer is handed in the order in which it asks, so both sides can
take the same step, and any number of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import ours, torch_steps
from benchmarks.ours import Ours
from minigen.backend import Array
from minigen.models.model import Model
from minigen.models.objective import total
from minigen.random import Key


def nothing(noise: Any) -> list[Array]:
    """A configuration that draws nothing."""
    return []


@dataclass
class Pair:
    """One configuration, built on both sides."""

    ours: Ours
    peer: Any  # torch_steps.Peer
    draws: Callable[[Any], list[Array]] = nothing  # what an objective drew -> what the peer draws
    objectives: int = 1  # how many of ours have a loss in the peer, from the first
    beyond: float = 0.0  # a constant of our loss that the peer's leaves out
    learning: str = ""  # the network that the step moves; all by default

    @property
    def model(self) -> Model:
        """Our model."""
        return self.ours.model

    @property
    def parameters(self) -> int:
        """How many numbers the step moves."""
        views = self.model.vector.views(self.model.theta)
        return sum(view.size for path, view in views.items() if path.startswith(self.learning))

    def noise(self, key: Key) -> Any:
        """What our step with this key draws."""
        return self.model.objectives[0].draw(self.model, self.ours.batch, key)

    def replay(self, noise: Any) -> torch_steps.Replay:
        """The same for the peer."""
        return torch_steps.Replay([torch.from_numpy(np.ascontiguousarray(draw)) for draw in self.draws(noise)])

    def losses(self, key: Key) -> dict[str, tuple[float, float]]:
        """By name (ours, the peer's), at the noise of `key` and the weights of now; nothing where the peer has no loss."""
        found, noise = {}, self.noise(key) if self.objectives else None
        theirs = self.peer.losses(self.replay(noise)) if self.objectives else {}
        for objective in self.model.objectives[: self.objectives]:
            terms, _ = objective(self.model, self.ours.batch, noise, backward=False)
            loss = theirs[objective.name if objective.name in theirs else next(iter(theirs))]
            found[objective.name] = float(total(terms)), float(loss.detach()) + self.beyond
        return found

    def step_both(self, key: Key) -> None:
        """A training step of both sides with the same noise."""
        self.step_peer(key)
        self.ours.step(key)

    def step_peer(self, key: Key) -> None:
        """A training step of the peer with the noise of `key`."""
        before, self.peer.noise = self.peer.noise, self.replay(self.noise(key))
        self.peer.step()
        self.peer.noise = before

    def first_moves(self, key: Key) -> dict[str, tuple[Any, Any]]:
        """Where there is no loss: how far a step with this noise moves the parameters, by name (ours, the peer's)."""
        return {}


def vae(peer: Any) -> Pair:
    """784-400-20."""
    net = peer.networks["net"]
    made = ours.build("vae", peer.batch.numpy())  # (N, 784)
    model: Any = made.model
    encoder, decoder = model.encoder, model.decoder
    copy_linear(net["encoder"][0], encoder.trunk["hidden"])
    copy_linear(net["heads"]["mu"], encoder.mu)
    copy_linear(net["heads"]["logvar"], encoder.logvar)
    copy_linear(net["decoder"][0], decoder["hidden"])
    copy_linear(net["decoder"][2], decoder["out"])
    return Pair(made, peer, lambda noise: [noise.eps])


def gan(peer: Any) -> Pair:
    """100-256-512-1024-784 against 784-512-256-1."""
    made = ours.build("gan", peer.batch.numpy().reshape(-1, 28, 28, 1))
    model: Any = made.model
    G, D = peer.networks["generator"], peer.networks["discriminator"]
    for theirs, layer in zip((G[0], G[2], G[4], G[6]), ("0", "2", "4", "out"), strict=True):
        copy_linear(theirs, sub(model.generator, layer))
    for theirs, layer in zip((D[0], D[2], D[4]), ("features.hidden.0", "features.hidden.2", "out"), strict=True):
        copy_linear(theirs, sub(model.discriminator, layer))
    return Pair(made, peer, lambda noise: [noise.z], objectives=2)


def dcgan(peer: Any) -> Pair:
    """28x28x1; where the peer flattens (C, H, W), we flatten (H, W, C)."""
    made = ours.build("dcgan", channels_last(peer.batch))
    D = peer.networks["discriminator"]
    copy_image_networks(made.model, peer.networks["generator"], D[0], D[2], D[6])
    return Pair(made, peer, lambda noise: [noise.z], objectives=2)


def wgan_gp(peer: Any) -> Pair:
    """The critic's update alone, one a step, as the peer's: fakes of `dcgan`'s generator, penalty 10, no normalisation in f."""
    made = ours.build("wgan_gp", channels_last(peer.batch))
    f = peer.networks["critic"]
    copy_image_networks(made.model, peer.networks["generator"], f[0], f[2], f[5])
    return Pair(made, peer, lambda noise: [noise.z, noise.t], learning="discriminator")


def copy_image_networks(model: Any, G: Any, conv1: Any, conv2: Any, out: Any) -> None:
    """The generator of `dcgan`, and a discriminator or critic of two convolutions and a dense layer."""
    dense = G[0].weight.detach().numpy().reshape(128, 7, 7, 100).transpose(3, 1, 2, 0)  # (100, 7, 7, 128)
    sub(model.generator, "dense").params["W"][...] = dense.reshape(100, -1)
    copy_conv(G[4], sub(model.generator, "conv1"))
    copy_conv(G[7], sub(model.generator, "conv2"))
    copy_conv(conv1, sub(model.discriminator, "features.conv1"))
    copy_conv(conv2, sub(model.discriminator, "features.conv2"))
    W = out.weight.detach().numpy().reshape(128, 7, 7).transpose(1, 2, 0)  # (7, 7, 128)
    sub(model.discriminator, "out").params["W"][...] = W.reshape(-1, 1)
    sub(model.discriminator, "out").params["b"][...] = out.bias.detach().numpy()


def ddpm(peer: Any) -> Pair:
    """The U-Net of width 32. Where the peer's steps are 0 .. 999, ours are 1 .. 1000; its three 1x1 products are one Linear."""
    theirs = peer.networks["net"]
    made = ours.build("ddpm", channels_last(peer.batch))  # (N, 28, 28, 1)
    model: Any = made.model
    net = model.net
    copy_linear(theirs.t1, net.time["one"])
    copy_linear(theirs.t2, net.time["two"])
    for name in ("stem", "down1", "down2"):
        copy_conv(getattr(theirs, name), getattr(net, name))
    for name in ("up1", "up2"):
        copy_conv(getattr(theirs, name), getattr(net, name)["conv"])
    for name in ("d1", "d2", "d3", "mid", "u3", "u2", "u1"):
        block, layer = getattr(theirs, name), getattr(net, name)
        copy_norm_conv(block.n1, block.c1, layer.one)
        copy_norm_conv(block.n2, block.c2, layer.two)
        copy_linear(block.t, layer.time)
        if layer.wider:
            copy_conv(block.skip, layer.skip)
    copy_norm(theirs.att.n, net.att.f["norm"])
    copy_pointwise(theirs.att.qkv, net.att.f["mix"].qkv)
    copy_pointwise(theirs.att.out, net.att.f["mix"].out)
    copy_norm_conv(theirs.norm, theirs.out, net.out)
    return Pair(made, peer, lambda noise: [noise.t - 1, noise.eps.transpose(0, 3, 1, 2)])


def pixelcnn(peer: Any) -> Pair:
    """28x28x1 binary, masked convolutions; of the peer's kernels we have the live taps."""
    made = ours.build("pixelcnn", channels_last(peer.batch))  # (N, 28, 28, 1)
    model: Any = made.model
    for at, name in enumerate(("first", *(f"conv{l}" for l in range(6)), "head", "out")):
        copy_live(peer.networks["net"][2 * at], model.net[name])
    return Pair(made, peer)


def realnvp(peer: Any) -> Pair:
    """784 numbers, 6 couplings on alternating halves. The peer's loss lacks the constant of the prior."""
    made = ours.build("realnvp", peer.batch.numpy())  # (N, 784)
    model: Any = made.model
    for i, theirs in enumerate(peer.networks["net"]):
        for layer, name in zip((theirs[0], theirs[2], theirs[4]), ("hidden1", "hidden2", "out"), strict=True):
            copy_linear(layer, sub(model.flow, f"{i}.net.{name}"))
    return Pair(made, peer, beyond=made.batch.shape[1] / 2 * math.log(2 * math.pi))


class Machines(Pair):
    """The RBM: the peer has no loss, so the moves of a step are compared. Our chain draws from keys of its own."""

    def noise(self, key: Key) -> Any:
        sweep, rows = key.at(0), len(self.ours.batch)  # of CD-1 there is one sweep
        hidden: Any = self.model
        return [sweep.at("h").uniform((rows, hidden.hidden_units)), sweep.at("v").uniform(self.ours.batch.shape)]

    def first_moves(self, key: Key) -> dict[str, tuple[Any, Any]]:
        mine: Any = self.model
        params, net = mine.energy.params, self.peer.networks["net"]
        before = {name: array.copy() for name, array in params.items()}
        self.step_both(key)
        return {name: (params[name] - at, net[name].detach().numpy() - at) for name, at in before.items()}


def rbm(peer: Any) -> Pair:
    """784-500, CD-1."""
    made = ours.build("rbm", peer.batch.numpy())
    model: Any = made.model
    for name, array in model.energy.params.items():
        array[...] = peer.networks["net"][name].detach().numpy()
    return Machines(made, peer, lambda noise: noise, objectives=0)


PAIRS: dict[str, Callable[[Any], Pair]] = {
    "vae": vae,
    "gan": gan,
    "dcgan": dcgan,
    "wgan_gp": wgan_gp,
    "pixelcnn": pixelcnn,
    "ddpm": ddpm,
    "realnvp": realnvp,
    "rbm": rbm,
}


def channels_last(images: Any) -> Array:
    """A tensor (N, C, H, W) as an array (N, H, W, C)."""
    return np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))


def sub(network: Any, path: str) -> Any:
    """A layer of a network, by its path."""
    return dict(network.walk())[path]


def copy_linear(theirs: Any, ours: Any) -> None:
    """nn.Linear -> Linear."""
    ours.params["W"][...] = theirs.weight.detach().numpy().T
    if theirs.bias is not None:
        ours.params["b"][...] = theirs.bias.detach().numpy()


def copy_conv(theirs: Any, ours: Any) -> None:
    """nn.Conv2d (M, C, kh, kw) -> (kh, kw, C, M), nn.ConvTranspose2d (C, M, kh, kw) -> (kh, kw, M, C): one transposition."""
    ours.params["W"][...] = theirs.weight.detach().numpy().transpose(2, 3, 1, 0)
    if theirs.bias is not None:
        ours.params["b"][...] = theirs.bias.detach().numpy()


def copy_live(theirs: Any, ours: Any) -> None:
    """A masked nn.Conv2d (M, C, k, k), or one of kernel 1 -> MaskedConv2d (live taps, C, M)."""
    kernel = theirs.weight.detach().numpy()
    live = theirs.mask.numpy() > 0 if hasattr(theirs, "mask") else np.ones(kernel.shape[2:], bool)
    ours.params["W"][...] = kernel[:, :, live].transpose(2, 1, 0)
    ours.params["b"][...] = theirs.bias.detach().numpy()


def copy_pointwise(theirs: Any, ours: Any) -> None:
    """nn.Conv2d of kernel 1 (M, C, 1, 1) -> Linear (C, M)."""
    ours.params["W"][...] = theirs.weight.detach().numpy()[:, :, 0, 0].T
    ours.params["b"][...] = theirs.bias.detach().numpy()


def copy_norm(theirs: Any, ours: Any) -> None:
    """nn.GroupNorm -> GroupNorm."""
    ours.params["gain"][...] = theirs.weight.detach().numpy()
    ours.params["b"][...] = theirs.bias.detach().numpy()


def copy_norm_conv(norm: Any, conv: Any, ours: Any) -> None:
    """Both into a Sequential of norm, silu, conv."""
    copy_norm(norm, ours["norm"])
    copy_conv(conv, ours["conv"])


def relative_difference(a: Any, b: Any) -> float:
    """|a - b| / |b|, of numbers or arrays."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))

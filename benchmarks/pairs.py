"""For every reference configuration: our model with the peer's weights, and both losses at the same noise.

The peer is written in `torch_steps.py`. PyTorch keeps a linear weight as (outputs, inputs); ours is (inputs, outputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import torch_steps
from minigen.models.dcgan import DCGAN
from minigen.models.ddpm import DDPM
from minigen.models.denoising import DenoisingNoise
from minigen.models.gan import GAN, GANNoise
from minigen.models.model import Model
from minigen.models.objective import total
from minigen.models.pixelcnn import PixelCNN
from minigen.models.rbm import RBM
from minigen.models.realnvp import RealNVP
from minigen.models.vae import VAE, ElboNoise
from minigen.models.wgan_gp import WGANGP, MixNoise
from minigen.random import Key


@dataclass
class Pair:
    """One configuration, built on both sides."""

    model: Model
    peer: Any  # torch_steps.Peer
    step: Callable[[], object]  # one training step of ours
    first_losses: Callable[[], dict[str, tuple[float, float]]]  # by name: (ours, peer's), before any step, at one noise
    first_steps: Callable[[], dict[str, tuple[Any, Any]]] = dict  # where there is no loss: how far parameters move at one noise
    learning: str = ""  # the network that the step moves; all by default

    @property
    def parameters(self) -> int:
        """How many numbers the step moves."""
        views = self.model.vector.views(self.model.theta)
        return sum(view.size for path, view in views.items() if path.startswith(self.learning))


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


def gan(peer: Any) -> Pair:
    """100-256-512-1024-784 against 784-512-256-1."""
    model = GAN((28, 28, 1), Key(0))
    G, D = peer.networks["generator"], peer.networks["discriminator"]
    for theirs, ours in zip((G[0], G[2], G[4], G[6]), ("0", "2", "4", "out"), strict=True):
        copy_linear(theirs, sub(model.generator, ours))
    for theirs, ours in zip((D[0], D[2], D[4]), ("features.hidden.0", "features.hidden.2", "out"), strict=True):
        copy_linear(theirs, sub(model.discriminator, ours))
    return game(peer, model, peer.batch.numpy().reshape(-1, 28, 28, 1))


def dcgan(peer: Any) -> Pair:
    """28x28x1; where the peer flattens (C, H, W), we flatten (H, W, C)."""
    model = DCGAN((28, 28, 1), Key(0))
    D = peer.networks["discriminator"]
    copy_image_networks(model, peer.networks["generator"], D[0], D[2], D[6])
    return game(peer, model, np.ascontiguousarray(peer.batch.numpy().transpose(0, 2, 3, 1)))


def wgan_gp(peer: Any) -> Pair:
    """The critic's update alone, one a step, as the peer's: fakes of `dcgan`'s generator, penalty 10, no normalisation in f."""
    model = WGANGP((28, 28, 1), Key(0))
    f = peer.networks["critic"]
    copy_image_networks(model, peer.networks["generator"], f[0], f[2], f[5])
    model.start(rate=peer.rate, steps=0)
    batch = np.ascontiguousarray(peer.batch.numpy().transpose(0, 2, 3, 1))
    z, t = Key(1).normal((len(batch), model.latents)), Key(2).uniform((len(batch), 1, 1, 1))

    def first_losses() -> dict[str, tuple[float, float]]:
        terms, _ = model.objectives[0](model, batch, MixNoise(z, t, Key(1)), backward=False)
        theirs = peer.losses(torch_steps.Replay([torch.from_numpy(z), torch.from_numpy(t)]))["critic"]
        return {"critic": (float(total(terms)), float(theirs.detach()))}

    return Pair(model, peer, Steps(model, batch, model.step_critic), first_losses, learning="discriminator")


def copy_image_networks(model: DCGAN, G: Any, conv1: Any, conv2: Any, out: Any) -> None:
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


def game(peer: Any, model: GAN, batch: Any) -> Pair:
    """What the two games have in common: both losses at the same latents."""
    model.start(rate=peer.rate, steps=0)
    z = Key(1).normal((len(batch), model.latents))

    def first_losses() -> dict[str, tuple[float, float]]:
        noise = GANNoise(z, Key(1))
        ours = {o.name: float(total(o(model, batch, noise, backward=False)[0])) for o in model.objectives}
        with torch.no_grad():
            theirs = peer.losses(torch_steps.Replay([torch.from_numpy(z)]))
        return {name: (ours[name], float(theirs[name])) for name in ours}

    return Pair(model, peer, Steps(model, batch), first_losses)


def ddpm(peer: Any) -> Pair:
    """The U-Net of width 32. Where the peer's steps are 0 .. 999, ours are 1 .. 1000; its three 1x1 products are one Linear."""
    theirs = peer.networks["net"]
    model = DDPM((28, 28, 1), Key(0), width=32, schedule="linear", prediction="noise", decay=0.0)
    net: Any = model.net
    copy_linear(theirs.t1, net.time["one"])
    copy_linear(theirs.t2, net.time["two"])
    for name in ("stem", "down1", "down2"):
        copy_conv(getattr(theirs, name), getattr(net, name))
    for name in ("up1", "up2"):
        copy_conv(getattr(theirs, name), getattr(net, name)["conv"])
    for name in ("d1", "d2", "d3", "mid", "u3", "u2", "u1"):
        block, ours = getattr(theirs, name), getattr(net, name)
        copy_norm_conv(block.n1, block.c1, ours.one)
        copy_norm_conv(block.n2, block.c2, ours.two)
        copy_linear(block.t, ours.time)
        if ours.wider:
            copy_conv(block.skip, ours.skip)
    copy_norm(theirs.att.n, net.att.f["norm"])
    copy_pointwise(theirs.att.qkv, net.att.f["mix"].qkv)
    copy_pointwise(theirs.att.out, net.att.f["mix"].out)
    copy_norm_conv(theirs.norm, theirs.out, net.out)
    model.start(rate=peer.rate, steps=0)
    batch = np.ascontiguousarray(peer.batch.numpy().transpose(0, 2, 3, 1))  # (N, 28, 28, 1)
    t, eps = Key(1).at("t").integers(1000, len(batch)), Key(1).at("eps").normal(batch.shape)

    def first_losses() -> dict[str, tuple[float, float]]:
        terms, _ = model.objectives[0](model, batch, DenoisingNoise(t + 1, eps, None), backward=False)
        draws = [torch.from_numpy(t), torch.from_numpy(np.ascontiguousarray(eps.transpose(0, 3, 1, 2)))]
        with torch.no_grad():
            loss = peer.losses(torch_steps.Replay(draws))["net"]
        return {"denoising": (float(total(terms)), float(loss))}

    return Pair(model, peer, Steps(model, batch), first_losses)


def pixelcnn(peer: Any) -> Pair:
    """28x28x1 binary, masked convolutions; of the peer's kernels we have the live taps."""
    model = PixelCNN((28, 28, 1), Key(0))
    theirs, net = peer.networks["net"], model.net
    for at, name in enumerate(("first", *(f"conv{l}" for l in range(6)), "head", "out")):
        copy_live(theirs[2 * at], net[name])
    model.start(rate=peer.rate, steps=0)
    batch = np.ascontiguousarray(peer.batch.numpy().transpose(0, 2, 3, 1))  # (N, 28, 28, 1)

    def first_losses() -> dict[str, tuple[float, float]]:
        terms, _ = model.objectives[0](model, batch, None, backward=False)
        with torch.no_grad():
            loss = peer.losses(torch_steps.Replay([]))["net"]
        return {"nll": (float(total(terms)), float(loss))}

    return Pair(model, peer, Steps(model, batch), first_losses)


def realnvp(peer: Any) -> Pair:
    """784 numbers, 6 couplings on alternating halves. The peer's loss lacks the constant of the prior, which is added here."""
    model = RealNVP((784,), Key(0), depth=6, hidden=512, bound=1.0, clip=0.0)
    for i, theirs in enumerate(peer.networks["net"]):
        for layer, name in zip((theirs[0], theirs[2], theirs[4]), ("hidden1", "hidden2", "out"), strict=True):
            copy_linear(layer, sub(model.flow, f"{i}.net.{name}"))
    model.start(rate=peer.rate, steps=10**6)
    batch = peer.batch.numpy()  # (N, 784)

    def first_losses() -> dict[str, tuple[float, float]]:
        terms, _ = model.objectives[0](model, batch, None, backward=False)
        with torch.no_grad():
            theirs = peer.losses(torch_steps.Replay([]))["net"]
        return {"likelihood": (float(total(terms)), float(theirs) + batch.shape[1] / 2 * math.log(2 * math.pi))}

    return Pair(model, peer, Steps(model, batch), first_losses)


def rbm(peer: Any) -> Pair:
    """784-500, CD-1. The peer has no loss: both sides take a step with the same uniform numbers, and the moves are compared."""
    net = peer.networks["net"]
    model = RBM((28, 28, 1), Key(0), hidden=500, persistent=False, centered=False, final_rate=1.0)
    ours = model.energy.params
    for name in ours:
        ours[name][...] = net[name].detach().numpy()
    model.start(rate=0.05, steps=0)
    batch = peer.batch.numpy()

    def first_steps() -> dict[str, tuple[Any, Any]]:
        before, key = {name: array.copy() for name, array in ours.items()}, Key(1)
        sweep = key.at(0)  # of CD-1 there is one
        draws = [sweep.at("h").uniform((len(batch), model.hidden_units)), sweep.at("v").uniform(batch.shape)]
        model.step(batch, key)
        noise, peer.noise = peer.noise, torch_steps.Replay([torch.from_numpy(draw) for draw in draws])
        peer.step()
        peer.noise = noise
        return {name: (ours[name] - at, net[name].detach().numpy() - at) for name, at in before.items()}

    return Pair(model, peer, Steps(model, batch), first_losses=dict, first_steps=first_steps)


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


def sub(network: Any, path: str) -> Any:
    """A layer of a network, by its path."""
    return dict(network.walk())[path]


class Steps:
    """Training steps on one batch, each with a key of its own: `model.step`, or another of its updates."""

    def __init__(self, model: Model, batch: Any, step: Callable[[Any, Key], object] | None = None) -> None:
        self.step, self.batch, self.key, self.taken = step or model.step, batch, Key(2), 0

    def __call__(self) -> object:
        self.taken += 1
        return self.step(self.batch, self.key.at(self.taken))


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

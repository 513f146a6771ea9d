"""Writes second_order.npz: gradient penalties by PyTorch 2.13's double backward, in float64.

    python tests/golden/make_second_order.py        (needs the development extra, torch)

For each network: input x and parameters are drawn; PyTorch gives the slope's penalties, R1 with gamma = 3 and the gradient
penalty with weight 10, and their gradients of x and of every parameter. `wgan_gp` is the critic's whole loss, where the fakes
and the mixing weights are drawn. Everything is stored in our layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from make import attention, batch_norm, conv
from torch import Tensor

HERE = Path(__file__).parent
GAMMA, WEIGHT = 3.0, 10.0


def conv_critic(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """8x8x2, two convolutions of stride 2 and a dense layer: the critic of `wgan_gp` with width 3."""
    h = F.leaky_relu(conv(x, p["features.conv1.W"], p["features.conv1.b"], stride=2, padding=1), 0.2)
    h = F.leaky_relu(conv(h, p["features.conv2.W"], p["features.conv2.b"], stride=2, padding=1), 0.2)
    return h.flatten(1) @ p["out.W"] + p["out.b"]


def normalised(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """conv, batch normalisation over the batch, tanh, dense."""
    h = batch_norm(conv(x, p["conv.W"], p["conv.b"], padding=1), p["norm.gain"], p["norm.b"])
    return torch.tanh(h).flatten(1) @ p["out.W"] + p["out.b"]


def attentive(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """x + attention with two heads, softplus, dense."""
    inside = {name.removeprefix("attend.f."): value for name, value in p.items() if name.startswith("attend.f.")}
    h = F.softplus(x + attention(x, 2, False, **inside))
    return h.flatten(1) @ p["out.W"] + p["out.b"]


def dense(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Points: two layers, LeakyReLU and SiLU."""
    h = F.silu(F.leaky_relu(x @ p["a.W"] + p["a.b"], 0.2) @ p["b.W"] + p["b.b"])
    return h @ p["out.W"] + p["out.b"]


CONV = {"features.conv1.W": (4, 4, 2, 3), "features.conv1.b": (3,), "features.conv2.W": (4, 4, 3, 6), "features.conv2.b": (6,)}
CRITIC = {**CONV, "out.W": (24, 1), "out.b": (1,)}
NETWORKS: dict[str, tuple[Callable[[Tensor, dict[str, Tensor]], Tensor], tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "conv": (conv_critic, (5, 8, 8, 2), CRITIC),
    "batch_norm": (
        normalised,
        (6, 4, 3, 2),
        {"conv.W": (3, 3, 2, 5), "conv.b": (5,), "norm.gain": (5,), "norm.b": (5,), "out.W": (60, 1), "out.b": (1,)},
    ),
    "attention": (
        attentive,
        (4, 5, 6),
        {"attend.f.qkv.W": (6, 18), "attend.f.out.W": (6, 6), "attend.f.out.b": (6,), "out.W": (30, 1), "out.b": (1,)},
    ),
    "dense": (dense, (7, 2), {"a.W": (2, 6), "a.b": (6,), "b.W": (6, 4), "b.b": (4,), "out.W": (4, 1), "out.b": (1,)}),
}


def slope(D: Callable[..., Tensor], x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """(N, values of a row)."""
    (g,) = torch.autograd.grad(D(x, p).sum(), x, create_graph=True)
    return g.flatten(1)


def draw_network(generator: torch.Generator, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    def one(shape: tuple[int, ...]) -> Tensor:
        fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
        return (torch.randn(shape, generator=generator, dtype=torch.float64) / fan_in**0.5).requires_grad_(True)

    return {name: one(shape) for name, shape in shapes.items()}


def gradients(loss: Tensor, p: dict[str, Tensor], x: Tensor | None = None) -> dict[str, Tensor]:
    wanted = {**({"dx": x} if x is not None else {}), **{f"grad.{name}": value for name, value in p.items()}}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return {n: torch.zeros_like(w) if g is None else g for (n, w), g in zip(wanted.items(), found, strict=True)}


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(8)
    arrays: dict[str, Tensor] = {}
    for name, (D, shape, shapes) in NETWORKS.items():
        p = draw_network(generator, shapes)
        x = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_(True)
        found = {"x": x, **{f"param.{n}": value for n, value in p.items()}}
        rules = {
            "r1": lambda g: GAMMA / 2 * (g * g).sum(1).mean(),
            "penalty": lambda g: WEIGHT * ((g.norm(dim=1) - 1) ** 2).mean(),
        }
        for rule, of in rules.items():
            value = of(slope(D, x, p))
            found |= {f"{rule}.value": value, **{f"{rule}.{n}": g for n, g in gradients(value, p, x).items()}}
        arrays |= {f"{name}/{n}": value for n, value in found.items()}

    p = draw_network(generator, CRITIC)
    real, fake = (torch.randn((4, 8, 8, 2), generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.rand((4, 1, 1, 1), generator=generator, dtype=torch.float64)
    mixed = (t * real + (1 - t) * fake).requires_grad_(True)
    penalty = WEIGHT * ((slope(conv_critic, mixed, p).norm(dim=1) - 1) ** 2).mean()
    loss = conv_critic(fake, p).mean() - conv_critic(real, p).mean() + penalty
    found = {"real": real, "fake": fake, "t": t, "loss": loss, "penalty": penalty, **gradients(loss, p)}
    arrays |= {f"wgan_gp/{n}": v for n, v in (found | {f"param.{n}": value for n, value in p.items()}).items()}

    np.savez_compressed(HERE / "second_order.npz", **{n: v.detach().contiguous().numpy() for n, v in arrays.items()})
    print(f"{len(arrays)} arrays, torch {torch.__version__}")

"""Writes glow.npz: the likelihood of a small Glow and its gradients by PyTorch 2.13, in float64.

    python tests/golden/make_glow.py        (needs the development extra, torch)

Two levels of one step, images of 4 x 4 pixels. Parameters, constants and noise are drawn; determinants are PyTorch's own, of W
itself, and the logit's slope is its derivative.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

HERE = Path(__file__).parent
N, SIDE, WIDTH, ALPHA, BOUND = 3, 4, 3, 0.05, 2.0
CHANNELS = (4, 8)


def conv(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """(N, H, W, C), with W (k, k, inputs, outputs)."""
    return F.conv2d(x.permute(0, 3, 1, 2), W.permute(3, 2, 0, 1), b, padding=W.shape[0] // 2).permute(0, 2, 3, 1)


def squeeze(x: Tensor) -> Tensor:
    return torch.cat([x[:, a::2, b::2] for a in (0, 1) for b in (0, 1)], -1)


def step(x: Tensor, p: dict[str, Tensor], at: str, i: int) -> tuple[Tensor, Tensor]:
    """ActNorm, mixture, coupling: z and logdet."""
    pixels = x.shape[1] * x.shape[2]
    x = x * p[f"{at}.{i}.s"].exp() + p[f"{at}.{i}.b"]
    logdet = pixels * p[f"{at}.{i}.s"].sum()

    A, P, sign = (p[f"{at}.{i + 1}.{name}"] for name in ("A", "P", "sign"))
    W = P @ (A.tril(-1) + torch.eye(len(A), dtype=A.dtype)) @ (A.triu(1) + torch.diag(sign * A.diagonal().exp()))
    x = x @ W
    logdet = logdet + pixels * torch.linalg.slogdet(W)[1]

    a, b = x.chunk(2, -1)
    h, net = a, f"{at}.{i + 2}.net"
    for layer in ("conv1", "conv2"):
        h = conv(h, p[f"{net}.{layer}.W"], p[f"{net}.{layer}.b"]).relu()
    r, t = conv(h, p[f"{net}.out.W"], p[f"{net}.out.b"]).chunk(2, -1)
    s = BOUND * torch.tanh(r / BOUND)
    return torch.cat((a, b * s.exp() + t), -1), logdet + s.sum((1, 2, 3))


def nll(x: Tensor, u: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Nats per image."""
    v = ((255 * x).round() + u).div(256).requires_grad_(True)
    y = torch.logit(ALPHA + (1 - 2 * ALPHA) * v)
    (slope,) = torch.autograd.grad(y.sum(), v, retain_graph=True)
    logdet, z = slope.log().sum((1, 2, 3)), []
    for level in range(len(CHANNELS)):
        if level:
            out, y = y.chunk(2, -1)
            z.append(out)
        y, one = step(squeeze(y), p, f"flow.levels.{level}", 1)
        logdet = logdet + one
    flat = torch.cat([part.flatten(1) for part in (*z, y)], 1)
    log_normal = -0.5 * (flat**2).sum(1) - 0.5 * flat.shape[1] * math.log(2 * math.pi)
    return (-log_normal - logdet).mean() + flat.shape[1] * math.log(256)


def main() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    p: dict[str, Tensor] = {}
    for level, C in enumerate(CHANNELS):
        at = f"flow.levels.{level}"
        p |= {f"{at}.1.s": 0.3 * draw(C), f"{at}.1.b": draw(C), f"{at}.2.A": 0.4 * draw(C, C)}
        p |= {
            f"{at}.2.P": torch.eye(C, dtype=torch.float64)[torch.randperm(C, generator=generator)],
            f"{at}.2.sign": draw(C).sign(),
        }
        for name, k, i, o in (("conv1", 3, C // 2, WIDTH), ("conv2", 1, WIDTH, WIDTH), ("out", 3, WIDTH, C)):
            p |= {f"{at}.3.net.{name}.W": 0.3 * draw(k, k, i, o), f"{at}.3.net.{name}.b": 0.3 * draw(o)}
    x = torch.randint(256, (N, SIDE, SIDE, 1), generator=generator).double() / 255
    u = torch.rand((N, SIDE, SIDE, 1), generator=generator, dtype=torch.float64)
    learned = {path: value.requires_grad_(True) for path, value in p.items() if not path.endswith((".P", ".sign"))}
    loss = nll(x, u, p)
    loss.backward()
    arrays = {"x": x, "u": u, "loss": loss} | {f"value/{path}": value for path, value in p.items()}
    arrays |= {f"grad/{path}": value.grad for path, value in learned.items()}
    np.savez_compressed(HERE / "glow.npz", **{name: value.detach().numpy() for name, value in arrays.items()})


if __name__ == "__main__":
    main()

"""Writes couplings.npz: affine and spline couplings of rows by PyTorch 2.13, backward and double backward, in float64.

    python tests/golden/make_couplings.py        (needs the development extra, torch)

Input, parameters of the network (a hidden layer of tanh), cotangents and a direction are drawn. Some numbers lie outside the
spline's reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

HERE = Path(__file__).parent
N, D, HIDDEN, BINS, REACH, LEAST, BOUND = 6, 5, 4, 4, 2.0, 1e-2, 1.5


def affine(b: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """b e^s + t."""
    r, t = h.chunk(2, -1)
    s = BOUND * torch.tanh(r / BOUND)
    return b * s.exp() + t, s.sum(-1)


def spline(b: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Durkan et al. 2019, eqs. 4 and 5; the slope by PyTorch's own derivative."""
    u, v, g = h.unflatten(-1, (3 * BINS - 1, b.shape[-1])).transpose(-1, -2).split((BINS, BINS, BINS - 1), -1)
    W, H = (2 * REACH * (LEAST + (1 - BINS * LEAST) * part.softmax(-1)) for part in (u, v))
    ends = torch.ones_like(g[..., :1])
    S = torch.cat((ends, 1e-5 + F.softplus(g + math.log(math.expm1(1 - 1e-5))), ends), -1)
    X, Y = (F.pad(part.cumsum(-1), (1, 0)) - REACH for part in (W, H))
    within = b.abs() < REACH
    x = torch.where(within, b, torch.zeros_like(b))
    k = (torch.searchsorted(X.detach().contiguous(), x.detach()[..., None].contiguous(), right=True) - 1).clamp(0, BINS - 1)
    at = [part.gather(-1, i)[..., 0] for part, i in ((X, k), (W, k), (Y, k), (H, k), (S, k), (S, k + 1))]
    left, w, low, height, d0, d1 = at
    xi, s = (x - left) / w, height / w
    z = low + height * (s * xi**2 + d0 * xi * (1 - xi)) / (s + (d1 + d0 - 2 * s) * xi * (1 - xi))
    (slope,) = torch.autograd.grad(z.sum(), x, create_graph=True)
    return torch.where(within, z, b), torch.where(within, slope.log(), torch.zeros_like(b)).sum(-1)


def coupling(f: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, p: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The first half kept."""
    a, b = x[:, : D // 2], x[:, D // 2 :]
    z, logdet = f(b, torch.tanh(a @ p["net.hidden.W"] + p["net.hidden.b"]) @ p["net.out.W"] + p["net.out.b"])
    return torch.cat((a, z), 1), logdet


CASES = {"affine": (affine, 2), "spline": (spline, 3 * BINS - 1)}


def compute(name: str, generator: torch.Generator) -> dict[str, np.ndarray]:
    """Every array of one case, as "case/array"."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_(True)

    f, planes = CASES[name]
    moved = D - D // 2
    shapes = {
        "hidden.W": (D // 2, HIDDEN),
        "hidden.b": (HIDDEN,),
        "out.W": (HIDDEN, planes * moved),
        "out.b": (planes * moved,),
    }
    x, parameters = draw(N, D), {f"net.{path}": draw(*shape) for path, shape in shapes.items()}
    z, logdet = coupling(f, x, parameters)
    u, u_logdet, v = draw(N, D), draw(N), draw(N, D)
    wanted = [x, *parameters.values()]
    first = torch.autograd.grad((u * z).sum() + (u_logdet * logdet).sum(), wanted, create_graph=True)
    second = torch.autograd.grad((first[0] * v).sum(), wanted)
    arrays = {"x": x, "u": u, "u_logdet": u_logdet, "v": v, "z": z, "logdet": logdet}
    arrays |= {f"param.{path}": value for path, value in parameters.items()}
    for path, d, dd in zip(["dx", *(f"grad.{path}" for path in parameters)], first, second, strict=True):
        arrays |= {path: d, f"{path}_dot": dd}
    return {f"{name}/{key}": value.detach().contiguous().numpy() for key, value in arrays.items()}


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(21)
    arrays: dict[str, np.ndarray] = {}
    for name in CASES:
        arrays |= compute(name, generator)
    np.savez_compressed(HERE / "couplings.npz", **arrays)
    print(f"{len(CASES)} cases, {len(arrays)} arrays, torch {torch.__version__}")

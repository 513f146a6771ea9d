"""Writes energy.npz: the free energy and the regularised contrast of a network by PyTorch 2.13, in float64.

    python tests/golden/make_energy.py        (needs the development extra, torch)

`free_energy` has forward, backward and double backward, as layers.npz has them. `ebm` is the objective of the model so called
on 9x8x1 images, width 2: its terms, their gradients of every parameter, and the slope dE/dx of the samples.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from make import Case, compute, conv
from torch import Tensor

HERE = Path(__file__).parent
ALPHA = 0.1
SHAPES = {
    "0.W": (5, 5, 1, 2), "0.b": (2,), "2.W": (3, 3, 2, 4), "2.b": (4,), "4.W": (3, 3, 4, 8), "4.b": (8,),
    "7.W": (2 * 8, 8), "7.b": (8,), "out.W": (8, 1),
}  # fmt: skip


def free_energy(x: Tensor, W: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return -x @ b - F.softplus(x @ W + c).sum(1)


def energy(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Three convolutions of stride 2 and two dense layers, with SiLU between."""
    h = F.silu(conv(x, p["0.W"], p["0.b"], stride=2, padding=2))
    for i in ("2", "4"):
        h = F.silu(conv(h, p[f"{i}.W"], p[f"{i}.b"], stride=2, padding=1))
    return F.silu(h.flatten(1) @ p["7.W"] + p["7.b"]) @ p["out.W"]


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(6)
    draw = lambda shape: torch.randn(shape, generator=generator, dtype=torch.float64)
    arrays = compute("free_energy", Case(free_energy, (5, 6), W=(6, 4), b=(6,), c=(4,)), generator)
    parameters = {name: (0.5 * draw(shape)).requires_grad_(True) for name, shape in SHAPES.items()}
    data, samples = draw((3, 9, 8, 1)), draw((3, 9, 8, 1)).requires_grad_(True)
    real, fake = energy(data, parameters), energy(samples, parameters)
    terms = {"data": real.mean(), "samples": -fake.mean(), "size": ALPHA * ((real**2).mean() + (fake**2).mean())}
    (slope,) = torch.autograd.grad(fake.sum(), samples, retain_graph=True)
    grads = torch.autograd.grad(sum(terms.values()), list(parameters.values()))
    named = {"batch": data, "negatives": samples, "slope": slope}
    named |= {f"term.{name}": value for name, value in terms.items()}
    named |= {f"param.{name}": value for name, value in parameters.items()}
    named |= {f"grad.{name}": value for name, value in zip(parameters, grads, strict=True)}
    arrays |= {f"ebm/{name}": value.detach().contiguous().numpy() for name, value in named.items()}
    np.savez_compressed(HERE / "energy.npz", **arrays)
    print(f"{len(arrays)} arrays, torch {torch.__version__}")

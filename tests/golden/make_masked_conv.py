"""Writes masked_conv.npz: what PyTorch computes for convolutions whose kernel is multiplied by a mask, in float64.

    python tests/golden/make_masked_conv.py        (needs the development extra, torch)

The kernels are PyTorch's, (M, C, k, k), with random numbers under the mask too; what the mask lets through is our W.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

SEEN = {  # the pixels that a kernel of 5 may look at, as a mask of ones
    "raster_A": ("11111", "11111", "11000", "00000", "00000"),
    "raster_B": ("11111", "11111", "11100", "00000", "00000"),
    "vertical_A": ("11111", "11111", "00000", "00000", "00000"),
    "vertical_B": ("11111", "11111", "11111", "00000", "00000"),
    "horizontal_A": ("00000", "00000", "11000", "00000", "00000"),
    "horizontal_B": ("00000", "00000", "11100", "00000", "00000"),
}

if __name__ == "__main__":
    torch.manual_seed(0)
    arrays = {}
    for name, rows in SEEN.items():
        mask = torch.tensor([[float(c) for c in row] for row in rows], dtype=torch.float64)
        x = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
        W = torch.randn(3, 2, 5, 5, dtype=torch.float64, requires_grad=True)
        b = torch.randn(3, dtype=torch.float64, requires_grad=True)
        y = F.conv2d(x, W * mask, b, padding=2)
        u = torch.randn_like(y)
        dx, dW, db = torch.autograd.grad(y, (x, W, b), u)
        live = mask.bool()
        channels_last = {"x": x, "y": y, "u": u, "dx": dx}
        arrays |= {f"{name}/{key}": a.detach().numpy().transpose(0, 2, 3, 1) for key, a in channels_last.items()}
        arrays |= {f"{name}/{key}": a.detach()[:, :, live].numpy().transpose(2, 1, 0) for key, a in {"W": W, "dW": dW}.items()}
        arrays |= {f"{name}/b": b.detach().numpy(), f"{name}/db": db.numpy()}
    np.savez_compressed(Path(__file__).parent / "masked_conv.npz", **arrays)

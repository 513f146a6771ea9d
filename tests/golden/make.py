"""Writes layers.npz, the outside evidence: what PyTorch 2.13 computes for every layer, in float64.

    python tests/golden/make.py        (needs the development extra, torch)

For each case: input x, parameters, cotangent u and tangent v are drawn; PyTorch gives y, dx and the parameters' gradients of
<u, y>, and by double backward the gradients of <dx, v>, which are what our `backward_jvp` calls dx_dot and the moved gradients,
when x moves along v. Everything is stored in our layouts: channels last, weights (inputs, outputs) and (kh, kw, inputs,
outputs).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

HERE = Path(__file__).parent


def images(x: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W)."""
    return x.permute(0, 3, 1, 2)


def back(y: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C)."""
    return y.permute(0, 2, 3, 1)


def conv(x: Tensor, W: Tensor, b: Tensor, **at: int) -> Tensor:
    return back(F.conv2d(images(x), W.permute(3, 2, 0, 1), b, **at))


def conv_transpose(x: Tensor, W: Tensor, b: Tensor, **at: int) -> Tensor:
    """W (kh, kw, outputs, inputs): the weight of the convolution that goes the other way."""
    return back(F.conv_transpose2d(images(x), W.permute(3, 2, 0, 1), b, **at))


def batch_norm(x: Tensor, gain: Tensor, b: Tensor) -> Tensor:
    return back(F.batch_norm(images(x), None, None, gain, b, training=True))


def layer_norm(x: Tensor, gain: Tensor, b: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], gain, b)


def sequence(x: Tensor) -> Tensor:
    """(N, T, C) -> (N, C, T), and back."""
    return x.transpose(1, 2)


def conv1d(x: Tensor, W: Tensor, b: Tensor, front: int = 0, **at: int) -> Tensor:
    """W (k, inputs, outputs); `front` zeros before the first position."""
    return sequence(F.conv1d(F.pad(sequence(x), (front, 0)), W.permute(2, 1, 0), b, **at))


def group_norm(x: Tensor, gain: Tensor, b: Tensor, groups: int) -> Tensor:
    return F.group_norm(x.movedim(-1, 1), groups, gain, b).movedim(1, -1)


def upsample(x: Tensor, mode: str, factor: int) -> Tensor:
    corners = {} if mode == "nearest" else {"align_corners": False}
    return back(F.interpolate(images(x), scale_factor=factor, mode=mode, **corners))


def attention(x: Tensor, heads: int, causal: bool, **p: Tensor) -> Tensor:
    N, T, C = x.shape
    q, k, v = ((x @ p["qkv.W"]).reshape(N, T, 3, heads, C // heads).permute(2, 0, 3, 1, 4)[i] for i in range(3))
    with sdpa_kernel(SDPBackend.MATH):  # the fused ones have no double backward
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return y.transpose(1, 2).reshape(N, T, C) @ p["out.W"] + p["out.b"]


def minibatch_std(x: Tensor, group: int) -> Tensor:
    groups = x.reshape(-1, group, *x.shape[1:])
    f = (groups.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # of every group
    return torch.cat((x, f.repeat_interleave(group)[:, None, None, None].expand(*x.shape[:-1], 1)), -1)


def minibatch_discrimination(x: Tensor, W: Tensor, kernels: int) -> Tensor:
    m = (x @ W).reshape(len(x), kernels, -1)
    return torch.cat((x, (-(m[:, None] - m[None]).abs().sum(3)).exp().sum(1)), 1)


def weight_norm(x: Tensor, **p: Tensor) -> Tensor:
    return x @ torch._weight_norm(p["W"].T, p["computed.W.g"][:, None], 0).T + p["b"]


class Case:
    """A function of x and named parameters, with their shapes."""

    def __init__(self, f: Callable[..., Tensor], x: tuple[int, ...], **parameters: tuple[int, ...]) -> None:
        self.f, self.x, self.parameters = f, x, parameters


CASES = {
    "linear": Case(lambda x, W, b: x @ W + b, (5, 7), W=(7, 3), b=(3,)),
    "conv2d": Case(lambda x, W, b: conv(x, W, b, padding=1), (2, 5, 6, 3), W=(3, 3, 3, 4), b=(4,)),
    "conv2d_stride2": Case(lambda x, W, b: conv(x, W, b, stride=2, padding=1), (2, 7, 6, 2), W=(4, 4, 2, 3), b=(3,)),
    "conv2d_dilated": Case(lambda x, W, b: conv(x, W, b, padding=2, dilation=2), (2, 6, 5, 2), W=(3, 3, 2, 3), b=(3,)),
    "conv_transpose2d": Case(
        lambda x, W, b: conv_transpose(x, W, b, stride=2, padding=1), (2, 4, 3, 3), W=(4, 4, 2, 3), b=(2,)
    ),
    "batch_norm": Case(batch_norm, (4, 3, 2, 5), gain=(5,), b=(5,)),
    "layer_norm": Case(layer_norm, (4, 3, 7), gain=(7,), b=(7,)),
    "softmax": Case(lambda x: F.softmax(x, -1), (4, 6)),
    "relu": Case(F.relu, (4, 6)),
    "leaky_relu": Case(lambda x: F.leaky_relu(x, 0.2), (4, 6)),
    "tanh": Case(torch.tanh, (4, 6)),
    "sigmoid": Case(torch.sigmoid, (4, 6)),
    "silu": Case(F.silu, (4, 6)),
    "softplus": Case(F.softplus, (4, 6)),
    "gelu": Case(F.gelu, (4, 6)),
    "elu": Case(lambda x: F.elu(x, 1.3), (4, 6)),
    "selu": Case(F.selu, (4, 6)),
    "softsign": Case(F.softsign, (4, 6)),
    "mish": Case(F.mish, (4, 6)),
    "group_norm": Case(lambda x, **p: group_norm(x, **p, groups=2), (2, 3, 2, 6), gain=(6,), b=(6,)),
    "instance_norm": Case(lambda x, **p: group_norm(x, **p, groups=3), (2, 5, 3), gain=(3,), b=(3,)),
    "nearest_upsample": Case(lambda x: upsample(x, "nearest", 3), (2, 2, 3, 2)),
    "bilinear_upsample": Case(lambda x: upsample(x, "bilinear", 2), (2, 3, 4, 2)),
    "average_pool2d": Case(lambda x: back(F.avg_pool2d(images(x), 3, 2, 1)), (2, 5, 6, 2)),
    "max_pool2d": Case(lambda x: back(F.max_pool2d(images(x), 3, 2, 1)), (2, 5, 6, 2)),
    "conv1d": Case(lambda x, W, b: conv1d(x, W, b, stride=2, padding=2), (2, 7, 3), W=(4, 3, 2), b=(2,)),
    "conv1d_causal": Case(lambda x, W, b: conv1d(x, W, b, front=4, dilation=2), (2, 7, 3), W=(3, 3, 2), b=(2,)),
    "attention": Case(
        lambda x, **p: attention(x, 2, False, **p), (2, 5, 6), **{"qkv.W": (6, 18), "out.W": (6, 6), "out.b": (6,)}
    ),
    "attention_causal": Case(
        lambda x, **p: attention(x, 3, True, **p), (2, 5, 6), **{"qkv.W": (6, 18), "out.W": (6, 6), "out.b": (6,)}
    ),
    "minibatch_std": Case(lambda x: minibatch_std(x, 3), (6, 2, 2, 3)),
    "minibatch_discrimination": Case(lambda x, W: minibatch_discrimination(x, W, 3), (5, 4), W=(4, 6)),
    "weight_norm": Case(weight_norm, (5, 4), **{"W": (4, 3), "b": (3,), "computed.W.g": (3,)}),
    "conv2d_groups": Case(lambda x, W, b: conv(x, W, b, padding=1, groups=2), (2, 5, 6, 4), W=(3, 3, 2, 6), b=(6,)),
    "conv2d_depthwise": Case(
        lambda x, W, b: conv(x, W, b, stride=2, padding=1, groups=3), (2, 5, 6, 3), W=(3, 3, 1, 3), b=(3,)
    ),
    "conv_transpose2d_groups": Case(
        lambda x, W, b: conv_transpose(x, W, b, stride=2, padding=1, groups=2), (2, 4, 3, 6), W=(4, 4, 2, 6), b=(4,)
    ),
    "conv1d_groups": Case(lambda x, W, b: conv1d(x, W, b, front=2, groups=3), (2, 7, 3), W=(3, 1, 6), b=(6,)),
}


def compute(name: str, case: Case, generator: torch.Generator) -> dict[str, np.ndarray]:
    """Every array of one case, as "case/array"."""

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = draw(case.x).requires_grad_(True)
    parameters = {p: draw(shape).requires_grad_(True) for p, shape in case.parameters.items()}
    y = case.f(x, **parameters)
    u, v = draw(tuple(y.shape)), draw(case.x)
    wanted = [x, *parameters.values()]
    first = torch.autograd.grad((u * y).sum(), wanted, create_graph=True)
    along = (first[0] * v).sum()
    second = torch.autograd.grad(along, wanted, allow_unused=True) if along.requires_grad else [None] * len(wanted)
    arrays = {"x": x, "u": u, "v": v, "y": y, **{f"param.{p}": value for p, value in parameters.items()}}
    for p, d, dd in zip(["dx", *(f"grad.{p}" for p in parameters)], first, second, strict=True):
        arrays[p] = d
        arrays[f"{p}_dot"] = torch.zeros_like(d) if dd is None else dd
    return {f"{name}/{key}": value.detach().contiguous().numpy() for key, value in arrays.items()}


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(20)
    arrays: dict[str, np.ndarray] = {}
    for name, case in CASES.items():
        arrays |= compute(name, case, generator)
    np.savez_compressed(HERE / "layers.npz", **arrays)
    print(f"{len(CASES)} cases, {len(arrays)} arrays, torch {torch.__version__}")

"""The splines, gated units, group, layer and activation normalisations that `benchmarks.kernels` times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from minigen.kernels.spline.definition import FLAT, UNIT

BINS, REACH, LEAST, GROUPS = 32, 5.0, 1e-2, 8
GIVEN = {"bins": BINS, "reach": REACH, "least": LEAST}


def gated() -> Iterator[Case]:
    """The gated units of gated_pixelcnn and wavenet; PyTorch's calls by hand."""
    for kind, *shape in (("reference", 32, 28, 28, 32), ("large", 64, 2048, 64), ("ragged", 37, 7, 33), ("GPU", 64, 4096, 64)):

        def forward(shape: Any = shape) -> Any:
            return (normal("x", *shape[:-1], 2 * shape[-1]),), {}

        def gradient(shape: Any = shape) -> Any:
            return (normal("dy", *shape), normal("x", *shape[:-1], 2 * shape[-1])), {}

        def peers_forward(given: Any) -> dict[str, Peer]:
            (x,) = map(tensor, given)

            def several() -> Any:
                a, b = x.chunk(2, -1)
                return torch.tanh(a).mul_(torch.sigmoid(b))

            return {"several calls": Peer(several, lambda y: y.numpy())}

        def peers_gradient(given: Any) -> dict[str, Peer]:
            dy, x = map(tensor, given)

            def several() -> Any:
                a, b = x.chunk(2, -1)
                t, s = torch.tanh(a), torch.sigmoid(b)
                part = dy * s
                return torch.cat((part * (1 - t * t), part.mul_(t).mul_(1 - s)), -1)

            return {"several calls": Peer(several, lambda dx: dx.numpy())}

        what = "x".join(map(str, shape))
        yield Case("gated", "forward", what, kind, forward, peers_forward)
        yield Case("gated", "gradient", what, kind, gradient, peers_gradient)


def act_norm() -> Iterator[Case]:
    """The channels of glow's levels and of conv_realnvp; PyTorch's calls by hand."""
    for kind, *shape in (
        ("reference", 64, 256, 4),
        ("reference", 64, 16, 16),
        ("large", 64, 1024, 48),
        ("ragged", 37, 7, 33),
        ("GPU", 256, 1024, 48),
    ):

        def forward(shape: Any = shape) -> Any:
            return (normal("x", *shape), normal("s", shape[2]) / 4, normal("b", shape[2])), {}

        def gradient(shape: Any = shape) -> Any:
            return (normal("dz", *shape), normal("dlogdet", shape[0]), normal("x", *shape), normal("s", shape[2]) / 4), {}

        def peers_forward(given: Any) -> dict[str, Peer]:
            x, s, b = map(tensor, given)
            several = lambda: (torch.addcmul(b, x, torch.exp(s)), (x.shape[1] * s.sum()).expand(len(x)))
            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        def peers_gradient(given: Any) -> dict[str, Peer]:
            dz, dlogdet, x, s = map(tensor, given)

            def several() -> Any:
                dx = dz * torch.exp(s)
                return dx, (dx * x).sum((0, 1)).add_(dlogdet.sum(), alpha=x.shape[1]), dz.sum((0, 1))

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        what = "x".join(map(str, shape))
        yield Case("act_norm", "forward", what, kind, forward, peers_forward)
        yield Case("act_norm", "inverse", what, kind, forward, lambda given: {})
        yield Case("act_norm", "gradient", what, kind, gradient, peers_gradient)


def group_norm() -> Iterator[Case]:
    """Group normalisation and SiLU, all there and all back, of the U-Net of ddpm; PyTorch's way back needs x, not xhat."""
    for kind, B, R, C in (
        ("reference", 64, 784, 16),
        ("reference", 64, 196, 32),
        ("ragged", 5, 77, 24),
        ("ragged", 37, 35, 40),
        ("GPU", 256, 4096, 64),
    ):

        def forward(shape: Any = (B, R, C), C: int = C) -> Any:
            how = {"eps": 1e-5, "groups": GROUPS, "kind": "silu"}
            return (normal("x", *shape), normal("gain", C), normal("b", C)), how

        def backward(shape: Any = (B, R, C), C: int = C) -> Any:
            given = normal("dy", *shape), normal("xhat", *shape), normal("gain", C), normal("b", C), normal("r", shape[0], C)
            return given, {"groups": GROUPS, "kind": "silu"}

        def peers(given: Any) -> dict[str, Peer]:
            x, gain, b = map(tensor, given)
            image = x.transpose(1, 2)  # (B, C, R)
            both = lambda: F.silu(F.group_norm(image, GROUPS, gain, b))
            return {"two calls": Peer(both, lambda y: [None, y.transpose(1, 2).contiguous().numpy(), None])}

        shape = f"{B}x{R}x{C}"
        yield Case("normalise", "forward", shape, kind, forward, peers)
        yield Case("normalise", "backward", shape, kind, backward, lambda given: {})


def layer_norm() -> Iterator[Case]:
    """Rows of a transformer's widths. No configuration has one: the reference is places and channels of ddpm's attention."""
    for kind, P, C in (("reference", 3136, 32), ("large", 4096, 256), ("ragged", 127, 131), ("GPU", 1 << 16, 512)):

        def forward(P: int = P, C: int = C) -> Any:
            return (normal("x", P, C), normal("gain", C), normal("b", C)), {"eps": 1e-5}

        def gradient(P: int = P, C: int = C) -> Any:
            return (normal("dy", P, C), normal("xhat", P, C), normal("gain", C), normal("r", P, 1) ** 2), {}

        def peers(given: Any) -> dict[str, Peer]:
            x, gain, b = map(tensor, given)
            whole = lambda: torch.native_layer_norm(x, gain.shape, gain, b, 1e-5)
            return {"one call": Peer(whole, lambda made: [None, made[0].numpy(), made[2].numpy()])}  # it does not keep xhat

        def peers_back(given: Any) -> dict[str, Peer]:
            dy, xhat, gain, r = map(tensor, given)
            none, no_bias = torch.zeros_like(r), torch.zeros_like(gain)
            x = xhat / r  # with a mean of zero it is xhat again
            asked = [True, False, False]
            whole = lambda: torch.ops.aten.native_layer_norm_backward(dy, x, gain.shape, none, r, gain, no_bias, asked)
            return {"one call": Peer(whole, lambda made: made[0].numpy())}

        yield Case("layer_norm", "forward", f"{P}x{C}", kind, forward, peers)
        yield Case("layer_norm", "gradient", f"{P}x{C}", kind, gradient, peers_back)


def spline() -> Iterator[Case]:
    """The splines of neural_spline_flow in the plane, and of wide rows; PyTorch's forward by hand, it has none of its own."""
    for kind, *shape in (("reference", 512, 1), ("large", 512, 64), ("ragged", 37, 7, 3), ("GPU", 1 << 14, 8)):
        P = 3 * BINS - 1

        def forward(shape: Any = shape, P: int = P) -> Any:
            return (normal("b", *shape), 0.5 * normal("h", *shape[:-1], P * shape[-1])), GIVEN

        def gradient(shape: Any = shape, P: int = P) -> Any:
            h = 0.5 * normal("h", *shape[:-1], P * shape[-1])
            return (normal("dz", *shape), normal("dlogdet", shape[0]), normal("b", *shape), h), GIVEN

        def peers_forward(given: Any) -> dict[str, Peer]:
            b, h = map(tensor, given)
            return {"several calls": Peer(lambda: peer(b, h), lambda made: [part.numpy() for part in made])}

        what = "x".join(map(str, (*shape, BINS)))
        yield Case("spline", "forward", what, kind, forward, peers_forward)
        yield Case("spline", "inverse", what, kind, forward, lambda given: {})
        yield Case("spline", "gradient", what, kind, gradient, lambda given: {})


def peer(b: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """z and logdet, the bin found by counting."""
    planes = h.unflatten(-1, (3 * BINS - 1, -1)).movedim(-2, -1)
    W, H = (
        2 * REACH * (LEAST + (1 - BINS * LEAST) * torch.softmax(part, -1)) for part in planes[..., : 2 * BINS].split(BINS, -1)
    )
    S = F.pad(FLAT + F.softplus(planes[..., 2 * BINS :] + UNIT), (1, 1), value=1.0)
    X, Y = (F.pad(sizes.cumsum(-1), (1, 0)) - REACH for sizes in (W, H))
    inside = b.abs() < REACH
    x = torch.where(inside, b, 0.0)
    k = (x[..., None] >= X[..., 1:-1]).sum(-1, keepdim=True)
    x0, w, y0, height, d0, d1 = (
        part.gather(-1, k + i)[..., 0] for part, i in zip((X, W, Y, H, S, S), (0, 0, 0, 0, 0, 1), strict=True)
    )
    xi, s = (x - x0) / w, height / w
    m = xi * (1 - xi)
    D = s + (d0 + d1 - 2 * s) * m
    z = y0 + height * (s * xi * xi + d0 * m) / D
    l = torch.log(s * s * (d1 * xi * xi + 2 * s * m + d0 * (1 - xi) ** 2) / (D * D))
    return torch.where(inside, z, b), torch.where(inside, l, 0.0).flatten(1).sum(1)

"""What `benchmarks.kernels` times of flows of images: the logit of pixels, a mixture's small matrices, the likelihood of z."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from minigen.random import Key

ALPHA, POSITIONS = 1e-6, 196
LOG_K, LOG_2PI = math.log(1 - 2 * ALPHA), math.log(2 * math.pi)


def _arrays(made: Any) -> list[Any]:
    return [part.numpy() for part in made]


def _stretched(v: Any) -> tuple[Any, Any]:
    """z and logdet, by PyTorch."""
    log_p, log_q = torch.log(ALPHA + (1 - 2 * ALPHA) * v), torch.log(ALPHA + (1 - 2 * ALPHA) * (1 - v))
    return log_p - log_q, LOG_K * v[0].numel() - (log_p + log_q).flatten(1).sum(1)


def logit() -> Iterator[Case]:
    """The images of glow there and back, filled with noise or not; PyTorch's calls by hand."""
    for kind, *shape in (("reference", 64, 784), ("large", 512, 3072), ("ragged", 37, 7, 33), ("GPU", 1 << 13, 1 << 11)):

        def uniform(name: str, shape: Any = shape) -> Any:
            return 0.8 * Key(5).at(name).uniform(shape) + np.float32(0.1)

        def forward(uniform: Any = uniform) -> Any:
            return (uniform("x"), ALPHA), {}

        def of_pixels(uniform: Any = uniform) -> Any:
            return (np.rint(255 * uniform("x")) / np.float32(255), uniform("u"), ALPHA), {}

        def inverse(shape: Any = shape) -> Any:
            return (normal("z", *shape), ALPHA), {}

        def gradient(shape: Any = shape, uniform: Any = uniform) -> Any:
            return (normal("dz", *shape), normal("dlogdet", shape[0]), uniform("x"), ALPHA), {}

        def peers_forward(given: Any) -> dict[str, Peer]:
            x = tensor(given[0])
            return {"several calls": Peer(lambda: _stretched(x), _arrays)}

        def peers_of_pixels(given: Any) -> dict[str, Peer]:
            x, u = map(tensor, given[:2])
            return {"several calls": Peer(lambda: _stretched((255 * x).round_().add_(u).div_(256)), _arrays)}

        def peers_inverse(given: Any) -> dict[str, Peer]:
            z = tensor(given[0])

            def several() -> Any:
                size = z.abs()
                spread = torch.exp(-size).log1p_().mul_(2).add_(size).add_(LOG_K)
                return torch.sigmoid(z).sub_(ALPHA).div_(1 - 2 * ALPHA), -spread.flatten(1).sum(1)

            return {"several calls": Peer(several, _arrays)}

        def peers_gradient(given: Any) -> dict[str, Peer]:
            dz, dlogdet, x = map(tensor, given[:3])
            row = dlogdet.reshape(-1, *[1] * (x.ndim - 1))

            def several() -> Any:
                p, q = ALPHA + (1 - 2 * ALPHA) * x, ALPHA + (1 - 2 * ALPHA) * (1 - x)
                return torch.addcmul(dz, row, p - q).mul_(1 - 2 * ALPHA).div_(p * q)

            return {"several calls": Peer(several, lambda dx: dx.numpy())}

        what = "x".join(map(str, shape))
        yield Case("logit", "forward", what, kind, forward, peers_forward)
        yield Case("logit", "of_pixels", what, kind, of_pixels, peers_of_pixels)
        yield Case("logit", "inverse", what, kind, inverse, peers_inverse)
        yield Case("logit", "gradient", what, kind, gradient, peers_gradient)


def plu() -> Iterator[Case]:
    """The matrices of glow's levels, of grey images and of coloured ones; PyTorch's calls by hand."""
    for kind, C, N in (("reference", 4, 64), ("reference", 8, 64), ("large", 48, 64), ("ragged", 13, 37), ("GPU", 96, 256)):

        def factors(C: int = C) -> Any:
            order = Key(5).at("order").permutation(C)
            sign = 1 - 2 * (np.arange(C) % 2).astype(np.float32)
            return normal("A", C, C) / np.float32(2 * C**0.5), np.eye(C, dtype=np.float32)[order], sign

        def forward(N: int = N, factors: Any = factors) -> Any:
            return (*factors(), POSITIONS, N), {}

        def inverse(factors: Any = factors) -> Any:
            A, P, sign = factors()
            U = np.triu(A, 1) + np.diag(sign * np.exp(np.diag(A)))
            return (P @ (np.tril(A, -1) @ U + U), A, P, sign), {}

        def gradient(C: int = C, N: int = N, factors: Any = factors) -> Any:
            return (normal("dW", C, C), normal("dlogdet", N), *factors(), POSITIONS), {}

        def peers_forward(given: Any, N: int = N) -> dict[str, Peer]:
            A, P, sign = map(tensor, given[:3])

            def several() -> Any:
                s = A.diagonal()
                U = torch.triu(A, 1) + torch.diag(sign * s.exp())
                return P @ torch.addmm(U, torch.tril(A, -1), U), (POSITIONS * s.sum()).expand(N)

            return {"several calls": Peer(several, _arrays)}

        def peers_inverse(given: Any) -> dict[str, Peer]:
            W = tensor(given[0])
            return {"inv": Peer(lambda: torch.linalg.inv(W), lambda X: X.numpy())}

        def peers_gradient(given: Any) -> dict[str, Peer]:
            dW, dlogdet, A, P, sign = map(tensor, given[:5])

            def several() -> Any:
                u = sign * A.diagonal().exp()
                L, U, D = torch.tril(A, -1), torch.triu(A, 1) + torch.diag(u), P.T @ dW
                dU = torch.addmm(D, L.T, D)
                on = torch.diag(dU.diagonal() * u + POSITIONS * dlogdet.sum())
                return torch.tril(D @ U.T, -1) + torch.triu(dU, 1) + on

            return {"several calls": Peer(several, lambda dA: dA.numpy())}

        what = f"{C}x{C}, {N} rows"
        yield Case("plu", "forward", what, kind, forward, peers_forward)
        yield Case("plu", "inverse", what, kind, inverse, peers_inverse)
        yield Case("plu", "gradient", what, kind, gradient, peers_gradient)


def flow() -> Iterator[Case]:
    """The likelihood of points, and of the levels of glow; PyTorch's calls by hand."""
    for kind, N, *widths in (
        ("reference", 512, 2),
        ("reference", 64, 392, 392),
        ("large", 512, 1536, 1536),
        ("ragged", 127, 131, 33),
        ("GPU", 1 << 13, 1 << 10, 1 << 10),
    ):

        def loss(N: int = N, widths: Any = widths) -> Any:
            return (normal("logdet", N), *(normal(f"z{i}", N, width) for i, width in enumerate(widths))), {}

        def peers(given: Any) -> dict[str, Peer]:
            logdet, *z = map(tensor, given)
            N, per_row = len(logdet), sum(part[0].numel() for part in z) * LOG_2PI / 2

            def several() -> Any:
                squares = sum(torch.linalg.vector_norm(part).square() for part in z)
                gradients = (torch.full_like(logdet, -1 / N), *(part / N for part in z))
                return squares / (2 * N) + per_row, -logdet.mean(), *gradients

            return {"several calls": Peer(several, lambda made: _arrays(made[2:]))}

        yield Case("flow", "loss", " + ".join(f"{N}x{width}" for width in widths), kind, loss, peers)

"""The losses, samples and couplings that `benchmarks.kernels` times: passes over memory in which exp and log are evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from minigen.random import Key


def gaussian() -> Iterator[Case]:
    """The losses of a Gaussian with both gradients; PyTorch's in as few calls as they take by hand."""
    for kind, *shape in (
        ("reference", 128, 20),
        ("reference", 128, 784),
        ("large", 512, 3072),
        ("ragged", 127, 131),
        ("GPU", 1 << 14, 1 << 10),
    ):

        def loss(shape: Any = shape) -> Any:
            return tuple(normal(name, *shape) for name in ("mean", "logvar", "x")), {}

        def divergence(loss: Any = loss) -> Any:
            return loss()[0][:2], {}

        def peers_loss(given: Any) -> dict[str, Peer]:
            mean, logvar, x = map(tensor, given)
            N = len(mean)

            def several() -> Any:
                error = mean - x
                scaled = torch.exp(-logvar).mul_(error)
                squares = error.mul_(scaled)
                return (logvar.sum() + squares.sum()) / (2 * N), scaled.div_(N), squares.neg_().add_(1).div_(2 * N)

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made[1:]])}

        def peers_divergence(given: Any) -> dict[str, Peer]:
            mean, logvar = map(tensor, given)
            N = len(mean)

            def several() -> Any:
                beyond = torch.expm1(logvar)
                value = (torch.linalg.vector_norm(mean).square() + beyond.sum() - logvar.sum()) / (2 * N)
                return value, mean / N, beyond.div_(2 * N)

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made[1:]])}

        what = "x".join(map(str, shape))
        yield Case("gaussian", "loss", what, kind, loss, peers_loss)
        yield Case("gaussian", "divergence", what, kind, divergence, peers_divergence)


def reparameterize() -> Iterator[Case]:
    """Samples of a Gaussian and the way back, of vae and of the importance-weighted network; PyTorch's calls by hand."""
    for kind, *shape in (
        ("reference", 128, 1, 20),
        ("reference", 100, 50, 50),
        ("large", 20, 5000, 50),
        ("ragged", 31, 7, 33),
        ("GPU", 1 << 12, 64, 64),
    ):

        def sample(shape: Any = shape) -> Any:
            N, _, L = shape
            return (normal("mu", N, L), normal("logvar", N, L), normal("eps", *shape)), {}

        def gradient(shape: Any = shape) -> Any:
            N, _, L = shape
            return (normal("dz", *shape), normal("logvar", N, L), normal("eps", *shape)), {}

        def log_ratio(shape: Any = shape) -> Any:
            N, _, L = shape
            return (normal("logvar", N, L), normal("eps", *shape), normal("z", *shape)), {}

        def peers_sample(given: Any) -> dict[str, Peer]:
            mu, logvar, eps = map(tensor, given)
            several = lambda: torch.addcmul(mu[:, None], torch.exp(0.5 * logvar)[:, None], eps)
            return {"several calls": Peer(several, lambda z: z.numpy())}

        def peers_gradient(given: Any) -> dict[str, Peer]:
            dz, logvar, eps = map(tensor, given)
            several = lambda: (dz.sum(1), torch.exp(0.5 * logvar).mul_(0.5).mul_((dz * eps).sum(1)))
            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        def peers_ratio(given: Any) -> dict[str, Peer]:
            logvar, eps, z = map(tensor, given)
            several = lambda: eps.square().addcmul_(z, z, value=-1).add_(logvar[:, None]).sum(-1).mul_(0.5)
            return {"several calls": Peer(several, lambda ratio: ratio.numpy())}

        what = "x".join(map(str, shape))
        yield Case("reparameterize", "sample", what, kind, sample, peers_sample)
        yield Case("reparameterize", "gradient", what, kind, gradient, peers_gradient)
        yield Case("reparameterize", "log_ratio", what, kind, log_ratio, peers_ratio)


def slopes() -> Iterator[Case]:
    """The slopes of a critic of images and of points, with what is paid for them; PyTorch's calls by hand."""
    for kind, *shape in (("reference", 64, 784), ("large", 512, 3072), ("ragged", 127, 131), ("GPU", 1 << 14, 1 << 10)):

        def excess(shape: Any = shape) -> Any:
            return ("squared_excess", 0.05 * normal("g", *shape)), {"weight": 10.0}

        def peers(given: Any) -> dict[str, Peer]:
            g = tensor(given[1])

            def several() -> Any:
                n = torch.linalg.vector_norm(g.flatten(1), dim=1)
                bend = (20 / len(g)) * (1 - 1 / n)
                return 10 * (n - 1).square().mean(), g * bend.reshape(-1, *[1] * (g.ndim - 1))

            return {"several calls": Peer(several, lambda made: [made[1].numpy()])}

        yield Case("slopes", "paid", "x".join(map(str, shape)), kind, excess, peers)


def affine() -> Iterator[Case]:
    """The affine coupling there and back, and its inverse; PyTorch's calls by hand."""
    for kind, *shape in (("reference", 128, 392), ("large", 512, 3072), ("ragged", 37, 7, 33), ("GPU", 1 << 13, 1 << 11)):

        def forward(shape: Any = shape) -> Any:
            return (normal("b", *shape), normal("h", *shape[:-1], 2 * shape[-1]), 1.0), {}

        def inverse(shape: Any = shape) -> Any:
            return (normal("z", *shape), normal("h", *shape[:-1], 2 * shape[-1]), 1.0), {}

        def gradient(shape: Any = shape) -> Any:
            s = np.tanh(normal("s", *shape))
            return (normal("dz", *shape), normal("dlogdet", shape[0]), normal("b", *shape), s, np.exp(s), 1.0), {}

        def peers_forward(given: Any) -> dict[str, Peer]:
            b, h = map(tensor, given[:2])

            def several() -> Any:
                r, t = h.chunk(2, -1)
                s = torch.tanh(r)
                e = torch.exp(s)
                return torch.addcmul(t, b, e), s.flatten(1).sum(1), s, e

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        def peers_inverse(given: Any) -> dict[str, Peer]:
            z, h = map(tensor, given[:2])

            def several() -> Any:
                r, t = h.chunk(2, -1)
                s = torch.tanh(r)
                return (z - t).mul_(torch.exp(-s)), -s.flatten(1).sum(1)

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        def peers_gradient(given: Any) -> dict[str, Peer]:
            dz, dlogdet, b, s, e = map(tensor, given[:5])
            row = dlogdet.reshape(-1, *[1] * (b.ndim - 1))

            def several() -> Any:
                db = dz * e
                dr = torch.addcmul(row, db, b).mul_(1 - s * s)
                return db, torch.cat((dr, dz), -1)

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        what = "x".join(map(str, shape))
        yield Case("affine", "forward", what, kind, forward, peers_forward)
        yield Case("affine", "inverse", what, kind, inverse, peers_inverse)
        yield Case("affine", "gradient", what, kind, gradient, peers_gradient)


def units() -> Iterator[Case]:
    """The units of rbm, hidden ones summed out; PyTorch's calls by hand."""
    for kind, *shape in (
        ("reference", 128, 500),
        ("reference", 128, 784),
        ("large", 4096, 500),
        ("ragged", 127, 131),
        ("GPU", 1 << 14, 1 << 10),
    ):

        def given(shape: Any = shape) -> Any:
            return (normal("a", *shape), normal("bias", shape[1])), {}

        def of_both(shape: Any = shape) -> Any:
            return (normal("v", *shape), normal("b", shape[1]), normal("a", *shape), normal("c", shape[1])), {}

        def peers_probabilities(given: Any) -> dict[str, Peer]:
            a, bias = map(tensor, given)
            return {"two calls": Peer(lambda: torch.sigmoid(a + bias), lambda p: p.numpy())}

        def peers_summed(given: Any) -> dict[str, Peer]:
            v, b, a, c = map(tensor, given)

            def several() -> Any:
                u = a + c
                return -(v @ b) - F.softplus(u).sum(1), torch.sigmoid(u)

            return {"several calls": Peer(several, lambda made: [part.numpy() for part in made])}

        what = "x".join(map(str, shape))
        yield Case("units", "probabilities", what, kind, given, peers_probabilities)
        yield Case("units", "free_energy", what, kind, of_both, peers_summed)


def bernoulli() -> Iterator[Case]:
    """The reconstruction term of vae and of pixelcnn, with its gradient."""
    for kind, n in (("reference", 128), ("reference", 32), ("batch 1", 1), ("ragged", 37), ("GPU", 1 << 14)):

        def make(n: int = n) -> Any:
            return (normal("logits", n, 784), Key(5).at("x").uniform((n, 784))), {}

        def peers(given: Any) -> dict[str, Peer]:
            logits, x = map(tensor, given)
            both = lambda: (
                F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x),
                torch.sigmoid(logits).sub_(x).div_(len(x)),
            )
            return {"two calls": Peer(both, lambda made: made[1].numpy())}

        yield Case("bernoulli", "loss", f"{n}x784", kind, make, peers)
    for kind, *shape in (("reference", 20, 50, 784), ("ragged", 5, 7, 131), ("GPU", 1 << 8, 64, 784)):

        def rows(shape: Any = shape) -> Any:
            return (normal("logits", *shape), Key(5).at("x").uniform((shape[0], shape[2]))), {}

        def gradient(rows: Any = rows, shape: Any = shape) -> Any:
            return (*rows()[0], normal("dnll", *shape[:2])), {}

        def peers_rows(given: Any) -> dict[str, Peer]:
            z, x = map(tensor, given)
            wide = x[:, None].expand_as(z)
            two = lambda: F.binary_cross_entropy_with_logits(z, wide, reduction="none").sum(-1)
            return {"two calls": Peer(two, lambda nll: nll.numpy())}

        def peers_gradient(given: Any) -> dict[str, Peer]:
            z, x, dnll = map(tensor, given)
            several = lambda: torch.sigmoid(z).sub_(x[:, None]).mul_(dnll[:, :, None])
            return {"several calls": Peer(several, lambda dz: dz.numpy())}

        what = "x".join(map(str, shape))
        yield Case("bernoulli", "rows", what, kind, rows, peers_rows)
        yield Case("bernoulli", "rows_gradient", what, kind, gradient, peers_gradient)


def categorical() -> Iterator[Case]:
    """The labels of a classifier, the levels of grey of pixelcnn, the 256 levels of wavenet; PyTorch's calls by hand."""
    shapes = (
        ("reference", (128,), 10),
        ("reference", (32, 784), 4),
        ("reference", (8, 1024), 256),
        ("batch 1", (1,), 10),
        ("ragged", (127, 3), 131),
        ("GPU", (256, 784), 64),
    )
    for kind, places, classes in shapes:

        def make(places: Any = places, classes: int = classes) -> Any:
            labels = Key(5).at("labels").integers(classes, int(np.prod(places))).reshape(places)
            return (normal("logits", *places, classes), labels), {}

        def peers(given: Any) -> dict[str, Peer]:
            logits, labels = tensor(given[0]).flatten(0, -2), tensor(given[1]).flatten()
            N, at = len(given[1]), torch.arange(given[1].size)

            def several() -> Any:
                log_p = F.log_softmax(logits, -1)
                value, dlogits = F.nll_loss(log_p, labels, reduction="sum") / N, log_p.exp_()
                dlogits[at, labels] -= 1
                return value, dlogits.div_(N)

            return {"several calls": Peer(several, lambda made: made[1].numpy().reshape(given[0].shape))}

        yield Case("categorical", "loss", "x".join(map(str, (*places, classes))), kind, make, peers)


def squares() -> Iterator[Case]:
    """The squared error of autoencoder, of flow_matching on images and on points."""
    for kind, *shape in (
        ("reference", 128, 784),
        ("reference", 64, 784),
        ("reference", 256, 2),
        ("large", 512, 3072),
        ("ragged", 127, 131),
        ("GPU", 1 << 14, 1024),
    ):

        def make(shape: Any = shape) -> Any:
            return (normal("y", *shape), normal("target", *shape)), {}

        def peers(given: Any) -> dict[str, Peer]:
            y, target = map(tensor, given)

            def several() -> Any:
                error = y - target
                return torch.linalg.vector_norm(error).square() / error.numel(), error.mul_(2 / error.numel())

            return {"several calls": Peer(several, lambda made: made[1].numpy())}

        yield Case("squares", "loss", "x".join(map(str, shape)), kind, make, peers)


def games() -> Iterator[Case]:
    """The logits of a batch of gan; PyTorch's calls by hand."""
    slopes = {"cross_entropy": lambda l: torch.sigmoid(l).sub_(1), "hinge": lambda l: -(l < 1).float()}
    values = {"cross_entropy": lambda l: F.softplus(-l).mean(), "hinge": lambda l: F.relu(1 - l).mean()}
    for kind, n in (("reference", 64), ("batch 1", 1), ("ragged", 127), ("GPU", 512)):
        for side, a in (("cross_entropy", 1.0), ("hinge", -1.0)):

            def make(n: int = n, side: str = side, a: float = a) -> Any:
                return (side, normal("logits", n, 1), a), {}

            def peers(given: Any) -> dict[str, Peer]:
                side, l = given[0], tensor(given[1])
                both = lambda: (values[side](l), slopes[side](l).div_(l.numel()))
                return {"several calls": Peer(both, lambda made: made[1].numpy())}

            yield Case("games", "loss", f"{side} {n}", kind, make, peers)

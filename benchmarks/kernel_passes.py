"""The passes over memory that `benchmarks.kernels` times: what is as fast as its numbers arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from minigen.random import Key, _words


def adam() -> Iterator[Case]:
    """The update of all parameters of vae and realnvp, against PyTorch's fused one."""
    for kind, n in (("reference", 652_824), ("reference", 5_196_384), ("ragged", 12_347)):

        def make(n: int = n) -> Any:
            theta, grad, m = (normal(name, n) for name in ("theta", "grad", "m"))
            options = {"rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "t": 10}
            return (theta, grad, 0.1 * m, 0.01 * m**2), options

        def peers(given: Any) -> dict[str, Peer]:
            theta, grad, m, v = ([tensor(x.copy())] for x in given)
            step = [torch.tensor(10.0)]
            fused = lambda: torch._fused_adam_(
                theta, grad, m, v, [], step, lr=1e-3, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8,
                amsgrad=False, maximize=False,
            )  # fmt: skip
            return {"fused": Peer(fused, lambda _: [x[0].numpy() for x in (theta, m, v)])}

        yield Case("adam", "step", f"{n:,} parameters", kind, make, peers, changes=(0, 2, 3))


def bernoulli() -> Iterator[Case]:
    """The reconstruction term of vae and of pixelcnn, with its gradient."""
    for kind, n in (("reference", 128), ("reference", 32), ("batch 1", 1), ("ragged", 37)):

        def make(n: int = n) -> Any:
            return (normal("logits", n, 784), Key(5).at("x").uniform((n, 784))), {}

        def peers(given: Any) -> dict[str, Peer]:
            logits, x = map(tensor, given)
            both = lambda: (
                F.binary_cross_entropy_with_logits(logits, x, reduction="sum"),
                torch.sigmoid(logits).sub_(x),
            )
            return {"two calls": Peer(both, lambda made: made[1].numpy())}

        yield Case("bernoulli", "loss", f"{n}x784", kind, make, peers)


def philox() -> Iterator[Case]:
    """Random numbers; PyTorch's are of another generator, so they pass no gate."""
    for function, theirs in (("uniform", torch.rand), ("normal", torch.randn)):
        for kind, n in (("reference", 128 * 784), ("reference", 64 * 100), ("large", 1 << 22)):

            def make(n: int = n) -> Any:
                return (_words(Key(5).at("noise")), n, np.dtype(np.float32)), {}

            def peers(given: Any, theirs: Any = theirs) -> dict[str, Peer]:
                out = torch.empty(given[1])
                return {theirs.__name__: Peer(lambda: theirs(given[1], out=out))}

            yield Case("philox", function, f"{n:,} numbers", kind, make, peers)

"""The comparisons of rows that `benchmarks.kernels` times, and PyTorch's calls for the four passes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.kernel_cases import Case, Peer, normal, tensor


def pairs() -> Iterator[Case]:
    """Those of gan's D on points, and of a wide one."""
    for kind, *shape in (("reference", 128, 4, 4), ("large", 256, 16, 4), ("ragged", 37, 3, 5), ("GPU", 512, 16, 4)):
        m, m_dot = (partial(normal, name, *shape) for name in ("m", "m_dot"))
        do, do_dot = (partial(normal, name, *shape[:2]) for name in ("do", "do_dot"))
        passes: Any = (
            (forward, (m,)),
            (gradient, (do, m)),
            (tangent, (m_dot, m)),
            (gradient_dot, (do, do_dot, m_dot, m)),
        )
        for function, given in passes:

            def make(given: Any = given) -> Any:
                return tuple(draw() for draw in given), {}

            def peers(given: Any, function: Any = function) -> dict[str, Peer]:
                tensors = list(map(tensor, given))
                return {"several calls": Peer(lambda: function(*tensors), lambda made: [part.numpy() for part in made])}

            yield Case("pairs", function.__name__, "x".join(map(str, shape)), kind, make, peers)


def forward(m: Any) -> Any:
    """o (N, B) of m (N, B, E), in a tuple as all that follow."""
    return (near(m)[0].sum(1),)


def gradient(do: Any, m: Any) -> Any:
    """dm."""
    return (gathered(do, *near(m)),)


def tangent(m_dot: Any, m: Any) -> Any:
    """o_dot."""
    return (turned(m_dot, *near(m)).sum(1),)


def gradient_dot(do: Any, do_dot: Any, m_dot: Any, m: Any) -> Any:
    """dm, dm_dot."""
    k, sign = near(m)
    return gathered(do, k, sign), gathered(do, turned(m_dot, k, sign), sign) + gathered(do_dot, k, sign)


def near(m: Any) -> Any:
    """k (N, N, B), and the signs (N, N, B, E)."""
    apart = m[:, None] - m
    return torch.exp(-apart.abs().sum(-1)), torch.sign(apart)


def turned(m_dot: Any, k: Any, sign: Any) -> Any:
    """k_dot."""
    return -k * (sign * (m_dot[:, None] - m_dot)).sum(-1)


def gathered(do: Any, k: Any, sign: Any) -> Any:
    """The way back from k's row sums."""
    return -((k * (do[:, None] + do))[..., None] * sign).sum(1)

"""Attention, as `benchmarks.kernels` times it, against what PyTorch chooses, and its flash attention for CPUs by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from minigen.kernels import attention as kernel

aten = torch.ops.aten


def attention() -> Iterator[Case]:
    """ddpm's, over 7 x 7 pixels, and heads over a sequence."""
    for kind, B, T, d, causal in (
        ("reference", 32, 49, 64, False),
        ("reference", 64, 128, 32, True),
        ("ragged", 3, 77, 19, False),
        ("batch 1", 1, 49, 64, False),
        ("large", 8, 1024, 64, False),
        ("GPU", 64, 1024, 64, False),
        ("GPU", 64, 1024, 64, True),
    ):
        shape = f"{B}x{T}x{d}{', causal' * causal}"
        yield Case("attention", "forward", shape, kind, partial(ahead, B, T, d, causal), partial(peers_ahead, causal))
        yield Case("attention", "gradient", shape, kind, partial(back, B, T, d, causal), partial(peers_back, causal))


def ahead(B: int, T: int, d: int, causal: bool) -> Any:
    """q, k, v."""
    return tuple(normal(name, B, T, d) for name in "qkv"), {"causal": causal}


def back(B: int, T: int, d: int, causal: bool) -> Any:
    """dy, q, k, v, and what forward gives."""
    (q, k, v), options = ahead(B, T, d, causal)
    return (normal("dy", B, T, d), q, k, v, *kernel.forward(q, k, v, causal=causal)), options


def peers_ahead(causal: bool, given: Any) -> dict[str, Peer]:
    """One head a row."""
    q, k, v = (tensor(x)[:, None] for x in given)
    chosen = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    peers = {"chosen": Peer(chosen, lambda y: [y[:, 0].numpy(), None])}  # it keeps log_sum to itself
    if q.device.type == "cpu":
        call = lambda: aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal)
        peers["flash"] = Peer(call, lambda made: [part[:, 0].numpy() for part in made])
    return peers


def peers_back(causal: bool, given: Any) -> dict[str, Peer]:
    """The same; it takes what its own forward has kept."""
    dy, q, k, v, _, _ = (tensor(x)[:, None] for x in given)
    result = lambda made: [part[:, 0].numpy() for part in made]
    learning = [x.detach().requires_grad_() for x in (q, k, v)]
    with torch.enable_grad():
        kept = F.scaled_dot_product_attention(learning[0], learning[1], learning[2], is_causal=causal)
    peers = {"chosen": Peer(lambda: torch.autograd.grad(kept, learning, dy, retain_graph=True), result)}
    if q.device.type == "cpu":
        y, log_sum = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal)
        call = lambda: aten._scaled_dot_product_flash_attention_for_cpu_backward(dy, q, k, v, y, log_sum, 0.0, causal)
        peers["flash"] = Peer(call, result)
    return peers

"""What `benchmarks.kernels` times between the layers: sums of branches, shifts, halves and joined halves, rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.kernel_cases import Case, Peer, normal, tensor
from minigen.random import Key


def combine() -> Iterator[Case]:
    """The U-Net of ddpm at its widest, its shifts by the time, its joins; half of each row of realnvp."""
    for kind, shape in (
        ("reference", (64, 28, 28, 16)),
        ("reference", (64, 14, 14, 32)),
        ("ragged", (13, 7, 9, 5)),
        ("GPU", (256, 64, 64, 32)),
    ):
        N, *_, C = shape

        def branches(shape: Any = shape) -> Any:
            return (normal("x", *shape), normal("z", *shape)), {}

        def shift(shape: Any = shape, N: int = N, C: int = C) -> Any:
            return (normal("x", *shape), normal("s", N, 1, 1, C)), {}

        def joined(shape: Any = shape) -> Any:
            return ([normal("x", *shape), normal("z", *shape)], -1), {}

        def parted(shape: Any = shape, C: int = C) -> Any:
            return (normal("x", *shape), (C // 2, C - C // 2)), {}

        what = "x".join(map(str, shape))
        yield Case("combine", "add", what, kind, branches, summed)
        yield Case("combine", "add", f"{what}, shifted", kind, shift, summed)
        yield Case("combine", "concatenate", what, kind, joined, beside)
        yield Case("combine", "split", what, kind, parted, halves)
    for kind, rows, columns in (("reference", 128, 784), ("ragged", 37, 35), ("GPU", 1 << 14, 4096)):

        def half(rows: int = rows, columns: int = columns) -> Any:
            return (normal("x", rows, columns)[:, columns // 2 :],), {}

        yield Case("combine", "add", f"half of {rows}x{columns}", kind, half, copied)


def rows() -> Iterator[Case]:
    """The levels of wavenet, and symbols of a large alphabet."""
    for kind, n, V, W in (("reference", 8192, 257, 32), ("ragged", 177, 11, 19), ("GPU", 1 << 17, 1024, 128)):

        def take(n: int = n, V: int = V, W: int = W) -> Any:
            return (normal("table", V, W), Key(5).integers(V, n)), {}

        def put(n: int = n, V: int = V, W: int = W) -> Any:
            ids = Key(5).permutation(V)[: max(1, V // 2)]
            return (normal("table", V, W), ids, normal("rows", len(ids), W)), {}

        def add_up(n: int = n, V: int = V, W: int = W) -> Any:
            return (Key(5).integers(V, n), normal("dy", n, W), V), {}

        def peers_take(given: Any) -> dict[str, Peer]:
            table, ids = map(tensor, given)
            return {"embedding": Peer(lambda: F.embedding(ids, table), as_it_is)}

        def peers_put(given: Any) -> dict[str, Peer]:
            table, ids, values = map(tensor, given)
            table = table.clone()
            return {"index_copy_": Peer(lambda: table.index_copy_(0, ids, values), as_it_is)}

        def peers_add_up(given: Any) -> dict[str, Peer]:
            ids, dy, V = tensor(given[0]), tensor(given[1]), given[2]
            back = lambda: torch.ops.aten.embedding_dense_backward(dy, ids, V, -1, False)
            return {"embedding's": Peer(back, as_it_is)}

        what = f"{n} of {V}x{W}"
        yield Case("rows", "take", what, kind, take, peers_take)
        yield Case("rows", "put", what, kind, put, peers_put, changes=(0,))
        yield Case("rows", "add_up", what, kind, add_up, peers_add_up)


def summed(given: Any) -> dict[str, Peer]:
    """x + z."""
    x, z = map(tensor, given)
    return {"+": Peer(lambda: x + z, as_it_is)}


def beside(given: Any) -> dict[str, Peer]:
    """torch.cat."""
    parts = [tensor(x) for x in given[0]]
    return {"cat": Peer(lambda: torch.cat(parts, -1), as_it_is)}


def halves(given: Any) -> dict[str, Peer]:
    """Views that are copied."""
    x, sizes = tensor(given[0]), list(given[1])
    apart = lambda: [part.contiguous() for part in x.split(sizes, -1)]
    return {"split, contiguous": Peer(apart, lambda made: [part.numpy() for part in made])}


def copied(given: Any) -> dict[str, Peer]:
    """x.contiguous()."""
    half = tensor(np.ascontiguousarray(given[0]))
    x = torch.cat((half, half), 1)[:, : half.shape[1]]
    return {"contiguous": Peer(lambda: x.contiguous(), as_it_is)}


as_it_is: Callable[[Any], Any] = lambda made: made.numpy()

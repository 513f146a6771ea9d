"""What `benchmarks.kernels` and `benchmarks.gpu` time: an operation at a shape, and PyTorch's kernel; here the matrix products.

Every case has the arguments of one function of one ladder in float32, and one or more calls of PyTorch that compute the same;
the best of them is the opponent (its memory formats, for images). What a peer returns is brought into our layout by `result`,
so that it has to pass the same gate. Kinds of shapes: `reference` (those of the reference configurations), `ragged` (no
multiple of any tile), `batch 1`, `large`, and `GPU` (large for a GPU, and timed on one only).

PyTorch's tensors lie on its default device. So peers are made on a GPU where they are made `with torch.device("cuda")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from minigen.backend import Array
from minigen.random import Key

Call = Callable[[], Any]


@dataclass
class Peer:
    """One call of PyTorch."""

    call: Call
    result: Callable[[Any], Any] | None = None  # of its value on the host: in our layout; None where it draws other numbers

    def value(self) -> list[Any] | None:
        """What a call makes, in our layout: arrays, and None for what it does not make."""
        made = on_host(self.call())
        if self.result is None:
            return None
        value = self.result(made)
        return value if isinstance(value, list) else [np.ascontiguousarray(value)]


@dataclass
class Case:
    """One function of one ladder at one shape."""

    operation: str  # "conv2d"
    function: str  # "forward"
    shape: str  # for the reader
    kind: str
    make: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]  # the arguments, drawn anew
    peers: Callable[[tuple[Any, ...]], dict[str, Peer]]  # of those arguments
    changes: tuple[int, ...] = ()  # positions of the arguments that the function changes in place
    same_bits: bool = False  # as on every other rung and device
    blas: tuple[int, ...] = field(default=())  # (M, K, N, transpose_a, transpose_b): what NumPy is to multiply

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.operation}.{self.function}"


def normal(name: str, *shape: int) -> Array:
    """Numbers that do not change from run to run."""
    return Key(5).at(name).normal(shape)


def tensor(x: Array) -> Any:
    """PyTorch's: the same memory on the CPU, a copy on a GPU."""
    return torch.as_tensor(x)


def on_host(made: Any) -> Any:
    """The tensors that a call made."""
    if isinstance(made, torch.Tensor):
        return made.cpu()
    return type(made)(map(on_host, made)) if isinstance(made, tuple | list) else made


# ---- matrix products

PRODUCTS = (
    # kind, M, K, N, transpose_a, transpose_b
    ("reference", 128, 784, 400, 0, 0),  # vae: into the hidden layer
    ("reference", 128, 400, 784, 0, 0),
    ("reference", 128, 784, 400, 0, 1),  # and its way back
    ("reference", 400, 128, 784, 1, 0),
    ("reference", 128, 20, 400, 0, 0),
    ("reference", 64, 1024, 784, 0, 0),  # gan: the widest layers
    ("reference", 64, 784, 1024, 0, 1),
    ("reference", 1024, 64, 784, 1, 0),
    ("reference", 64, 256, 512, 0, 0),
    ("reference", 64, 100, 6272, 0, 0),  # dcgan: the dense layer
    ("reference", 128, 512, 784, 0, 0),  # realnvp
    ("reference", 512, 128, 512, 1, 0),
    ("reference", 128, 500, 784, 0, 1),  # rbm
    ("reference", 784, 128, 500, 1, 0),
    ("reference", 1568, 64, 192, 0, 0),  # ddpm: queries, keys and values of 7 x 7 pixels
    ("ragged", 127, 129, 131, 0, 0),
    ("ragged", 65, 333, 77, 0, 1),
    ("ragged", 77, 65, 333, 1, 0),
    ("batch 1", 1, 784, 400, 0, 0),
    ("batch 1", 1, 784, 400, 0, 1),
    ("batch 1", 784, 1, 400, 1, 0),
    ("large", 1024, 1024, 1024, 0, 0),
    ("large", 2048, 1536, 1024, 0, 1),
    ("GPU", 256, 256, 256, 0, 0),
    ("GPU", 4096, 4096, 4096, 0, 0),
    ("GPU", 4096, 4096, 4096, 0, 1),
    ("GPU", 4096, 4096, 4096, 1, 0),
    ("GPU", 1000, 777, 333, 0, 0),
    ("GPU", 4095, 2049, 1023, 0, 0),
)


def products() -> Iterator[Case]:
    """c = a b with either factor stored the other way round."""
    for kind, m, k, n, ta, tb in PRODUCTS:

        def make(m: int = m, k: int = k, n: int = n, ta: int = ta, tb: int = tb) -> Any:
            a, b = normal("a", *((k, m) if ta else (m, k))), normal("b", *((n, k) if tb else (k, n)))
            return (a, b), {"transpose_a": bool(ta), "transpose_b": bool(tb), "out": np.empty((m, n), np.float32)}

        def peers(given: Any, m: int = m, n: int = n, ta: int = ta, tb: int = tb) -> dict[str, Peer]:
            a, b = (tensor(x).T if t else tensor(x) for x, t in zip(given, (ta, tb), strict=True))
            c = torch.empty(m, n)
            return {"mm": Peer(lambda: torch.mm(a, b, out=c), lambda c: c.numpy())}

        shape = f"{m}x{k}{'T' if ta else ''} * {k}x{n}{'T' if tb else ''}"
        yield Case("matmul", "matmul", shape, kind, make, peers, blas=(m, k, n, ta, tb))

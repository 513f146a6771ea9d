"""The kernels that `benchmarks.gpu` measures: the cases of `benchmarks.kernels`, and lesson 10's ladder.

One list of operations serves both devices: what is timed on a CPU is timed on a GPU, against the same calls of PyTorch, whose
results pass the same gate; a GPU has larger sizes beside those. Products run in three precisions, convolutions in two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch

from benchmarks import kernels
from benchmarks.gpu_device import Row
from benchmarks.kernel_cases import PRODUCTS, Case, Peer, normal, tensor
from minigen.kernels import PRECISIONS, rungs
from minigen.kernels.matmul import cuda as ladder
from minigen.kernels.tally import MULTIPLICATIONS

ROUNDED = {"matmul": PRECISIONS, "conv2d": ("float32", "tf32"), "masked_conv2d": ("float32", "tf32")}
SIDE = max(m for _, m, k, n, *_ in PRODUCTS if m == k == n)  # of the largest square product, which the targets are about


@dataclass
class Kernel:
    """One function at one size, on both sides."""

    operation: str
    shape: str
    kind: str  # of shape, as in `kernel_cases.py`
    make: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]  # the arguments, on the host
    ours: Callable[..., Any]
    exact: Callable[..., Any]  # of the arguments in float64, on the host
    peers: Callable[[tuple[Any, ...], str], dict[str, Peer]]  # of the arguments, and a precision
    precisions: tuple[str, ...] = ("float32",)
    changes: tuple[int, ...] = ()  # positions of the arguments that it changes in place
    same_bits: bool = False  # as on the CPU

    @property
    def rows(self) -> list[Row]:
        """What it fills."""
        return [Row(self.operation, self.shape, precision) for precision in self.precisions]

    @property
    def moves(self) -> bool:
        """Whether it is as fast as memory: everything that multiplies no matrices."""
        return self.operation.partition(",")[0] not in (*MULTIPLICATIONS, "matmul")


def kernel_cases() -> Iterator[Kernel]:
    """All operations at all sizes."""
    for make in kernels.MAKERS:
        yield from map(of_table, make())


def drawn(shapes: dict[str, tuple[int, ...]]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of these shapes, and no options."""
    return tuple(normal(name, *shape) for name, shape in shapes.items()), {}


def of_table(case: Case) -> Kernel:
    """A case of the CPU's table."""
    call = getattr(import_module(f"minigen.kernels.{case.operation}"), case.function)

    def exact(*arguments: Any, **options: Any) -> Any:
        with rungs("definition"):
            return call(*arguments, **options)

    def peers(given: tuple[Any, ...], precision: str) -> dict[str, Peer]:
        return case.peers(given) if precision != "bf16" else in_bf16(given, *map(bool, case.blas[3:]))

    return Kernel(
        case.name,
        case.shape,
        case.kind,
        case.make,
        call,
        exact,
        peers,
        ROUNDED.get(case.operation, ("float32",)),
        case.changes,
        case.same_bits,
    )


def in_bf16(given: tuple[Any, ...], transpose_a: bool, transpose_b: bool) -> dict[str, Peer]:
    """The product of factors that lie in bfloat16, as c does; ours read float32."""
    a, b = (tensor(x).to(torch.bfloat16) for x in given)
    a, b = a.T if transpose_a else a, b.T if transpose_b else b
    return {"mm": Peer(lambda: torch.mm(a, b), lambda c: c.float().numpy())}


def ladder_cases(side: int = SIDE) -> Iterator[Kernel]:
    """The ladder of lesson 10: every rung that teaches, against the library's product in float32."""
    found: list[Any] = []

    def exact(a: Any, b: Any) -> Any:
        if not found:
            found.append(a @ b)
        return found[0]

    draw = partial(drawn, {"a": (side, side), "b": (side, side)})
    peers = lambda given, _: {"mm": Peer(partial(torch.mm, *map(tensor, given)), lambda c: c.numpy())}
    for rung in ladder.TEACHING:
        shape = f"{side}x{side} * {side}x{side}"
        yield Kernel(f"matmul, {rung}", shape, "GPU", draw, partial(ladder.teach, rung), exact, peers)

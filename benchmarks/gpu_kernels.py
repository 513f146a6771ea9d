"""A kernel on a GPU: right first, then fast, on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from benchmarks.gpu_cases import Kernel
from benchmarks.gpu_device import NO_TORCH, Device, Row, timed
from benchmarks.guard import relative_error
from benchmarks.kernel_cases import Call, Peer
from benchmarks.rungs import wide
from minigen import backend
from minigen.backend import Array

# Of the error's norm, of sums of up to 8192 products and less.
BOUNDS = {"float32": 3e-6, "tf32": 1e-3, "bf16": 6e-3}
# Of a spline, whose slopes have as many u as the reach is wider than a bin: its definition in float32 is off by 8e-6.
SPLINES = 2e-5
# A peer beyond these computes something else, or in another precision: TF32 in place of float32 is off by 3e-4.
PEERS = {"float32": 1e-4, "tf32": 2e-3, "bf16": 1e-2}


def measured(kernel: Kernel, device: Device, runs: int = 7) -> Iterator[Row]:
    """A row for each precision."""
    arguments, options = kernel.make()
    widen = (lambda x: x) if kernel.same_bits else wide
    given = [widen(x) for x in arguments]
    made = kernel.exact(*given, **{name: widen(x) for name, x in options.items() if name != "out"})
    exact = numbers(kernel, tuple(given), made)
    spared = device.torch.no_grad() if device.torch else nullcontext()  # PyTorch takes nothing down for a way back
    for row in kernel.rows:
        with device.precision(row.precision), spared:
            fill(row, kernel, device, (arguments, options), exact, runs)
        yield row


def fill(row: Row, kernel: Kernel, device: Device, drawn: Any, exact: list[Array], runs: int) -> None:
    """In the precision that this is called within."""
    arguments, options = drawn
    there = tuple(placed(x, device) for x in arguments)
    named = {name: placed(x, device) for name, x in options.items()}
    returned = kernel.ours(*there, **named)
    outputs = numbers(kernel, there, returned)
    row.error = error(outputs, exact, kernel.same_bits)
    bound = bound_of(kernel, row.precision)
    if not row.error <= bound:
        row.note = f"WRONG: error {row.error:.1e} above {bound:.0e}"
        return
    theirs, row.note = peers(kernel, arguments, row.precision, device, exact)
    times = timed(device, {"ours": lambda: kernel.ours(*there, **named), **theirs}, runs)
    ours, others = times.pop("ours"), times.values()
    row.ours_ms, row.ours_gpu_ms = ours.ms, ours.gpu_ms
    row.peer_ms = min((one.ms for one in others), default=None)
    row.peer_gpu_ms = min((one.gpu_ms for one in others if one.gpu_ms is not None), default=None)
    if kernel.moves and device.copied:
        moved = sum(x.nbytes for x in arguments if isinstance(x, np.ndarray)) + sum(x.nbytes for x in outputs)
        row.of_copy = moved / (ours.gpu_ms or ours.ms) * 1e3 / device.copied


def bound_of(kernel: Kernel, precision: str) -> float:
    """The largest error that is let pass."""
    if kernel.same_bits:
        return 0.0
    return SPLINES if kernel.operation.startswith("spline.") else BOUNDS[precision]


def placed(x: Any, device: Device) -> Any:
    """An argument where our kernels find it."""
    return device.to(x) if isinstance(x, np.ndarray) else x


def numbers(kernel: Kernel, arguments: tuple[Any, ...], made: Any) -> list[Array]:
    """What a call made, on the host: what it changed in place, and what it returned."""
    returned = made if isinstance(made, tuple | list) else [made]
    changed = [arguments[i] for i in kernel.changes]
    return [np.asarray(backend.to_device(x, "cpu")) for x in (*changed, *returned) if x is not None]


def error(outputs: list[Array], exact: list[Array], same_bits: bool) -> float:
    """The largest relative error by norm; of bits, 0 or infinity."""
    pairs = list(zip(outputs, exact, strict=True))
    if same_bits:
        return 0.0 if all(map(np.array_equal, *zip(*pairs, strict=True))) else float("inf")
    return max(relative_error(got, expected) for got, expected in pairs)


def peers(
    kernel: Kernel, arguments: tuple[Any, ...], precision: str, device: Device, exact: list[Array]
) -> tuple[dict[str, Call], str]:
    """PyTorch's calls, and why there are fewer than there could be. What is off, or fails, is no peer."""
    if device.torch is None:
        return {}, NO_TORCH
    calls, note = {}, ""
    try:
        with device.torch.device(device.where):
            made = kernel.peers(arguments, precision)
        for name, peer in made.items():
            if (off := off_by(peer, exact)) <= PEERS[precision]:
                calls[name] = peer.call
            else:
                note = f"peer unmeasured: {name} is off by {off:.1e}, allowed is {PEERS[precision]:.0e}"
    except Exception as error:
        if device.failed():
            raise
        note = f"peer unmeasured: {type(error).__name__}: {error}"
    return calls, note


def off_by(peer: Peer, exact: list[Array]) -> float:
    """How far a peer is from the exact result, of which it may leave parts out; 0 where it draws other numbers."""
    if (value := peer.value()) is None:
        return 0.0
    expected = [x for x in exact if x.ndim]  # a loss's value is one of the parts that stay out
    return max(relative_error(got, x) for got, x in zip(value, expected, strict=True) if got is not None)

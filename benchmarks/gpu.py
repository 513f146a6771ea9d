"""Our CUDA kernels on a GPU: are they right, and how fast beside PyTorch's?

    python -m benchmarks.gpu [--json] [--minutes 8]

Correctness first: every kernel at every size against float64 on the CPU, by norm. What is wrong is not timed. Then time, both
sides in turn in one run, warm, the median of several; the same precision on both sides, and named. Random data, ragged sizes
too. One table last: what could not be measured (no GPU, no PyTorch, no time left, not written yet) stands in it as unmeasured,
with the reason. Ends with 1 where nothing could be measured or anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minigen import backend
from minigen.kernels import activation, conv2d, matmul, rungs
from minigen.kernels.cuda import tiling
from minigen.random import Key

BOUNDS = {"float32": 3e-6, "tf32": 1e-3, "bf16": 6e-3}  # of the error's norm, for sums of up to 8192 products
SIZES = ((256, 256, 256), (1024, 1024, 1024), (4096, 4096, 4096), (1000, 333, 777), (4095, 1023, 2049))
Images = tuple[tuple[tuple[int, int, int, int], int, int, int, int], ...]
IMAGES: Images = (  # x, side of the kernel, channels out, stride, padding
    ((64, 28, 28, 64), 3, 64, 1, 1),
    ((64, 14, 14, 128), 4, 256, 2, 1),
    ((128, 16, 16, 128), 3, 128, 1, 1),
    ((64, 28, 28, 1), 4, 64, 2, 1),
)
NOT_WRITTEN = ("captured training step", "proof on CuPy arrays")


@dataclass
class Case:
    """One kernel at one size, on both sides."""

    operation: str
    shape: str
    precision: str
    arrays: tuple[Any, ...]
    ours: Callable[..., Any]
    exact: Callable[..., Any]  # of float64 arrays on the CPU
    peer: Callable[[Any, tuple[Any, ...]], Callable[[], Any]]  # of torch and arrays: the call to time


@dataclass
class Row:
    """One line of the table; None where it was not measured, and `note` says why."""

    operation: str
    shape: str
    precision: str
    error: float | None = None
    ours_ms: float | None = None
    peer_ms: float | None = None
    note: str = ""

    @property
    def of_peer(self) -> float | None:
        """Our speed as a share of the peer's."""
        return self.peer_ms / self.ours_ms if self.ours_ms and self.peer_ms else None


@dataclass
class Device:
    """Where our arrays go, and how to wait for it."""

    to: Callable[[Any], Any]
    wait: Callable[[], object]
    torch: Any = None


def matrix_cases(sizes: tuple[tuple[int, int, int], ...] = SIZES) -> Iterator[Case]:
    """Products in the three precisions."""
    for m, n, k in sizes:
        a, b = Key(m).normal((m, k)), Key(n).normal((k, n))
        for precision in tiling.PRECISIONS:
            kind = "bfloat16" if precision == "bf16" else "float32"

            def peer(torch: Any, arrays: tuple[Any, ...], kind: str = kind) -> Callable[[], Any]:
                there = [torch.as_tensor(x, device="cuda").to(getattr(torch, kind)) for x in arrays]
                return lambda: torch.mm(*there)

            yield Case("matmul", f"{m} x {n} x {k}", precision, (a, b), matmul.matmul, np.matmul, peer)


def image_cases(images: Images = IMAGES) -> Iterator[Case]:
    """Convolutions, forward and both gradients, against float32 and tf32."""
    for shape, size, outputs, stride, padding in images:
        x, w = Key(1).normal(shape), Key(2).normal((size, size, shape[3], outputs))
        out = (shape[1] + 2 * padding - size) // stride + 1
        dy = Key(3).normal((shape[0], out, (shape[2] + 2 * padding - size) // stride + 1, outputs))
        where = {"stride": stride, "padding": padding}
        calls: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {
            "forward": ((x, w), lambda x, w, o=where: conv2d.forward(x, w, **o)),
            "input gradient": ((dy, w), lambda dy, w, s=shape, o=where: conv2d.input_gradient(dy, w, s, **o)),
            "weight gradient": ((x, dy), lambda x, dy, k=size, o=where: conv2d.weight_gradient(x, dy, (k, k), **o)),
        }
        for (name, (arrays, call)), precision in ((c, p) for c in calls.items() for p in ("float32", "tf32")):

            def peer(torch: Any, arrays: Any, of: Any = (name, shape, size, where)) -> Callable[[], Any]:
                return _torch_conv(torch, arrays, *of)

            title = f"{' x '.join(map(str, shape))}, {outputs} by {size} x {size}, stride {stride}"
            yield Case(f"conv2d {name}", title, precision, arrays, call, call, peer)


def _torch_conv(torch: Any, arrays: Any, name: str, shape: Any, size: int, where: Any) -> Callable[[], Any]:
    channels_last = torch.channels_last
    first, second = (torch.as_tensor(x, device="cuda") for x in arrays)
    first = first.permute(0, 3, 1, 2).contiguous(memory_format=channels_last)
    order = (0, 3, 1, 2) if name == "weight gradient" else (3, 2, 0, 1)
    second = second.permute(*order).contiguous(memory_format=channels_last)
    grad = torch.nn.grad
    if name == "forward":
        return lambda: torch.nn.functional.conv2d(first, second, **where)
    if name == "input gradient":
        return lambda: grad.conv2d_input((shape[0], shape[3], *shape[1:3]), second, first, **where)
    return lambda: grad.conv2d_weight(first, (second.shape[1], shape[3], size, size), second, **where)


def memory_cases(numbers: int = 1 << 24) -> Iterator[Case]:
    """What is bound by memory."""
    x = Key(5).normal(numbers)
    silu = lambda x: activation.forward("silu", x)

    def peer(torch: Any, arrays: tuple[Any, ...]) -> Callable[[], Any]:
        there = torch.as_tensor(arrays[0], device="cuda")
        return lambda: torch.nn.functional.silu(there)

    yield Case("silu", str(numbers), "float32", (x,), silu, silu, peer)


def error_of(case: Case, device: Device) -> float:
    """The relative error by norm; NaN where the result holds one."""
    with tiling.precision(case.precision):
        got = backend.to_device(case.ours(*map(device.to, case.arrays)), "cpu").astype(np.float64)
    with rungs("numba" if case.operation.startswith("conv2d") else "definition"):
        exact = case.exact(*(x.astype(np.float64) for x in case.arrays))
    return float(np.linalg.norm(got - exact) / np.linalg.norm(exact))


def measured(case: Case, device: Device, runs: int = 7) -> Row:
    """Right first, then fast."""
    row = Row(case.operation, case.shape, case.precision)
    row.error = error_of(case, device)
    if not row.error <= BOUNDS[case.precision]:
        row.note = f"WRONG: error {row.error:.1e} above {BOUNDS[case.precision]:.0e}"
        return row
    arrays = tuple(map(device.to, case.arrays))
    peer: Callable[[], Any] | None = None
    times: tuple[list[float], list[float]] = [], []
    if device.torch is None:
        row.note = "peer unmeasured: no PyTorch with CUDA"
    else:
        device.torch.backends.cuda.matmul.allow_tf32 = device.torch.backends.cudnn.allow_tf32 = case.precision == "tf32"
        peer = case.peer(device.torch, case.arrays)
    with tiling.precision(case.precision):
        for run in range(runs + 2):
            sides = ((times[0], lambda: case.ours(*arrays)), *(((times[1], peer),) if peer else ()))
            for kept, call in sides:
                device.wait()
                start = time.perf_counter()
                for _ in range(5):
                    call()
                device.wait()
                if run >= 2:  # warm
                    kept.append((time.perf_counter() - start) / 5 * 1e3)
    row.ours_ms = float(np.median(times[0]))
    row.peer_ms = float(np.median(times[1])) if peer else None
    return row


def table(cases: Iterator[Case], device: Device | None, minutes: float, reason: str = "") -> list[Row]:
    """All rows, within the time."""
    end, rows = time.monotonic() + 60 * minutes, []
    for case in cases:
        why = reason if device is None else "no time left" if time.monotonic() > end else ""
        if device is None or why:
            rows.append(Row(case.operation, case.shape, case.precision, note=f"unmeasured: {why}"))
        else:
            try:
                rows.append(measured(case, device))
            except Exception as error:  # one case must not cost the table
                rows.append(Row(case.operation, case.shape, case.precision, note=f"WRONG: {type(error).__name__}: {error}"))
    return rows + [Row(what, "", "", note="unmeasured: not written yet") for what in NOT_WRITTEN]


def gpu() -> Device:
    """CuPy's device, with PyTorch beside it where it has CUDA. RuntimeError where CuPy, a driver or a GPU is missing."""
    cupy = backend.cupy()
    try:
        import torch

        peer = torch if torch.cuda.is_available() else None
    except ImportError:
        peer = None

    def wait() -> None:
        cupy.cuda.Device().synchronize()  # of the device: PyTorch's stream too

    return Device(cupy.asarray, wait, peer)


def shown(rows: list[Row]) -> str:
    """The table as text."""
    lines = [f"{'operation':24} {'shape':44} {'precision':9} {'error':>8} {'ours ms':>9} {'peer ms':>9} {'of peer':>8}"]
    for row in rows:
        numbers = (row.error, ".1e"), (row.ours_ms, ".3f"), (row.peer_ms, ".3f")
        error, ours, peer = ("" if value is None else format(value, form) for value, form in numbers)
        share = "" if row.of_peer is None else f"{row.of_peer:.0%}"
        line = f"{row.operation:24} {row.shape:44} {row.precision:9} {error:>8} {ours:>9} {peer:>9} {share:>8}  {row.note}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON a row")
    parser.add_argument("--minutes", type=float, default=8, help="begin no measurement after so long")
    options = parser.parse_args(arguments)
    device, reason = None, ""
    try:
        device = gpu()
    except RuntimeError as error:
        reason = str(error)
        print(f"nothing can be measured: {reason}", file=sys.stderr)
    cases = (case for part in (matrix_cases, image_cases, memory_cases) for case in part())
    rows = table(cases, device, options.minutes, "no GPU")
    if options.json:
        print("\n".join(json.dumps({**asdict(row), "of_peer": row.of_peer}) for row in rows))
    else:
        print(shown(rows))
    return int(device is None or any(row.note.startswith("WRONG") for row in rows))


if __name__ == "__main__":
    sys.exit(main())

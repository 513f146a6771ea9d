"""Our CUDA kernels on a GPU: are they right, and how fast beside PyTorch's?

    python -m benchmarks.gpu [--json] [--minutes 8]

Correctness first. Every kernel of the table at every size against float64 on the CPU, by norm; every training step against
the CPU's, and its bits from run to run (`gpu_steps.py`); every model's gradients proved on CuPy arrays, in float64. What is
wrong is not timed. Then time, both sides in turn in one run, warm, the median of several; the same precision on both sides,
and named. Random data, ragged sizes too.

One table last, and under it what is asked of it (`targets`), met or missed: what could not be measured (no GPU, no PyTorch,
no time left) stands there as unmeasured, with the reason. Ends with 1 where nothing could be measured or anything is wrong.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from statistics import geometric_mean
from typing import Any

import numpy as np

from benchmarks import gpu_steps
from benchmarks.gpu_cases import (
    BOUNDS,
    SIZES,
    Case,
    Device,
    Row,
    image_cases,
    image_title,
    matrix_cases,
    memory_cases,
    rung_cases,
    timed,
)
from benchmarks.networks import NETWORKS
from benchmarks.ours import CONFIGS
from minigen import backend, models
from minigen.check import ProofError, check_model
from minigen.kernels import rungs
from minigen.kernels.cuda import tiling


@dataclass
class Job:
    """Something to measure: the rows that it fills, and how."""

    rows: list[Row]
    run: Callable[[Device], Iterable[Row]]


def jobs() -> Iterator[Job]:
    """All of them, what is asked for most first."""
    for part in (matrix_cases, image_cases, memory_cases):
        yield from map(of_case, part())
    yield from map(of_steps, CONFIGS)
    yield from map(of_case, rung_cases())
    yield from map(of_proof, models.names())


def of_case(case: Case) -> Job:
    """A kernel at one size."""
    return Job([Row(case.operation, case.shape, case.precision)], lambda device: [measured(case, device)])


def of_steps(name: str) -> Job:
    """The training step of one configuration."""
    rows = [Row(f"step {name}", sides, "float32") for sides in gpu_steps.SIDES]
    return Job(rows, lambda device: gpu_steps.step_rows(name, device))


def of_proof(name: str) -> Job:
    """Every gradient of a model, on the device's arrays."""
    return Job([Row("proof", name, "float64")], lambda device: [proved(name, device)])


def proved(name: str, device: Device) -> Row:
    """The largest error of its parameters' gradients against the complex step."""
    row = Row("proof", name, "float64")
    try:
        row.error = max(r.rel_error for r in check_model(name, device=device.name) if r.method == "complex step")
    except ProofError as error:
        row.note = f"WRONG: {str(error).splitlines()[0]}"
    return row


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
    if device.torch is None:
        row.note = "peer unmeasured: no PyTorch with CUDA"
    else:
        device.torch.backends.cuda.matmul.allow_tf32 = device.torch.backends.cudnn.allow_tf32 = case.precision == "tf32"
        peer = case.peer(device.torch, case.arrays)
    with tiling.precision(case.precision):
        row.ours_ms, row.peer_ms = timed(device, lambda: case.ours(*arrays), peer, runs)
    return row


def table(work: Iterable[Job], device: Device | None, minutes: float, reason: str = "") -> list[Row]:
    """All rows, within the time."""
    end, rows = time.monotonic() + 60 * minutes, []
    for job in work:
        why = reason if device is None else "no time left" if time.monotonic() > end else ""
        if device is None or why:
            rows += [noted(row, f"unmeasured: {why}") for row in job.rows]
            continue
        try:
            rows += job.run(device)
        except ModuleNotFoundError as missing:
            rows += [noted(row, f"unmeasured: it needs {missing.name}, which is not installed") for row in job.rows]
        except Exception as error:  # one case must not cost the table
            rows += [noted(row, f"WRONG: {type(error).__name__}: {error}") for row in job.rows]
    return rows


@dataclass
class Target:
    """Something that is asked for: of which rows, how they are joined, and at least which share of the peer's speed."""

    what: str
    of: Callable[[Row], bool]
    joined: Callable[[list[float]], float]
    least: float

    def line(self, rows: list[Row]) -> str:
        """Met, missed, or unmeasured where one of the rows is."""
        found = [row.of_peer for row in rows if self.of(row)]
        known = [share for share in found if share is not None]
        if not found or len(known) < len(found):
            return f"{self.what}: unmeasured, {len(known)} of {len(found)} rows; wanted {self.least:.0%}"
        share = self.joined(known)
        verdict = "met" if share >= self.least else "missed"
        return f"{self.what}: {share:.0%} of the peer's speed, wanted {self.least:.0%}: {verdict}"


def targets() -> Iterator[Target]:
    """All of them, in order."""
    side = max(m for m, n, k in SIZES if m == n == k)
    largest = f"{side} x {side} x {side}"
    for precision, least in (("float32", 0.85), ("tf32", 0.55), ("bf16", 0.55)):
        key = "matmul", largest, precision
        yield Target(", ".join(key), partial(_is, {key}), min, least)
    networks = [image_title(x, size, outputs, stride) for x, size, outputs, stride, _ in NETWORKS]
    for name, precision in itertools.product(("forward", "input gradient", "weight gradient"), ("float32", "tf32")):
        keys = {(f"conv2d {name}", title, precision) for title in networks}
        what = f"conv2d {name}, {precision}, geometric mean of the networks' shapes"
        yield Target(what, partial(_is, keys), geometric_mean, 0.7)
    eager, captured = ({(f"step {name}", sides, "float32") for name in CONFIGS} for sides in gpu_steps.SIDES[1:])
    yield Target("a captured step beside PyTorch's eager one, the slowest", partial(_is, eager), min, 2)
    yield Target("a captured step beside PyTorch's captured one, geometric mean", partial(_is, captured), geometric_mean, 1)
    yield Target("the same, the slowest", partial(_is, captured), min, 1 / 1.3)


def _is(keys: set[tuple[str, str, str]], row: Row) -> bool:
    """Whether the row's operation, shape and precision are among the keys."""
    return (row.operation, row.shape, row.precision) in keys


def noted(row: Row, note: str) -> Row:
    """The row with a note."""
    row.note = note
    return row


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
    rows = table(jobs(), device, options.minutes, "no GPU")
    if options.json:
        print("\n".join(json.dumps({**asdict(row), "of_peer": row.of_peer}) for row in rows))
    else:
        print(shown(rows), *(target.line(rows) for target in targets()), sep="\n")
    return int(device is None or any(row.note.startswith("WRONG") for row in rows))


if __name__ == "__main__":
    sys.exit(main())

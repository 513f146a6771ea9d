"""The table of `benchmarks.gpu`, what is asked of it, and both as they are kept in a file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from benchmarks import gpu_steps
from benchmarks.gpu_device import Row
from benchmarks.ours import CONFIGS

LARGEST = "4096x4096 * 4096x4096"


@dataclass
class Target:
    """Something that is asked for: of which rows, how they are joined, and at least which share of the peer's speed.

    Of a kernel it is the speed on the GPU, where that is known; of a step, which Python takes part in, the speed of a call.
    """

    what: str
    of: Callable[[Row], bool]
    joined: Callable[[list[float]], float]
    least: float

    def line(self, rows: list[Row]) -> str:
        """Met, missed, or unmeasured where one of the rows is."""
        found = [row for row in rows if self.of(row)]
        known = [row.of_peer for row in found if row.of_peer is not None]
        if not found or len(known) < len(found):
            return f"{self.what}: unmeasured, {len(known)} of {len(found)} rows; wanted {self.least:.0%}"
        called = self.joined(known)
        alone = [row.of_peer_gpu for row in found if row.of_peer_gpu is not None]
        share = self.joined(alone) if len(alone) == len(found) else called
        verdict = "met" if share >= self.least else "missed"
        beside = f" (as called from Python {called:.0%})" if len(alone) == len(found) else ""
        return f"{self.what}: {share:.0%} of the peer's speed{beside}, wanted {self.least:.0%}: {verdict}"


def targets() -> Iterator[Target]:
    """All of them, in order."""
    for precision, least in (("float32", 0.85), ("tf32", 0.55), ("bf16", 0.55)):
        key = "matmul.matmul", LARGEST, precision
        yield Target(f"product of {LARGEST}, {precision}", partial(_is, {key}), min, least)
    for name, precision in itertools.product(("forward", "input_gradient", "weight_gradient"), ("float32", "tf32")):
        what = f"conv2d.{name}, {precision}, geometric mean of the networks' shapes"
        keys = {(f"conv2d.{name}", shape, precision) for shape in network_shapes()}
        yield Target(what, partial(_is, keys), geometric_mean, 0.7)
    for precision in gpu_steps.AGREE:
        eager, captured = ({(f"step {name}", sides, precision) for name in CONFIGS} for sides in gpu_steps.SIDES[1:])
        yield Target(f"a captured step, {precision}, beside PyTorch's eager one, the slowest", partial(_is, eager), min, 2)
        what = f"a captured step, {precision}, beside PyTorch's captured one"
        yield Target(f"{what}, geometric mean", partial(_is, captured), geometric_mean, 1)
        yield Target(f"{what}, the slowest", partial(_is, captured), min, 1 / 1.3)


def network_shapes() -> list[str]:
    """The convolutions of the reference configurations, as their rows have them."""
    try:
        from benchmarks.kernel_images import convolutions
    except ModuleNotFoundError:  # without PyTorch there are no such rows
        return []
    return [case.shape for case in convolutions() if case.kind == "reference"]


def _is(keys: set[tuple[str, str, str]], row: Row) -> bool:
    """Whether the row's operation, shape and precision are among the keys."""
    return (row.operation, row.shape, row.precision) in keys


HEAD = ("error", "ours ms", "peer ms", "of peer", "GPU ms", "peer's", "of peer", "of copy")


def shown(machine: dict[str, Any], rows: list[Row]) -> str:
    """The machine, the table and the targets as text."""
    lines = [f"{name}: {value}" for name, value in machine.items()]
    lines += ["", f"{'operation':28} {'shape':46} {'precision':9}" + "".join(f" {name:>9}" for name in HEAD)]
    for row in rows:
        milliseconds = [_number(value, ".4f") for value in (row.ours_ms, row.peer_ms, row.ours_gpu_ms, row.peer_gpu_ms)]
        shares = [_number(value, ".0%") for value in (row.of_peer, row.of_peer_gpu, row.of_copy)]
        columns = _number(row.error, ".1e"), *milliseconds[:2], shares[0], *milliseconds[2:], *shares[1:]
        line = f"{row.operation:28} {row.shape:46} {row.precision:9}" + "".join(f" {column:>9}" for column in columns)
        lines.append(f"{line}  {row.note}".rstrip())
    return "\n".join([*lines, "", *(target.line(rows) for target in targets())])


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def write(path: Path, command: str, machine: dict[str, Any], rows: list[Row]) -> None:
    """All that is known by now; what was written before is replaced in one step."""
    result = {"command": command, "machine": machine, "targets": [target.line(rows) for target in targets()]}
    text = json.dumps({**result, "rows": [row.json for row in rows]}, indent=1)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text + "\n")
    beside.replace(path)


def read(path: Path) -> str:
    """The text of such a file."""
    result = json.loads(path.read_text())
    names = {field.name for field in fields(Row)}
    rows = [Row(**{name: value for name, value in row.items() if name in names}) for row in result["rows"]]
    return shown({"command": result["command"], **result["machine"]}, rows)

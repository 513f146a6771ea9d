"""Our CUDA kernels on a GPU: are they right, and how fast beside PyTorch's?

    python -m benchmarks.gpu [--json] [--minutes 8] [--out FILE]
    python -m benchmarks.gpu --show FILE

Correctness first. Every kernel at every size against float64 on the CPU, by norm, random words bit for bit; every training
step against the CPU's, and its bits from run to run (`gpu_steps.py`); every model's gradients proved on CuPy arrays, in
float64. What is wrong is not timed, and a peer that computes something else is no peer. Then time, both sides in turn in one
run, warm, the median of several; the same precision on both sides, and named. Random data, ragged sizes too.

In order (`phases`): all kernels at ragged sizes, which also compiles them; what the targets are about; training steps; all
other sizes, the largest first; lesson 10's ladder; the proofs. Each phase has a share of the minutes, and what it could not
begin by then is made up for at the end.

The table comes last: what it holds for, a row for each measurement, and what is asked (`targets`), met or missed. What could
not be measured (no GPU, no PyTorch, no time left, a GPU that failed, SIGTERM or Ctrl-C) stands there as unmeasured, with the
reason. With --json a line {"machine": ...} and the rows, each when it is there; with --out a file that is complete after each,
`benchmarks/results/gpu.json` where it is to be committed. Ends with 1 where nothing could be measured or anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import gpu_steps, gpu_table
from benchmarks.gpu_device import Device, Row, gpu
from benchmarks.gpu_machine import machine
from benchmarks.ours import CONFIGS
from minigen import models
from minigen.check import ProofError, check_model

# The longest proofs on a CPU, which are last.
LONG = ("autoencoder", "conditional_gan", "hierarchical_vae", "dcgan", "vae_gan")


class Cut(BaseException):
    """Somebody ends the run before its time: not an error of what runs."""


@dataclass
class Job:
    """Something to measure: the rows that it fills, in order, and how."""

    rows: list[Row]
    run: Callable[[Device], Iterable[Row]]
    done: int = 0  # rows that are filled

    @property
    def title(self) -> str:
        """For somebody who waits."""
        return f"{self.rows[0].operation} {self.rows[0].shape}"

    def fill(self, row: Row) -> Row:
        """The next row."""
        self.rows[self.done] = row
        self.done += 1
        return row

    def leave(self, note: str) -> list[Row]:
        """The rows that are not filled, and why."""
        left, self.done = self.rows[self.done :], len(self.rows)
        for row in left:
            row.note = note
        return left


@dataclass
class Phase:
    """Jobs that belong together, and until which share of the time they may begin."""

    name: str
    until: float
    jobs: list[Job]


def phases() -> list[Phase]:
    """All of them, in order."""
    ragged: list[Job] = []
    asked: list[Job] = []
    large: list[Job] = []
    others: list[Job] = []
    ladder: list[Job] = []
    try:
        from benchmarks.gpu_cases import kernel_cases, ladder_cases
    except ModuleNotFoundError as missing:
        ragged.append(absent(f"unmeasured: the list of kernels needs {missing.name}, which is not installed"))
    else:
        wanted = list(gpu_table.targets())
        for kernel in kernel_cases():
            job = of_kernel(kernel)
            if any(target.of(row) for target in wanted for row in job.rows):
                asked.append(job)
            else:
                (ragged if "ragged" in kernel.kind else large if kernel.kind == "GPU" else others).append(job)
        ladder = [of_kernel(kernel) for kernel in ladder_cases()]
    proofs = [of_proof(name) for name in sorted(models.names(), key=lambda name: LONG.index(name) if name in LONG else -1)]
    return [
        Phase("kernels at ragged sizes", 0.35, ragged),
        Phase("what the targets are about", 0.55, asked),
        Phase("training steps", 0.75, [of_steps(name) for name in CONFIGS]),
        Phase("kernels at other sizes", 0.83, large + others),
        Phase("the ladder", 0.85, ladder),
        Phase("proofs", 1.0, proofs),
    ]


def absent(note: str) -> Job:
    """A row that says why there are no others."""
    return Job([Row("kernels", "all", "all")], lambda device: [Row("kernels", "all", "all", note=note)])


def of_kernel(kernel: Any) -> Job:
    """A kernel at one size."""

    def run(device: Device) -> Iterator[Row]:
        from benchmarks.gpu_kernels import measured

        yield from measured(kernel, device)

    return Job(kernel.rows, run)


def of_steps(name: str) -> Job:
    """The training step of one configuration."""
    return Job(gpu_steps.rows_of(name), lambda device: gpu_steps.step_rows(name, device))


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


@dataclass
class Table:
    """All rows, in the order of the phases, whenever they are measured."""

    phases: list[Phase]
    keep: Callable[[list[Row]], object] = lambda rows: None  # told of rows when they are there
    say: Callable[[str], object] = lambda text: None  # told what is measured now
    lost: str = field(default="", init=False)  # why nothing can be measured any more

    @property
    def rows(self) -> list[Row]:
        """Filled or not."""
        return [row for phase in self.phases for job in phase.jobs for row in job.rows]

    @property
    def jobs(self) -> list[Job]:
        """Of all phases."""
        return [job for phase in self.phases for job in phase.jobs]

    def measure(self, device: Device, minutes: float) -> None:
        """Fills them, within the time."""
        begun = time.monotonic()
        passed = lambda: (time.monotonic() - begun) / (60 * minutes) if minutes > 0 else 1.0
        try:
            for phase in [*self.phases, Phase("what was put off", 1.0, self.jobs)]:
                for job in phase.jobs:
                    if not self.lost and job.done < len(job.rows) and passed() < phase.until:
                        self.say(f"{time.monotonic() - begun:4.0f} s  {phase.name}: {job.title}")
                        self.do(job, device)
            self.leave(self.lost or "no time left")
        except Cut as cut:
            self.leave(f"ended by {cut}")

    def do(self, job: Job, device: Device) -> None:
        """One job; where it fails, its rows say how."""
        try:
            for row in job.run(device):
                self.keep([job.fill(row)])
        except ModuleNotFoundError as missing:
            self.keep(job.leave(f"unmeasured: it needs {missing.name}, which is not installed"))
        except Exception as error:  # one case must not cost the table
            self.keep(job.leave(f"WRONG: {type(error).__name__}: {error}"))
            if why := device.failed():
                self.lost = f"the GPU failed in {job.title}: {why}"

    def leave(self, why: str) -> None:
        """What is not measured, and will not be."""
        self.keep([row for job in self.jobs for row in job.leave(f"unmeasured: {why}")])


def ended(number: int, frame: object) -> NoReturn:
    """A signal that ends the run: the table is printed, and what comes after it does not disturb that."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise Cut(signal.Signals(number).name)


SIGNALS = signal.SIGTERM, signal.SIGINT


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON for the machine, and one a row")
    parser.add_argument("--minutes", type=float, default=8, help="begin no measurement after so long")
    parser.add_argument("--out", type=Path, help="also keep all results in this file, from the first row on")
    parser.add_argument("--show", type=Path, help="measure nothing: print the table of such a file")
    options = parser.parse_args(arguments)
    if options.show:
        print(gpu_table.read(options.show))
        return 0
    device, reason = None, ""
    try:
        device = gpu()
    except RuntimeError as error:
        reason = str(error)
        print(f"nothing can be measured: {reason}", file=sys.stderr)
    head, table = machine(device), Table(phases())
    command = " ".join(["python -m benchmarks.gpu", *(sys.argv[1:] if arguments is None else arguments)])

    def keep(rows: list[Row]) -> None:
        if options.json:
            for row in rows:
                print(json.dumps(row.json), flush=True)
        if options.out:
            gpu_table.write(options.out, command, head, table.rows)

    table.keep, table.say = keep, lambda text: print(text, file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"machine": head}), flush=True)
    if device is None:
        table.leave("no GPU")
    else:
        before = [signal.signal(number, ended) for number in SIGNALS]
        try:
            table.measure(device, options.minutes)
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)
    if not options.json:
        print(gpu_table.shown(head, table.rows))
    return int(device is None or any(row.note.startswith("WRONG") for row in table.rows))


if __name__ == "__main__":
    sys.exit(main())

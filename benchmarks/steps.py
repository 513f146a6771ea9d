"""Training-step speed against PyTorch: `python -m benchmarks.steps [CONFIG ...] [--json] [--out FILE]`.

For every configuration the two sides get the same batch, the same weights and the same noise. Their first losses must agree to
1e-5, those of the hundredth step to 2 % (see `agreement.py`), and their numbers of live parameters exactly, or there is no row.
Then their steps alternate (see `guard.py`). The peer runs eagerly, at the faster of its two memory formats. A row:

    config, parameters              what was trained, and how many numbers a step moves
    ours_ms, peer_ms, ratio         lower quartiles; ratio = ours / PyTorch's: below 1 we are faster. null: the machine was busy
    peer_format                     PyTorch's faster memory format
    floor_ms, over_floor            what the step's operations would take at the machine's roof (`kernels/tally.py`), and
                                    our time over it
    losses, losses_step             by name [ours, PyTorch's], before the step of that number; none where the peer has no loss
    pytorch_against_itself          where that is not the hundredth: how far PyTorch's own formats are apart there
    peak_mib, memory_ratio          peak memory above imports [ours, PyTorch's], and ours / PyTorch's (`memory.py`)
    peak_mib_without_code           the same without the machine code that either side loads on the way
    sgemm_gflops                    before and after the timing

`batch_1` has the forward and backward passes at batch 1, as config, ours_ms, peer_ms, ratio, peer_format.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import agreement, memory, torch_steps
from benchmarks.gradients import SINGLE
from benchmarks.guard import Machine, Race, race
from benchmarks.pairs import PAIRS, Pair
from minigen import backend
from minigen.kernels.tally import Operation, floor, tally
from minigen.random import Key

BUDGET = 5.0  # seconds for the steps of one side at one format
LEAST = 12  # steps a side, however long they take


def formats(name: str, batch_size: int | None = None) -> dict[str, Pair]:
    """The pair at either memory format of the peer; without images the two are one."""
    made: dict[str, Pair] = {}
    for channels_last in (False, True):
        peer = torch_steps.build(name, batch_size=batch_size, channels_last=channels_last)
        if not channels_last or peer.batch.ndim == 4:
            made["channels_last" if channels_last else "contiguous"] = PAIRS[name](peer)
    return made


class Steps:
    """Training steps of ours, each with a key of its own."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.taken = pair, 0

    def __call__(self) -> object:
        self.taken += 1
        return self.pair.ours.step(Key(2).at(self.taken))


def better(found: dict[str, Race]) -> str:
    """The name of the race that counts: a quiet one, and of these the one in which the peer was faster."""
    return max(found, key=lambda name: (found[name].quiet, -found[name].times["peer"]))


def measure(name: str, machine: Machine, turns: int, *, with_memory: bool = True) -> tuple[dict[str, Any], list[Operation]]:
    """One row, all but its floor, and what a step has to do."""
    found: dict[str, Race] = {}
    pairs = formats(name)
    for memory_format, pair in pairs.items():
        agreement.check(name, pair)
        calls = {"ours": Steps(pair), "peer": pair.peer.step}
        found[memory_format] = race(calls, machine, turns=turns, least=LEAST, budget=BUDGET)
    best = better(found)
    with tally() as seen:
        pairs[best].ours.step(Key(3))
    row: dict[str, Any] = {"config": name, "parameters": pairs[best].parameters, **times(found[best]), "peer_format": best}
    row |= later(name, best)
    if with_memory:
        row |= peaks(name, best, len(pairs[best].ours.batch))
    row["sgemm_gflops"] = [round(rate, 1) for rate in found[best].sgemm]
    return row, seen


def later(name: str, best: str) -> dict[str, Any]:
    """The columns of the hundredth step."""
    anew = lambda: (formats(name)["contiguous"], formats(name)["channels_last"])
    found = agreement.compare(name, formats(name)[best], anew)
    return {
        "losses": {loss: list(both) for loss, both in found.losses.items()},
        "losses_step": found.step,
        "pytorch_against_itself": found.itself,
    }


def times(found: Race) -> dict[str, float | None]:
    """The columns of a race; empty where the machine was busy."""
    if not found.quiet:
        return {"ours_ms": None, "peer_ms": None, "ratio": None}
    ours, peers = found.times["ours"] * 1e3, found.times["peer"] * 1e3
    return {"ours_ms": round(ours, 3), "peer_ms": round(peers, 3), "ratio": round(ours / peers, 3)}


def peaks(name: str, memory_format: str, batch: int) -> dict[str, Any]:
    """The columns of memory."""
    side = "pytorch-channels-last" if memory_format == "channels_last" else "pytorch"
    (ours,), (theirs,) = memory.peak("ours", name, [batch]), memory.peak(side, name, [batch])
    return {
        "peak_mib": [ours["above_imports"], theirs["above_imports"]],
        "memory_ratio": round(ours["above_imports"] / theirs["above_imports"], 3),
        "peak_mib_without_code": [ours["above_code"], theirs["above_code"]],
    }


def single(name: str, machine: Machine, turns: int) -> dict[str, Any]:
    """Forward and backward at batch 1."""
    found: dict[str, Race] = {}
    for memory_format, pair in formats(name, batch_size=1).items():
        agreement.check(f"{name} at batch 1", pair)
        ours, theirs = SINGLE[name](pair)
        found[memory_format] = race({"ours": ours, "peer": theirs}, machine, turns=turns)
    best = better(found)
    return {"config": name, **times(found[best]), "peer_format": best}


def with_floor(row: dict[str, Any], seen: list[Operation], flops: float, bandwidth: float) -> dict[str, Any]:
    """The row with what the machine's roof allows, after its ratio."""
    lowest = 1e3 * floor(seen, flops, bandwidth)
    over = None if row["ours_ms"] is None else round(row["ours_ms"] / lowest, 2)
    columns = list(row.items())
    at = list(row).index("peer_format")
    return dict([*columns[:at], ("floor_ms", round(lowest, 3)), ("over_floor", over), *columns[at:]])


def geometric_mean(ratios: list[float | None]) -> float | None:
    """None where one of them is not measured."""
    known = [ratio for ratio in ratios if ratio is not None]
    return round(math.exp(sum(map(math.log, known)) / len(known)), 3) if len(known) == len(ratios) > 0 else None


def line(row: dict[str, Any]) -> str:
    """A row for a reader."""
    if row["ratio"] is None:
        return f"{row['config']:10} not measured: the machine was busy"
    text = f"{row['config']:10} ours {row['ours_ms']:8.2f} ms   PyTorch {row['peer_ms']:8.2f} ms   ratio {row['ratio']:.2f}"
    if "floor_ms" in row:
        text += f"   floor {row['floor_ms']:7.2f} ms, {row['over_floor']:.1f} times"
    if "memory_ratio" in row:
        text += f"   memory {row['memory_ratio']:.2f}"
    return text


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description="Training steps against PyTorch's.")
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help=f"of {', '.join(PAIRS)}; all by default")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--turns", type=int, default=60, help="timed steps a side, fewer where they are long (60)")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peak memory, which needs processes of its own")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    args = parser.parse_args()
    unknown = [name for name in args.configs if name not in PAIRS]
    if unknown:
        parser.error(f"unknown configuration {', '.join(unknown)}: there is {', '.join(PAIRS)}")

    torch.set_num_threads(os.cpu_count() or 1)
    configs, machine = args.configs or list(PAIRS), Machine()
    machine.look_up()
    with backend.workspace():
        measured = []
        for name in configs:
            measured.append(measure(name, machine, args.turns, with_memory=not args.no_memory))
            print(f"{name} is measured", file=sys.stderr, flush=True)
        singles = [single(name, machine, args.turns) for name in configs if name in SINGLE]
        machine.look_up()
    rows = [with_floor(row, seen, machine.flops, machine.bandwidth) for row, seen in measured]
    result = {
        "command": " ".join(["python -m benchmarks.steps", *sys.argv[1:]]),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": machine.roof,
        "rows": rows,
        "batch_1": singles,
        "geometric_mean": geometric_mean([row["ratio"] for row in rows]),
    }
    text = json.dumps(result, indent=2)
    if args.out:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
        return
    print(*map(line, rows), sep="\n")
    for row in singles:
        print("batch 1, forward and backward:", line(row))
    print(f"geometric mean {result['geometric_mean']}; SGEMM and copies: {machine.roof}")


if __name__ == "__main__":
    main()

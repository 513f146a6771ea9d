"""Training-step speed against PyTorch: `python -m benchmarks.steps [CONFIG ...] [--json]`.

For every configuration the two sides get the same batch, the same weights and, once, the same noise; their first losses must
agree to 1e-5 and their numbers of live parameters exactly, or nothing is timed. Then their steps alternate (see `guard.py`).
The peer runs eagerly, at the faster of its two memory formats. ratio = our time / PyTorch's; below 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import torch_steps
from benchmarks.guard import Duel, Machine, duel
from benchmarks.pairs import PAIRS, Pair, relative_difference
from minigen import backend

AGREE = 1e-5


def check(name: str, pair: Pair) -> None:
    """Raises AssertionError unless both sides are the same model."""
    ours, theirs = pair.parameters, pair.peer.live_parameters()
    assert ours == theirs, f"{name}: {ours} parameters here, {theirs} live ones there"
    for loss, (mine, peers) in pair.first_losses().items():
        off = relative_difference(mine, peers)
        assert off <= AGREE, f"{name}: first {loss} is {mine} here and {peers} there, {off:.1e} apart"
    for parameter, (mine, peers) in pair.first_steps().items():
        off = relative_difference(mine, peers)
        assert off <= AGREE, f"{name}: the first step of {parameter} differs by {off:.1e} from the peer's"


def measure(name: str, machine: Machine, turns: int) -> dict[str, Any]:
    """One row: the better memory format of the peer against ours."""
    best: Duel | None = None
    for channels_last in (False, True):
        peer = torch_steps.build(name, channels_last=channels_last)
        if channels_last and peer.batch.ndim != 4:
            continue  # without images the two formats are one
        pair = PAIRS[name](peer)
        check(name, pair)
        result = duel(pair.step, peer.step, machine, turns=turns)
        if best is None or (result.quiet, -result.peer) > (best.quiet, -best.peer):
            best = result
    assert best is not None
    row = {"config": name, "parameters": pair.parameters, "ours_ms": None, "peer_ms": None, "ratio": None}
    if best.quiet:
        ours, peers = best.ours * 1e3, best.peer * 1e3
        row |= {"ours_ms": round(ours, 3), "peer_ms": round(peers, 3), "ratio": round(ours / peers, 3)}
    row["sgemm_gflops"] = [round(rate, 1) for rate in best.sgemm]
    return row


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description="Training steps against PyTorch's.")
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help=f"of {', '.join(PAIRS)}; all by default")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--turns", type=int, default=60, help="timed steps a side (60)")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    args = parser.parse_args()
    unknown = [name for name in args.configs if name not in PAIRS]
    if unknown:
        parser.error(f"unknown configuration {', '.join(unknown)}: there is {', '.join(PAIRS)}")

    torch.set_num_threads(os.cpu_count() or 1)
    machine = Machine()
    machine.rate()
    rows = []
    with backend.workspace():
        for name in args.configs or PAIRS:
            rows.append(measure(name, machine, args.turns))
            if not args.json:
                print(line(rows[-1]), file=sys.stdout, flush=True)
    command = "python -m benchmarks.steps " + " ".join([*args.configs, "--out", "benchmarks/results/steps.json"])
    text = json.dumps(
        {"command": command, "torch": torch.__version__, "threads": torch.get_num_threads(), "rows": rows}, indent=2
    )
    if args.json:
        print(text)
    if args.out:
        args.out.write_text(text + "\n")


def line(row: dict[str, Any]) -> str:
    """A row for a reader."""
    if row["ratio"] is None:
        return f"{row['config']:10} not measured: the machine was busy (SGEMM {row['sgemm_gflops']} GFLOP/s)"
    return (
        f"{row['config']:10} {row['parameters']:>9,} parameters   ours {row['ours_ms']:8.2f} ms   "
        f"PyTorch {row['peer_ms']:8.2f} ms   ratio {row['ratio']:.2f}"
    )


if __name__ == "__main__":
    main()

"""Every rung of every ladder against PyTorch's kernel: `python -m benchmarks.kernels [NAME ...] [--json] [--out FILE]`.

NAME is an operation (`matmul`, `conv2d`) or one of its functions (`conv2d.forward`); all by default. Before a rung is timed its
result is compared with the float64 definition, and so is the peer's. All rungs and all formats of the peer then take turns
(`guard.py`). A row:

    operation, shape, kind, rung    what was timed; `kind` says why the shape is in the list
    chosen                          whether it is the rung that the library takes at this shape
    ms                              lower quartile; null where the machine was busy, or `note` says why the rung was not run
    rate, unit                      GFLOP/s, or GB/s where memory takes longer than the multiplications (`kernels/tally.py`)
    of_roof                         share of the machine's roof, of SGEMM or of copies, measured in the same run; above 1 where
                                    Winograd's algorithm multiplies less than the definition, or a cache holds the arrays
    of_pytorch, peer, peer_ms       share of PyTorch's speed, in the best of its calls: above 1 we are faster; null where
                                    PyTorch has no such kernel by itself
    of_numpy                        share of the speed of NumPy's BLAS, for matrix products
    error                           |result - definition| / |definition|, the definition in float64

`summary` has, for every function, the geometric mean and the lowest `of_pytorch` of the chosen rungs over the reference shapes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import (
    kernel_attention,
    kernel_bends,
    kernel_cases,
    kernel_combine,
    kernel_flows,
    kernel_images,
    kernel_losses,
    kernel_pairs,
    kernel_passes,
    kernel_resampling,
    numpy_blas,
)
from benchmarks.guard import Machine, Race, race, seconds
from benchmarks.kernel_cases import Case
from benchmarks.rungs import Rungs, ladder
from minigen import backend

SLOWEST = 0.1  # seconds: a rung whose call lasts longer is not timed
TURNS, LEAST, BUDGET = 25, 4, 0.2  # timings of each side of a race, and seconds for them

MAKERS = (
    kernel_cases.products,
    kernel_images.convolutions,
    kernel_images.causal,
    kernel_images.masked,
    kernel_resampling.upsampling,
    kernel_resampling.pooling,
    kernel_resampling.shifts,
    kernel_attention.attention,
    kernel_combine.combine,
    kernel_combine.rows,
    kernel_passes.adam,
    kernel_passes.imagined,
    kernel_passes.average,
    kernel_passes.sgd,
    kernel_passes.clip,
    kernel_passes.langevin,
    kernel_losses.bernoulli,
    kernel_losses.categorical,
    kernel_losses.squares,
    kernel_losses.slopes,
    kernel_losses.games,
    kernel_losses.gaussian,
    kernel_losses.reparameterize,
    kernel_losses.affine,
    kernel_bends.group_norm,
    kernel_bends.layer_norm,
    kernel_bends.spline,
    kernel_bends.gated,
    kernel_bends.act_norm,
    kernel_flows.logit,
    kernel_flows.plu,
    kernel_flows.flow,
    kernel_pairs.pairs,
    kernel_losses.units,
    kernel_passes.softmax,
    kernel_passes.philox,
    kernel_passes.activations,
    kernel_passes.epilogues,
    kernel_passes.sums,
    kernel_passes.normalisations,
)


def cases() -> Iterator[Case]:
    """Those of a CPU, in the order of the table: where a ladder has nothing but NumPy there, a GPU alone is timed."""
    for make in MAKERS:
        yield from (case for case in make() if case.kind != "GPU" and ladder(case).numba != ladder(case).definition)


def measure(case: Case, machine: Machine, numpy_seconds: float | None) -> list[dict[str, Any]]:
    """A row for each rung."""
    rungs = Rungs(case)
    calls, errors, notes = {}, {}, {}
    for rung in rungs.names:
        if (predicted := PREDICTED.get((case.name, rung), 0.0) * max(rungs.work.flops, 1)) > SLOWEST:
            notes[rung] = f"not run: some {predicted:.0f} s a call" if predicted >= 1 else f"not run: {predicted:.1f} s a call"
            continue
        call, errors[rung] = rungs.call(rung)
        lasts = seconds(call)
        if rungs.work.flops:
            PREDICTED[case.name, rung] = min(lasts / rungs.work.flops, PREDICTED.get((case.name, rung), math.inf))
        if lasts > SLOWEST:
            notes[rung] = f"not timed: {lasts:.1f} s a call"
        else:
            calls[rung] = call
    with torch.no_grad():
        peers = rungs.peers()
        found = race(
            {**calls, **{f"peer {name}": call for name, call in peers.items()}},
            machine,
            turns=TURNS,
            least=LEAST,
            budget=BUDGET,
        )
    peer = min(peers, key=lambda name: found.times[f"peer {name}"], default=None)
    made = []
    for rung in rungs.names:
        row: dict[str, Any] = {"operation": case.name, "shape": case.shape, "kind": case.kind, "rung": rung}
        row |= {"chosen": rung == rungs.chosen, "work": rungs.work}
        row |= columns(rung, found, f"peer {peer}", numpy_seconds) if rung in calls else dict.fromkeys(COLUMNS)
        made.append({**row, "error": errors.get(rung), "peer": peer, "note": notes.get(rung)})
    return made


# (function, rung) -> seconds for an operation: the least seen, for small calls take longer.
PREDICTED: dict[tuple[str, str], float] = {}
COLUMNS = ("ms", "of_pytorch", "peer_ms", "of_numpy")


def columns(rung: str, found: Race, peer: str, numpy_seconds: float | None) -> dict[str, float | None]:
    """What a race says of one rung."""
    if not found.quiet:
        return dict.fromkeys(COLUMNS)
    ours, theirs = found.times[rung], found.times.get(peer)
    return {
        "ms": round(1e3 * ours, 4),
        "of_pytorch": None if theirs is None else round(theirs / ours, 3),
        "peer_ms": None if theirs is None else round(1e3 * theirs, 4),
        "of_numpy": None if numpy_seconds is None else round(numpy_seconds / ours, 3),
    }


def with_roof(row: dict[str, Any], flops: float, bandwidth: float) -> dict[str, Any]:
    """The row with its rate, and the share of what the machine can do."""
    work, row = row["work"], {name: value for name, value in row.items() if name != "work"}
    moved = work.read + work.written
    arithmetic = work.flops / flops >= moved / bandwidth
    rate = share = None
    if row["ms"]:
        lasts = row["ms"] / 1e3
        rate = round((work.flops if arithmetic else moved) / lasts / 1e9, 2)
        share = round(work.seconds(flops, bandwidth) / lasts, 3)
    return {**row, "rate": rate, "unit": "GFLOP/s" if arithmetic else "GB/s", "of_roof": share}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For every function: the rungs that the library chooses, over the reference shapes."""
    found: dict[str, Any] = {}
    for operation in dict.fromkeys(row["operation"] for row in rows):
        chosen = [row for row in rows if row["operation"] == operation and row["chosen"] and row["kind"] == "reference"]
        shares = [row["of_pytorch"] for row in chosen if row["of_pytorch"]]
        if shares:
            mean = math.exp(sum(map(math.log, shares)) / len(shares))
            found[operation] = {"geometric_mean": round(mean, 3), "lowest": min(shares), "shapes": len(shares)}
            found[operation]["not_measured"] = len(chosen) - len(shares)
    return found


def line(row: dict[str, Any]) -> str:
    """A row for a reader."""
    text = f"{row['operation']:28} {row['shape']:48} {row['kind']:10} {row['rung']:14}{'*' if row['chosen'] else ' '}"
    if row["ms"] is None:
        return f"{text} {row['note'] or 'not measured: the machine was busy'}"
    text += f"{row['ms']:9.3f} ms {row['rate']:8.1f} {row['unit']:7} {100 * row['of_roof']:4.0f} % of the roof"
    for column, peer in (("of_pytorch", "PyTorch"), ("of_numpy", "NumPy")):
        text += "" if row[column] is None else f" {100 * row[column]:5.0f} % of {peer}"
    return text


def selected(names: list[str]) -> list[Case]:
    """The cases of these operations or functions. Raises ValueError on an unknown one."""
    everything = list(cases())
    known = {case.operation for case in everything} | {case.name for case in everything}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown kernel {', '.join(unknown)}: there is {', '.join(sorted(known))}")
    return [case for case in everything if not names or case.operation in names or case.name in names]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description="Kernels against PyTorch's.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="operations or their functions; all by default")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    args = parser.parse_args()
    try:
        chosen = selected(args.names)
    except ValueError as error:
        parser.error(str(error))

    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    products = [case.blas for case in chosen if case.blas]
    of_numpy = dict(zip(products, numpy_blas.measure(products, threads), strict=True)) if products else {}
    machine = Machine()
    machine.look_up()
    rows: list[dict[str, Any]] = []
    with backend.workspace():
        for case in chosen:
            rows += measure(case, machine, of_numpy.get(case.blas))
            print(f"{case.name} {case.shape} is measured", file=sys.stderr, flush=True)
        machine.look_up()
    rows = [with_roof(row, machine.flops, machine.bandwidth) for row in rows]
    result: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.kernels", *sys.argv[1:]]),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": threads,
        "machine": machine.roof,
        "summary": summary(rows),
        "rows": rows,
    }
    text = json.dumps(result, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
        return
    print(*map(line, rows), sep="\n")
    for name, found in result["summary"].items():
        mean, lowest = 100 * found["geometric_mean"], 100 * found["lowest"]
        shapes = f"{found['shapes']} reference shapes"
        print(f"{name:28} {mean:.0f} % of PyTorch over {shapes}, at least {lowest:.0f} %")
    print(f"SGEMM and copies: {machine.roof}")


if __name__ == "__main__":
    main()

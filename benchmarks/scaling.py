"""How time and memory grow, on both sides: `python -m benchmarks.scaling [AXIS ...] [--json] [--out FILE] [--figure FILE]`.

    batch        training steps of the reference configurations vae and dcgan, 1 to 512 rows
    image size   steps of a small convolutional network (`scaling_pairs.py`), 8 to 128 pixels a side
    width        the same on 28 x 28 pixels, 16 to 256 channels

The two sides take turns (`guard.py`), PyTorch in the faster of its memory formats; peak memory is that of processes of their
own (`memory.py`), above the machine code they load. A row:

    axis, model, at                  what was stretched, and to what
    ours_ms, peer_ms, ratio          lower quartiles, and ours / PyTorch's; null where the machine was busy
    ours_mib, peer_mib               peak memory above imports and code

`per_image` has our time for an image at batch 512 over that at 64, and PyTorch's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.guard import Machine, Race, race
from minigen import backend

BATCHES = (1, 4, 16, 64, 128, 256, 512)
SIZES = (8, 16, 28, 48, 64, 96, 128)
WIDTHS = (16, 32, 64, 96, 128, 192, 256)
FEW = 32  # images in a batch where the size or the width is stretched
TURNS, LEAST, BUDGET = 20, 4, 1.2
AGREE = 1e-5
FIGURE = Path(__file__).parents[1] / "docs" / "scaling.png"
Calls = dict[str, Callable[[], object]]


def of_a_configuration(name: str, batch: int) -> Calls:
    """Our step and the peer's, in either of its formats."""
    from benchmarks import ours, torch_steps
    from minigen.random import Key

    made, count = ours.build(name, batch_size=batch), iter(range(10**9))
    calls: Calls = {"ours": lambda: made.step(Key(2).at(next(count)))}
    for channels_last in (False, True) if len(made.batch.shape) == 4 else (False,):
        calls[side(channels_last)] = torch_steps.build(name, batch_size=batch, channels_last=channels_last).step
    return calls


def of_the_network(batch: int, size: int, width: int) -> Calls:
    """The same; the first losses must agree."""
    from benchmarks.scaling_pairs import ours, theirs

    mine: Any = ours(batch, size, width)
    peers = {side(last): theirs(batch, size, width, channels_last=last, like=mine.net) for last in (False, True)}
    first = mine()
    for name, peer in peers.items():
        other = peer()
        assert abs(first - other) <= AGREE * abs(other), (
            f"size {size}, width {width}: a loss of {first} here, {other} in {name}"
        )
    return {"ours": mine, **peers}


def side(channels_last: bool) -> str:
    """PyTorch's name in `memory.py`."""
    return "pytorch-channels-last" if channels_last else "pytorch"


def row(axis: str, model: str, at: int, calls: Calls, machine: Machine) -> dict[str, Any]:
    """All but the memory."""
    found = race(calls, machine, turns=TURNS, least=LEAST, budget=BUDGET)
    return {"axis": axis, "model": model, "at": at, **times(found)}


def times(found: Race) -> dict[str, Any]:
    """The columns of a race: ours, and the best of the others."""
    peer = min((name for name in found.times if name != "ours"), key=lambda name: found.times[name])
    if not found.quiet:
        return {"ours_ms": None, "peer_ms": None, "ratio": None, "peer": peer}
    mine, best = 1e3 * found.times["ours"], 1e3 * found.times[peer]
    return {"ours_ms": round(mine, 3), "peer_ms": round(best, 3), "ratio": round(mine / best, 3), "peer": peer}


def with_memory(rows: list[dict[str, Any]], config: str) -> list[dict[str, Any]]:
    """The peaks of both sides; the peer's in the format that was the faster at the last row."""
    at = [found["at"] for found in rows]
    mine, best = memory.peak("ours", config, at), memory.peak(rows[-1]["peer"], config, at)
    return [
        {**found, "ours_mib": ours["above_code"], "peer_mib": peer["above_code"]}
        for found, ours, peer in zip(rows, mine, best, strict=True)
    ]


def per_image(rows: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """By model: the time of an image at batch 512 over that at 64, of both sides."""
    found: dict[str, dict[str, float | None]] = {}
    for model in dict.fromkeys(r["model"] for r in rows if r["axis"] == "batch"):
        at = {r["at"]: r for r in rows if r["axis"] == "batch" and r["model"] == model}
        ratios = {}
        for column in ("ours_ms", "peer_ms"):
            many, few = at[512][column], at[64][column]
            ratios[column[:-3]] = None if many is None or few is None else round(many / 512 / (few / 64), 3)
        found[model] = ratios
    return found


def batches(machine: Machine) -> list[dict[str, Any]]:
    """Rows of vae and dcgan."""
    made = []
    for name in ("vae", "dcgan"):
        made += with_memory([row("batch", name, n, of_a_configuration(name, n), machine) for n in BATCHES], name)
    return made


def sizes(machine: Machine) -> list[dict[str, Any]]:
    """Rows of the network, by pixels a side."""
    rows = [row("image size", "network", n, of_the_network(FEW, n, 32), machine) for n in SIZES]
    return with_memory(rows, "size")


def widths(machine: Machine) -> list[dict[str, Any]]:
    """Rows of the network, by channels."""
    rows = [row("width", "network", n, of_the_network(FEW, 28, n), machine) for n in WIDTHS]
    return with_memory(rows, "width")


AXES = {"batch": batches, "size": sizes, "width": widths}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Time above, memory below; ours full, PyTorch's dashed."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((r["axis"], r["model"]) for r in rows))
    figure = Figure(figsize=(3.4 * len(panels), 6), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharex="col")
    for column, (axis, model) in enumerate(panels):
        of = [r for r in rows if (r["axis"], r["model"]) == (axis, model)]
        for line, (unit, label) in enumerate((("ms", "a training step, ms"), ("mib", "peak memory, MiB"))):
            for who, name, style in (("ours", "minigen", "o-"), ("peer", "PyTorch", "s--")):
                points = [(r["at"], r[f"{who}_{unit}"]) for r in of if r[f"{who}_{unit}"] is not None]
                if points:
                    color = "#1f5fa8" if who == "ours" else "#d1602d"
                    axes[line][column].loglog(*zip(*points, strict=True), style, ms=4, color=color, label=name)
            axes[line][column].minorticks_off()
            axes[line][column].set_ylabel(label if column == 0 else "")
        axes[0][column].set_title(f"{model}: {axis}")
        axes[1][column].set_xlabel(axis)
        axes[1][column].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def line(found: dict[str, Any]) -> str:
    """A row for a reader."""
    text = f"{found['axis']:10} {found['model']:8} {found['at']:4}"
    if found["ratio"] is None:
        text += "   not measured: the machine was busy"
    else:
        text += f"   ours {found['ours_ms']:9.3f} ms   PyTorch {found['peer_ms']:9.3f} ms   ratio {found['ratio']:5.2f}"
    return f"{text}   memory {found['ours_mib']:7.1f} and {found['peer_mib']:7.1f} MiB"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="Time and memory as models grow.")
    parser.add_argument("axes", nargs="*", metavar="AXIS", help=f"of {', '.join(AXES)}; all by default")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where the figure goes (docs/scaling.png)")
    args = parser.parse_args()
    unknown = [name for name in args.axes if name not in AXES]
    if unknown:
        parser.error(f"unknown axis {', '.join(unknown)}: there is {', '.join(AXES)}")

    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    machine, rows = Machine(), []
    machine.rate()
    with backend.workspace():
        for name in args.axes or AXES:
            rows += AXES[name](machine)
            print(f"{name} is measured", file=sys.stderr, flush=True)
    result = {
        "command": " ".join(["python -m benchmarks.scaling", *sys.argv[1:]]),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "per_image": per_image(rows),
        "rows": rows,
    }
    text = json.dumps(result, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    draw(rows, args.figure)
    if args.json:
        print(text)
        return
    print(*map(line, rows), sep="\n")
    for model, ratios in per_image(rows).items():
        print(f"{model}: time per image at batch 512 over that at 64: ours {ratios['ours']}, PyTorch's {ratios['peer']}")


if __name__ == "__main__":
    main()

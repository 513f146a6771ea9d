"""The README's tables of speed, from the committed results of `benchmarks.steps`, `.kernels` and `.scaling`.

Ratios are our time over PyTorch's, below 1 we are faster; shares are our speed over another's, above 100 % we are faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def grid(*rows: tuple[str, ...]) -> Iterator[str]:
    """Lines of a Markdown table, the first row its head."""
    for i, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if i == 0:
            yield "|" + "---|" * len(row)


def number(value: float | None, pattern: str = "{:.2f}") -> str:
    """A dash where nothing was measured."""
    return "-" if value is None else pattern.format(value)


def provenance(r: dict[str, Any]) -> str:
    """Under a table: what made it, and on what."""
    text = f"`{r['command']}`, PyTorch {r['torch']}, {r['threads']} threads"
    if "machine" in r:
        roof = r["machine"]
        text += f"; SGEMM {roof['sgemm_gflops']:.0f} GFLOP/s (PyTorch's {roof['sgemm_gflops_pytorch']:.0f})"
        text += f", copies {roof['copy_gb_s']:.0f} GB/s"
    return text


def steps(r: dict[str, Any]) -> Iterator[str]:
    """A row for each configuration; then batch 1."""
    head = (
        "training step",
        "parameters",
        "ours, ms",
        "PyTorch, ms",
        "ratio",
        "floor, ms",
        "ours / floor",
        "peak memory / PyTorch's",
    )
    yield from grid(
        head,
        *(
            (
                row["config"],
                f"{row['parameters']:,}",
                number(row["ours_ms"]),
                number(row["peer_ms"]),
                number(row["ratio"]),
                number(row.get("floor_ms")),
                number(row.get("over_floor"), "{:.1f}"),
                number(row.get("memory_ratio")),
            )
            for row in r["rows"]
        ),
    )
    yield ""
    single = [f"`{row['config']}` {number(row['ratio'])}" for row in r.get("batch_1", ())]
    if single:
        mean = number(r.get("geometric_mean"))
        yield f"Geometric mean of the ratios: {mean}. At batch 1, forward and backward alone: {', '.join(single)}."
    yield provenance(r)


def kernels(r: dict[str, Any]) -> Iterator[str]:
    """For each function the rungs that the library chooses, over the reference shapes; for products NumPy beside it."""
    rows = []
    for name, found in r["summary"].items():
        chosen = [row for row in r["rows"] if row["operation"] == name and row["chosen"] and row["kind"] == "reference"]
        roof = [row["of_roof"] for row in chosen if row["of_roof"] is not None]
        blas = [row["of_numpy"] for row in chosen if row["of_numpy"] is not None]
        measured = f"{found['shapes']} of {found['shapes'] + found['not_measured']}"
        share = lambda values: f"{100 * min(values):.0f} to {100 * max(values):.0f} %" if values else "-"
        mean, lowest = f"{100 * found['geometric_mean']:.0f} %", f"{100 * found['lowest']:.0f} %"
        rows.append((f"`{name}`", measured, mean, lowest, share(roof), share(blas)))
    head = (
        "kernel",
        "reference shapes",
        "share of PyTorch's speed, geometric mean",
        "lowest",
        "of the machine's roof",
        "of NumPy's BLAS",
    )
    yield from grid(head, *rows)
    yield ""
    yield provenance(r)


def scaling(r: dict[str, Any]) -> Iterator[str]:
    """The ends of every axis, and what an image costs in a large batch."""
    rows = []
    for axis, model in dict.fromkeys((row["axis"], row["model"]) for row in r["rows"]):
        of = [row for row in r["rows"] if (row["axis"], row["model"]) == (axis, model)]
        at = f"{of[0]['at']} to {of[-1]['at']}"
        ratios = ", ".join(number(row["ratio"]) for row in of)
        memory = ", ".join(number(row["ours_mib"] / row["peer_mib"]) for row in of)
        image = r["per_image"].get(model, {}) if axis == "batch" else {}
        cost = f"{number(image.get('ours'))}; PyTorch {number(image.get('peer'))}" if image else "-"
        rows.append((f"{model}, {axis} {at}", ratios, memory, cost))
    yield from grid(("what grows", "time / PyTorch's", "peak memory / PyTorch's", "an image at batch 512 / at 64"), *rows)
    yield ""
    yield provenance(r)


TABLES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {f.__name__: f for f in (steps, kernels, scaling)}

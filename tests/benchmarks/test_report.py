"""The README's figures are those of the committed results."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report, report_speed


def test_the_tables_of_the_readme_are_the_committed_results() -> None:
    readme = report.README.read_text()
    assert report.with_tables(readme) == readme, "run python -m benchmarks.report"


def test_a_table_goes_between_its_markers() -> None:
    text = "above\n<!-- steps -->\nold\n<!-- /steps -->\nbelow"
    assert report.between(text, "steps", "new") == "above\n<!-- steps -->\nnew\n<!-- /steps -->\nbelow"
    with pytest.raises(ValueError, match="needs the markers <!-- kernels -->"):
        report.between(text, "kernels", "new")


MADE: dict[str, Any] = {"command": "python -m benchmarks.x", "torch": "2", "threads": 2}


def test_the_table_of_steps() -> None:
    row = {"config": "vae", "parameters": 1234, "ours_ms": 1.5, "peer_ms": 3.0, "ratio": 0.5}
    whole = {**row, "floor_ms": 0.5, "over_floor": 3.0, "memory_ratio": 0.9}
    busy = {**row, "config": "gan", "ours_ms": None, "peer_ms": None, "ratio": None}
    lines = list(report_speed.steps({**MADE, "rows": [whole, busy], "batch_1": [row], "geometric_mean": None}))
    assert lines[2] == "| vae | 1,234 | 1.50 | 3.00 | 0.50 | 0.50 | 3.0 | 0.90 |"
    assert lines[3] == "| gan | 1,234 | - | - | - | - | - | - |"
    assert lines[5] == "Geometric mean of the ratios: -. At batch 1, forward and backward alone: `vae` 0.50."
    assert lines[6] == "`python -m benchmarks.x`, PyTorch 2, 2 threads"


def test_the_table_of_kernels() -> None:
    row = {"operation": "a.f", "kind": "reference", "chosen": True, "of_roof": 0.5, "of_numpy": None}
    rows = [row, {**row, "of_roof": None}, {**row, "of_roof": 0.25}, {**row, "chosen": False, "of_roof": 0.9}]
    summary = {"a.f": {"geometric_mean": 1.25, "lowest": 0.7, "shapes": 2, "not_measured": 1}}
    roof = {"sgemm_gflops": 480.0, "sgemm_gflops_pytorch": 210.0, "copy_gb_s": 50.0}
    lines = list(report_speed.kernels({**MADE, "machine": roof, "rows": rows, "summary": summary}))
    assert lines[2] == "| `a.f` | 2 of 3 | 125 % | 70 % | 25 to 50 % | - |"
    assert lines[-1].endswith("SGEMM 480 GFLOP/s (PyTorch's 210), copies 50 GB/s")


def test_the_table_of_scaling() -> None:
    row = {"axis": "batch", "model": "vae", "at": 1, "ratio": 0.5, "ours_mib": 10.0, "peer_mib": 8.0}
    rows = [row, {**row, "at": 512, "ratio": None}]
    lines = list(report_speed.scaling({**MADE, "rows": rows, "per_image": {"vae": {"ours": 1.1, "peer": None}}}))
    assert lines[2] == "| vae, batch 1 to 512 | 0.50, - | 1.25, 1.25 | 1.10; PyTorch - |"


@pytest.mark.parametrize("path", sorted(report.RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_every_result_names_its_command(path: Path) -> None:
    command = json.loads(path.read_text())["command"]
    assert command.startswith(("python -m benchmarks.", f"minigen reproduce {path.stem} "))

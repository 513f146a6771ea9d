"""The rulers: for a data set the classifier whose features its samples are compared in, and what the truth scores there.

    python -m benchmarks.ruler mnist        trains it where it is not yet, in runs/ruler-mnist; it can be stopped and goes on

The result, benchmarks/results/ruler_DATA.json, publishes recipe, seed, accuracy and the checksum of the weights. Beside it
stand the floors, training rows against test rows, of several numbers of rows, and the Frechet distance against that number: how
much of a figure is bias. docs/frechet_bias.png draws it for all rulers that have been measured. And where three of its images
can be stacked, `stacked` is what stacked test images score, 26,000 of them: the ceiling of the thousand modes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from minigen.data import load, names
from minigen.metrics.features import FeatureSpace
from minigen.metrics.frechet import frechet_distance
from minigen.metrics.sample_count import against_count
from minigen.metrics.sample_figures import sample_figures
from minigen.metrics.stacked import SAMPLES, of_channels, stacked_coverage
from minigen.random import Key
from minigen.training.ruler import ruler

RESULTS, PICTURE = Path(__file__).parent / "results", Path(__file__).parents[1] / "docs" / "frechet_bias.png"
ROWS = (500, 1000, 2000)  # of the floors
STEPS: dict[str, dict[str, Any]] = {
    "mnist": {"steps": 6000}
}  # twice its recipe's: published thousands of modes were counted at 99.2 % and more


def judged(space: FeatureSpace, data: str) -> dict[str, Any]:
    """What the truth scores: floors of several numbers of rows, and the Frechet distance against them."""
    train, test = load(data), load(data, "test")
    key = Key(0).at("ruler", data)
    order, rows = key.at("train").permutation(len(train)), key.at("test").permutation(len(test))[:2000]
    x, y = train.batch(order[: 4 * max(ROWS)]), test.batch(rows)
    floors: dict[str, Any] = {}
    for n in ROWS:
        found = sample_figures(space, x[2 * n : 4 * n], y, x[:n], key.at("floor", n))
        floors |= {figure.name: figure.as_json() for figure in found if not figure.name.endswith("_floor")}
    line = against_count(frechet_distance, space.features(x), space.features(y), (200, 300, 500, 1000, 2000), key.at("line"))
    found_line = line._asdict() | {"figures": [f._asdict() for f in line.figures]}
    return {"truth": floors, "frechet_against_rows": found_line, "stacked": stacked(space, data)}


def stacked(space: FeatureSpace, data: str) -> dict[str, Any] | None:
    """What the truth scores on a thousand modes, where there is such a data set."""
    if f"stacked_{data}" not in names():
        return None
    test = load(f"stacked_{data}", "test", rows=SAMPLES)
    parts = np.array_split(np.arange(SAMPLES), 260)
    p = np.concatenate([of_channels(space.probabilities, test.batch(part)) for part in parts])  # (n, 3, K)
    found = stacked_coverage(p)
    assert test.labels is not None
    right = float((p.argmax(2) @ np.array([100, 10, 1]) == test.labels).mean())
    return found._asdict() | {"kl_floor": found.kl_floor, "right_in_all_three": right}


def draw() -> None:
    """The Frechet distance of the truth from itself against 1 / rows, a line for each ruler, and where the line ends."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for path in sorted(RESULTS.glob("ruler_*.json")):
        result = json.loads(path.read_text())
        line = result["frechet_against_rows"]
        inverse = np.array([1 / f["rows"] for f in line["figures"]])
        (points,) = axes.plot(1000 * inverse, [f["value"] for f in line["figures"]], "o", ms=4)
        ends = np.array([0, inverse.max()])
        label = f"{result['data']}: {line['value']:.1f} of endlessly many"
        axes.plot(1000 * ends, line["value"] + line["slope"] * ends, color=points.get_color(), lw=1, label=label)
    axes.set(xlabel="1000 / rows", ylabel="Frechet distance", title="training rows against test rows: nothing but bias")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=130)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set with classes, such as mnist or glyphs")
    asked = parser.parse_args()
    began = time.monotonic()
    space = ruler(asked.data, **STEPS.get(asked.data, {}))
    head = {"command": f"python -m benchmarks.ruler {asked.data}", "cpus": os.cpu_count(), "numpy": np.__version__}
    result = {**head, "python": platform.python_version(), **space.published(), **judged(space, asked.data)}
    path = RESULTS / f"ruler_{asked.data}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    draw()
    print(f"{path}: {space.name}, accuracy {100 * space.accuracy:.2f} %, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

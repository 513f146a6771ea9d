"""Flows in the plane against the truth: excess nats over the exact entropy, for affine and spline couplings.

    python -m benchmarks.flows_2d                              # all, seeds 0 to 2; goes on where it was stopped
    python -m benchmarks.flows_2d --only spline --data grid25 --seeds 0

The mean of -log p over 100,000 test points, less the entropy of the density they were drawn from: 0 is a perfect model, and its
standard error stands beside it. Training points are drawn anew in each step, the learning rate falls to zero along a cosine.
Results go to benchmarks/results/flows_2d.json, a record for each coupling, density and seed, with the course of its training.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from minigen.backend import Array, workspace
from minigen.data.densities import density
from minigen.models.flow import NormalizingFlow
from minigen.models.neural_spline_flow import NeuralSplineFlow
from minigen.models.realnvp import RealNVP
from minigen.random import Key

RESULT = Path(__file__).parent / "results" / "flows_2d.json"
COUPLINGS: dict[str, type[RealNVP]] = {"affine": RealNVP, "spline": NeuralSplineFlow}
WIDE = {"initialiser": "he_normal", "spread": 3.0}  # first weights that make the networks bend everywhere
PLAIN = {"initialiser": "fan_in_uniform", "spread": 1.0}  # smoother: on the grid nothing depends on the other coordinate
AFFINE: dict[str, Any] = {"batch": 512, "depth": 12, "hidden": 64, "bound": 2.0, "clip": 5.0, **WIDE}
SPLINE: dict[str, Any] = {"batch": 512, "rate": 3e-3, "depth": 4, "hidden": 64, "bins": 32, "reach": 5.0}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "affine": {"grid25": {"steps": 24000, "rate": 2e-3, **AFFINE}, "checkerboard": {"steps": 12000, "rate": 5e-3, **AFFINE}},
    "spline": {"grid25": {"steps": 2000, **SPLINE, **PLAIN}, "checkerboard": {"steps": 7000, **SPLINE, **WIDE}},
}
DENSITIES = ("grid25", "checkerboard")
TEST, POINTS = 100_000, 8  # test points; places on the course of a training


def run(coupling: str, name: str, seed: int) -> dict[str, Any]:
    """Trains one flow; its excess nats at the end, and on the way."""
    options = dict(SETTINGS[coupling][name])
    batch, steps, rate = (options.pop(key) for key in ("batch", "steps", "rate"))
    key, truth = Key(seed), density(name)
    model = COUPLINGS[coupling]((2,), key.at("model"), **options)
    model.start(rate, steps)
    test = truth.sample(TEST, key.at("test")).astype(np.float32)
    began, cpu, course = time.monotonic(), 0.0, []
    with workspace():
        for i in range(steps):
            points = truth.sample(batch, key.at("data", i)).astype(np.float32)
            start = time.process_time()
            model.step(points, key.at("step", i))
            cpu += time.process_time() - start
            if (i + 1) % (steps // POINTS) == 0:
                loss = -log_prob(model, test)
                course.append({"step": i + 1, "excess": round(float(loss.mean()) - truth.entropy, 4)})
    error = float(loss.std()) / math.sqrt(TEST)
    spent = {"wall_seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(cpu, 1)}
    end = {"excess_nats": course[-1]["excess"], "standard_error": round(error, 4)}
    return {"coupling": coupling, "density": name, "seed": seed, **end, **spent, "updates": steps, "course": course}


def log_prob(model: NormalizingFlow, x: Array) -> Array:
    """In blocks, summed up in float64."""
    return np.concatenate([model.log_prob(block) for block in np.array_split(x, 25)]).astype(np.float64)


def load() -> list[dict[str, Any]]:
    """The records that are there."""
    records: list[dict[str, Any]] = json.loads(RESULT.read_text())["records"] if RESULT.exists() else []
    return records


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two records are of one run."""
    return all(a[name] == b[name] for name in ("coupling", "density", "seed"))


def save(record: dict[str, Any]) -> None:
    """Adds one record in one move; the file is read again, for other processes may have added theirs."""
    records = [r for r in load() if not same(r, record)] + [record]
    records.sort(key=lambda r: (list(SETTINGS).index(r["coupling"]), r["density"], r["seed"]))
    entropies = {name: density(name).entropy for name in DENSITIES}
    content = {
        "command": "python -m benchmarks.flows_2d",
        "settings": {"test_points": TEST, "entropies": entropies, **SETTINGS},
        "summary": summary(records),
        "records": records,
    }
    RESULT.parent.mkdir(exist_ok=True)
    part = RESULT.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(RESULT)


def summary(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds, and each seed's figure."""
    rows = []
    for coupling in SETTINGS:
        for name in DENSITIES:
            own = [r for r in records if (r["coupling"], r["density"]) == (coupling, name)]
            if own:
                by_seed = [r["excess_nats"] for r in own]
                cpu = round(mean(r["cpu_seconds"] for r in own), 1)
                figures = {"excess_nats": round(mean(by_seed), 4), "by_seed": by_seed, "cpu_seconds": cpu}
                rows.append({"coupling": coupling, "density": name, "seeds": len(own), **figures})
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--data", nargs="+", choices=DENSITIES, default=list(DENSITIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    for seed in asked.seeds:
        for coupling in asked.only:
            for name in asked.data:
                wanted = {"coupling": coupling, "density": name, "seed": seed}
                if not any(same(r, wanted) for r in load()):
                    record = run(coupling, name, seed)
                    save(record)
                    print(json.dumps({k: v for k, v in record.items() if k != "course"}), flush=True)
    for row in summary(load()):
        print(row)


if __name__ == "__main__":
    main()

"""What the figures of mode coverage have in common: train on a mixture in the plane, watch the modes, keep one record a seed.

The protocol is that of metrics.modes: 2,500 samples, 3 sigma; modes, quality, reverse KL, ratio of sigmas. A result file holds
the settings, means over the seeds, and for each treatment and seed a record with the course of its training.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from minigen.data.batches import Batch
from minigen.data.densities import density
from minigen.metrics.modes import SAMPLES, mode_coverage
from minigen.models.model import Model
from minigen.random import Key
from minigen.training.state import arrays_of, numbers_of, put_back

POINTS = 8  # on the course of a training


def main(
    command: str,
    document: str | None,
    path: Path,
    run: Callable[[str, int], dict[str, Any]],
    common: Mapping[str, Any],
    treatments: Mapping[str, Any],
) -> None:
    """The command of a benchmark: `run(treatment, seed)` for all that is asked for and not in the file `path` yet."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=treatments, default=list(treatments))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    asked = parser.parse_args()
    settings = {"protocol": "2,500 samples, 3 sigma", "common": common, "treatments": treatments}
    for seed in asked.seeds:
        for name in asked.only:
            if not any((r["treatment"], r["seed"]) == (name, seed) for r in load(path)):
                record = {"treatment": name, "seed": seed, **run(name, seed)}
                save(path, record, treatments, command=command, settings=settings)
                shown = {key: value for key, value in record.items() if key != "course"}
                print(json.dumps(shown), flush=True)
    for name, row in summary(load(path)).items():
        print(f"{name:18}", "  ".join(f"{key} {value}" for key, value in row.items()))


def train(model: Model, name: str, key: Key, *, batch: int, steps: int, rate: float, keep: Path) -> dict[str, Any]:
    """Trains a model on the mixture called `name`; its coverage at the end, and on the way, and the time it took.

    At every point of its course the training is kept in the file `keep`, from which it goes on where it was stopped.
    """
    mixture = density(name)
    assert mixture.modes is not None
    model.start(rate, steps)
    pool = mixture.sample(100_000, key.at("data")).astype(np.float32)
    course = resume(model, keep)
    began = time.process_time() - (course[-1]["cpu_seconds"] if course else 0)
    for i in range(course[-1]["step"] if course else 0, steps):
        rows = np.arange(i * batch, (i + 1) * batch) % len(pool)
        model.step(model.batch_of(Batch(pool[rows], None, rows)), key.at("step", i))
        if (i + 1) % (steps // POINTS) == 0:
            found = mode_coverage(model.sample(SAMPLES, key.at("samples", i)), *mixture.modes)
            course.append({"step": i + 1, "cpu_seconds": round(time.process_time() - began, 1), **found._asdict()})
            suspend(model, keep, course)
    keep.unlink()
    return {**course[-1], "course": course}


def suspend(model: Model, keep: Path, course: list[dict[str, Any]]) -> None:
    """Writes all that training changes, in one move."""
    keep.parent.mkdir(parents=True, exist_ok=True)
    part = keep.with_suffix(".part.npz")
    kept: dict[str, Any] = {"about": json.dumps({"course": course, "numbers": numbers_of(model)}), **arrays_of(model)}
    np.savez(part, **kept)
    part.replace(keep)


def resume(model: Model, keep: Path) -> list[dict[str, Any]]:
    """Puts the training in `keep` back, where there is one; its course so far."""
    if not keep.exists():
        return []
    saved = dict(np.load(keep))
    about: dict[str, Any] = json.loads(str(saved.pop("about")))
    put_back(model, saved, about["numbers"])
    course: list[dict[str, Any]] = about["course"]
    return course


def load(path: Path) -> list[dict[str, Any]]:
    """The records that are there."""
    records: list[dict[str, Any]] = json.loads(path.read_text())["records"] if path.exists() else []
    return records


def save(path: Path, record: Mapping[str, Any], treatments: Mapping[str, Any], **about: Any) -> None:
    """Adds one record in one move; the file is read again, for other processes may have added theirs."""
    records = [r for r in load(path) if (r["treatment"], r["seed"]) != (record["treatment"], record["seed"])] + [dict(record)]
    order = list(treatments)
    records.sort(key=lambda r: (order.index(r["treatment"]), r["seed"]))
    content = {**about, "summary": summary(records), "records": records}
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1).replace("NaN", "null") + "\n")
    part.replace(path)


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, and the modes of each, by treatment."""
    rows: dict[str, Any] = {}
    for name in dict.fromkeys(r["treatment"] for r in records):
        own = [r for r in records if r["treatment"] == name]
        means = {key: round(mean(r[key] for r in own), 4) for key in ("modes", "quality", "reverse_kl", "cpu_seconds")}
        ratios = [r["sigma_ratio"] for r in own if r["sigma_ratio"] is not None and np.isfinite(r["sigma_ratio"])]
        ratio = round(mean(ratios), 3) if ratios else None
        rows[name] = {"seeds": len(own), **means, "sigma_ratio": ratio, "modes_by_seed": [r["modes"] for r in own]}
    return rows

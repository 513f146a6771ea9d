"""Mode collapse on the ring of eight Gaussians, provoked and treated: plain, two rates, minibatch discrimination, unrolling.

    python -m benchmarks.ring                        # all, seeds 0 to 4; goes on where it was stopped
    python -m benchmarks.ring --only plain --seeds 0 1

The protocol is that of metrics.modes: 2,500 samples, 3 sigma, modes, quality, reverse KL, ratio of sigmas. Networks and batch
are the same for all, and the game is the non-saturating one where none is named. G is ten times as fast as D, which provokes
the collapse; for the two rates D is the faster one. Results go to benchmarks/results/ring8.json, a record for each
treatment and seed, with the course of its training.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from minigen.backend import workspace
from minigen.data.densities import density
from minigen.metrics.modes import SAMPLES, mode_coverage
from minigen.models.gan import GAN
from minigen.models.unrolled_gan import UnrolledGAN
from minigen.random import Key

RESULT = Path(__file__).parent / "results" / "ring8.json"
COMMON: dict[str, Any] = {"batch": 128, "latents": 16, "hidden": 128, "game": "non_saturating"}
TREATMENTS: dict[str, dict[str, Any]] = {
    "plain": {"rate": 1e-4, "rate_ratio": 10.0, "steps": 2000},
    "two_rates": {"rate": 4e-4, "rate_ratio": 0.25, "steps": 12000},
    "minibatch": {"rate": 1e-4, "rate_ratio": 10.0, "steps": 5000, "minibatch": 4},
    "unrolled": {"rate": 1e-4, "rate_ratio": 10.0, "steps": 600, "unroll": 5, "unroll_rate": 0.5},
    "plain_minimax": {"rate": 1e-4, "rate_ratio": 10.0, "steps": 2000, "game": "minimax"},
    "two_rates_minimax": {"rate": 1e-3, "rate_ratio": 0.1, "steps": 2000, "game": "minimax"},
}
POINTS = 8  # on the course of a training


def run(name: str, seed: int) -> dict[str, Any]:
    """Trains one model; its coverage at the end, and on the way."""
    options = COMMON | TREATMENTS[name]
    batch, steps, rate = (options.pop(key) for key in ("batch", "steps", "rate"))
    key, ring = Key(seed), density("ring8")
    assert ring.modes is not None
    model: Any = (UnrolledGAN if name == "unrolled" else GAN)((2,), key.at("model"), **options)
    model.start(rate, steps)
    pool = ring.sample(100_000, key.at("data")).astype(np.float32)
    began, cpu, course = time.monotonic(), time.process_time(), []
    with workspace():
        for i in range(steps):
            rows = np.arange(i * batch, (i + 1) * batch) % len(pool)
            model.step(pool[rows], key.at("step", i))
            if (i + 1) % (steps // POINTS) == 0:
                found = mode_coverage(model.sample(SAMPLES, key.at("samples", i)), *ring.modes)
                course.append({"step": i + 1, **found._asdict()})
    spent = {"wall_seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(time.process_time() - cpu, 1)}
    return {"treatment": name, "seed": seed, **spent, **course[-1], "course": course}


def load() -> list[dict[str, Any]]:
    """The records that are there."""
    records: list[dict[str, Any]] = json.loads(RESULT.read_text())["records"] if RESULT.exists() else []
    return records


def save(record: dict[str, Any]) -> None:
    """Adds one record in one move; the file is read again, for other processes may have added theirs."""
    records = [r for r in load() if (r["treatment"], r["seed"]) != (record["treatment"], record["seed"])] + [record]
    order = list(TREATMENTS)
    records.sort(key=lambda r: (order.index(r["treatment"]), r["seed"]))
    settings = {"protocol": "2,500 samples, 3 sigma", "common": COMMON, "treatments": TREATMENTS}
    RESULT.parent.mkdir(exist_ok=True)
    part = RESULT.with_suffix(f".{os.getpid()}.part")
    content = {"command": "python -m benchmarks.ring", "settings": settings, "summary": summary(records), "records": records}
    part.write_text(json.dumps(content, indent=1).replace("NaN", "null") + "\n")
    part.replace(RESULT)


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, and the modes of each."""
    rows = {}
    for name in TREATMENTS:
        own = [r for r in records if r["treatment"] == name]
        if own:
            means = {key: round(mean(r[key] for r in own), 4) for key in ("modes", "quality", "reverse_kl", "cpu_seconds")}
            ratios = [r["sigma_ratio"] for r in own if r["sigma_ratio"] is not None and np.isfinite(r["sigma_ratio"])]
            ratio = round(mean(ratios), 3) if ratios else None
            rows[name] = {"seeds": len(own), **means, "sigma_ratio": ratio, "modes_by_seed": [r["modes"] for r in own]}
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TREATMENTS, default=list(TREATMENTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    asked = parser.parse_args()
    for seed in asked.seeds:
        for name in asked.only:
            if not any((r["treatment"], r["seed"]) == (name, seed) for r in load()):
                record = run(name, seed)
                save(record)
                shown = {key: value for key, value in record.items() if key != "course"}
                print(json.dumps(shown), flush=True)
    for name, row in summary(load()).items():
        print(f"{name:18}", "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()

"""RBM with 16 hidden units on MNIST thresholded at 1/2, plain and centred: the exact likelihood of the test set.

    python -m benchmarks.rbm_mnist                        # both, seeds 0 to 2; goes on where it was stopped
    python -m benchmarks.rbm_mnist --only centered --seeds 0

PCD-1, batch 100, 50 epochs, rate 0.01; 100 chains where centred, 500 where plain. With 16 hidden units Z is a sum of 2^16
terms, so the mean of -log p over all 10,000 test images is exact. Beside it stand annealed importance sampling and reverse
annealing of the same Z, each with its own standard error (the delta method on the weights of 2,000 chains), and how far off
they are.

Annealing starts from a mixture of 1,000 products of independent bits, p(v|h) of as many Gibbs chains that went 1,000 sweeps
from training images. The base is what decides: states become modes that no chain leaves as the temperature falls, and those
that a poor base does not lead to are reached by one chain in thousands. From the ten digits' mean images, 1,000 steps of 2,000
chains had standard errors of 0.06 to 0.23, and neither more steps nor more chains make them smaller: of 500 chains 21 count,
(sum w)^2 / sum w^2, after 200 steps, 29 after 4,000. Drawing the chains anew in proportion to their weights, in populations of
50 to 500, made it worse: errors of 0.1, and estimates 0.6 too low, for the chains of a mode that will be heavy later die out
while they are still light. Of 300 parts, 30 sweeps from the data: 0.14 to 0.33. Of 300 parts and 1,000 sweeps: 0.07 to 0.13.

A rate that stays 0.01 leaves the last iterate moving. With 100 chains the plain ones ended at 146.4, 145.9 and 146.3 nats in
one run of this command and at 146.3, 148.3 and 150.5 in another, where other rounding took the chains another way: a hundred
chains are a noisy half of the gradient. With 500 the three end within 1.1 nats of each other. The mean of the parameters over
the last ten epochs stands still also with few chains (Polyak and Juditsky 1992; 144.4 plain), and its figure stands beside
that of the last iterate. A rate that falls to a tenth is slower: 147.9 plain and 144.1 centred, seed 0.

Results go to benchmarks/results/rbm_mnist.json, a record for each variant and seed. MINIGEN_DATA may name the folder
that holds mnist/.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from minigen.backend import Array, workspace
from minigen.data import Batches, load
from minigen.data.dataset import Dataset
from minigen.models.partition import ais, chain_means, exact_log_z, exact_samples, reverse_ais
from minigen.models.rbm import RBM
from minigen.random import Key

RUNS = Path("runs/rbm_mnist")
RESULT = Path(__file__).parent / "results" / "rbm_mnist.json"
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"centered": False, "chains": 500},
    "centered": {"centered": True, "chains": 100},
}
OPTIONS: dict[str, Any] = {"hidden": 16, "persistent": True, "k": 1, "final_rate": 1.0}
BATCH, EPOCHS, RATE = 100, 50, 0.01
AVERAGED = 10  # the last epochs, over whose steps the parameters are averaged
AIS_CHAINS, AIS_STEPS = 2000, 100
PARTS, SWEEPS = 1000, 1000  # of the mixture that annealing starts from: chains from training images
FIRST_ROWS = 10_000  # whose mean the visible biases start from


def run(variant: str, seed: int, train: Dataset, test: Dataset) -> dict[str, Any]:
    """Trains one model, or takes the one in RUNS; its exact figure, and the annealed ones beside it."""
    key, path = Key(seed), RUNS / f"{variant}-{seed}.npz"
    model = RBM(train.shape, key.at("model"), **OPTIONS, **VARIANTS[variant])
    images = test.batch(np.arange(len(test))).reshape(len(test), -1)
    if not path.exists():
        fit(model, key, train, images, path)
    with np.load(path) as trained:
        model.theta[...] = trained["averaged"]
        averaged = exact_nll(model, images)
        model.theta[...] = trained["theta"]
        seconds, course = float(trained["seconds"]), trained["course"].tolist()
    F, log_z = model.energy.forward(images)[0].astype(np.float64), exact_log_z(model.energy)

    cpu = time.process_time()
    rows = np.linspace(0, len(train) - 1, PARTS).astype(np.int64)
    means = chain_means(model.energy, train.batch(rows).reshape(PARTS, -1), SWEEPS, key.at("chains"))
    there = ais(model.energy, means, chains=AIS_CHAINS, steps=AIS_STEPS, key=key.at("ais"))
    start = exact_samples(model.energy, AIS_CHAINS, key.at("exact"))
    back = reverse_ais(model.energy, means, start, steps=AIS_STEPS, key=key.at("reverse"))
    return {
        "variant": variant,
        "seed": seed,
        "cpu_seconds": round(seconds, 1),
        "cpu_seconds_annealing": round(time.process_time() - cpu, 1),
        "negative_log_likelihood": round(F.mean() + log_z, 4),
        "of_averaged_parameters": round(averaged, 4),
        "standard_error": round(F.std(ddof=1) / math.sqrt(len(F)), 3),
        "log_z": round(log_z, 4),
        "ais": {"log_z": round(there.value, 4), "sigma": round(there.error, 4), "off": round(there.value - log_z, 4)},
        "reverse_ais": {"log_z": round(back.value, 4), "sigma": round(back.error, 4), "off": round(back.value - log_z, 4)},
        "course": [round(nll, 3) for nll in course],
    }


def fit(model: RBM, key: Key, train: Dataset, images: Array, path: Path) -> None:
    """Trains `model` and writes its parameters, with the exact figure after each fifth of the steps."""
    batches = Batches(train, BATCH, key.at("data"))
    steps = EPOCHS * batches.per_epoch
    model.start(RATE, steps)
    model.data_init(train.batch(np.arange(FIRST_ROWS)).reshape(FIRST_ROWS, -1), key.at("data_init"))
    cpu, course, averaged, first = time.process_time(), [], np.zeros_like(model.theta), steps - AVERAGED * batches.per_epoch
    with workspace():
        for i in range(steps):
            model.step(model.batch_of(next(batches)), key.at("step", i))
            if i >= first:
                averaged += (model.theta - averaged) / (i + 1 - first)
            if (i + 1) % (steps // 5) == 0:
                course.append(exact_nll(model, images))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, theta=model.theta, averaged=averaged, seconds=time.process_time() - cpu, course=course)


def exact_nll(model: RBM, images: Array) -> float:
    """The mean of -log p over the images, nats."""
    F: Array = model.energy.forward(images)[0]
    return float(F.mean(dtype=np.float64)) + exact_log_z(model.energy)


def load_records() -> list[dict[str, Any]]:
    """The records that are there."""
    records: list[dict[str, Any]] = json.loads(RESULT.read_text())["records"] if RESULT.exists() else []
    return records


def save(record: dict[str, Any]) -> None:
    """Adds one record in one move; the file is read again, for other processes may have added theirs."""
    same = lambda r: (r["variant"], r["seed"]) == (record["variant"], record["seed"])
    records = [r for r in load_records() if not same(r)] + [record]
    records.sort(key=lambda r: (list(VARIANTS).index(r["variant"]), r["seed"]))
    content = {
        "command": "python -m benchmarks.rbm_mnist",
        "protocol": "MNIST thresholded at 1/2, all 10,000 test images, exact partition sum, nats per image",
        "settings": {"options": OPTIONS, "variants": VARIANTS, "batch": BATCH, "epochs": EPOCHS, "rate": RATE},
        "annealing": {
            "chains": AIS_CHAINS,
            "steps": AIS_STEPS,
            "from": "p(v|h) of Gibbs chains",
            "parts": PARTS,
            "sweeps": SWEEPS,
        },
        "numpy": np.__version__,
        "python": platform.python_version(),
        "summary": summary(records),
        "records": records,
    }
    part = RESULT.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(RESULT)


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """For each variant the mean over the seeds, and the worst of what annealing has done."""
    rows = {}
    for name in VARIANTS:
        own = [r for r in records if r["variant"] == name]
        if own:
            rows[name] = {
                "seeds": len(own),
                "negative_log_likelihood": round(mean(r["negative_log_likelihood"] for r in own), 3),
                "by_seed": [r["negative_log_likelihood"] for r in own],
                "of_averaged_parameters": round(mean(r["of_averaged_parameters"] for r in own), 3),
                "cpu_seconds": round(mean(r["cpu_seconds"] for r in own), 1),
                "largest_sigma": max(r["ais"]["sigma"] for r in own),
                "largest_off_in_sigmas": round(max(abs(r["ais"]["off"]) / r["ais"]["sigma"] for r in own), 2),
                "reverse_largest_sigma": max(r["reverse_ais"]["sigma"] for r in own),
                "reverse_largest_off_in_sigmas": round(
                    max(abs(r["reverse_ais"]["off"]) / r["reverse_ais"]["sigma"] for r in own), 2
                ),
            }
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(3)))
    asked = parser.parse_args()
    train, test = (load("mnist", split, binarise="threshold") for split in ("train", "test"))
    for seed in asked.seeds:
        for name in asked.only:
            if not any((r["variant"], r["seed"]) == (name, seed) for r in load_records()):
                record = run(name, seed, train, test)
                save(record)
                print(json.dumps({key: value for key, value in record.items() if key != "course"}), flush=True)
    for name, row in summary(load_records()).items():
        print(f"{name:10}", "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()

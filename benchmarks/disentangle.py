"""Disentanglement on glyph factors: the VAE, the beta-VAE and the FactorVAE, on equal grids, and encoders of random weights.

    python -m benchmarks.disentangle                      all settings and five seeds; what is there already is left
    python -m benchmarks.disentangle --only vae_1 --seeds 0

All have the networks of `beta_vae`, and those of one seed see the same batches of 128 rows from the same first weights. (The
FactorVAE halves each batch, as its paper has it: one half for the bound, one for the discriminator.) The grids have three
values each: beta 1 (the VAE), 2, 4; gamma 2, 5, 10. Representations are judged on fresh draws of the factors
(`metrics.representation`). Results go to benchmarks/results/disentangle.json: a record for each setting and seed, and means
over the seeds with Student's interval.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from minigen.data import Batches, GlyphFactors, load
from minigen.metrics.figure import Figure, over_seeds
from minigen.metrics.representation import representation_figures
from minigen.models.beta_vae import BetaVAE
from minigen.models.factor_vae import FactorVAE
from minigen.models.vae import VAE
from minigen.random import Key

RESULT = Path(__file__).parent / "results" / "disentangle.json"
STEPS, BATCH, RATE, ROWS, VOTES = 5000, 128, 1e-3, 4000, 400
SETTINGS: dict[str, tuple[type[VAE], dict[str, float]]] = {
    "vae_1": (BetaVAE, {"beta": 1.0}),
    "beta_vae_2": (BetaVAE, {"beta": 2.0}),
    "beta_vae_4": (BetaVAE, {"beta": 4.0}),
    "factor_vae_2": (FactorVAE, {"gamma": 2.0}),
    "factor_vae_5": (FactorVAE, {"gamma": 5.0}),
    "factor_vae_10": (FactorVAE, {"gamma": 10.0}),
}


def trained(name: str, seed: int) -> dict[str, Any]:
    """One record: the figures of a trained encoder, and of its own first weights."""
    kind, options = SETTINGS[name]
    key, data = Key(seed).at("disentangle"), load("glyph_factors")
    make: Any = kind
    model, fresh = (make(data.shape, key.at("model"), **options) for _ in range(2))
    model.start(RATE, STEPS)
    batches, began, terms = Batches(data, BATCH, key.at("data")), time.process_time(), {}
    for i in range(STEPS):
        terms = model.step(model.batch_of(next(batches)), key.at("step", i))
    seconds = time.process_time() - began
    source = GlyphFactors()
    encode, untrained = (lambda images, of=of: of.encode(images)[0] for of in (model, fresh))
    figures = representation_figures(encode, source, Key(7), untrained=untrained, rows=ROWS, votes=VOTES, repeats=20)
    last = {term: round(float(value), 3) for term, value in terms.items()}
    return {
        "setting": name,
        "seed": seed,
        "cpu_seconds": round(seconds, 1),
        "last_terms": last,
        "figures": [f.as_json() for f in figures],
    }


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over the seeds of each figure, with its interval, by setting."""
    rows: dict[str, Any] = {}
    for name in SETTINGS:
        own = [[Figure.of_json(f) for f in r["figures"]] for r in records if r["setting"] == name]
        if own:
            means = [over_seeds(same) for same in zip(*own, strict=True)]
            rows[name] = {"seeds": len(own)} | {
                f.name: [round(f.value, 4), *(round(end, 4) for end in f.interval or ())] for f in means
            }
    return rows


def records() -> list[dict[str, Any]]:
    """What is there already."""
    found: list[dict[str, Any]] = json.loads(RESULT.read_text())["records"] if RESULT.exists() else []
    return found


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    asked = parser.parse_args()
    head = {
        "command": "python -m benchmarks.disentangle",
        "protocol": f"glyph_factors, {STEPS} steps of {BATCH} rows, rate {RATE:g}; {ROWS} images, {VOTES} votes",
        "cpus": os.cpu_count(),
        "numpy": np.__version__,
    }
    for seed in asked.seeds:
        for name in asked.only:
            if any((r["setting"], r["seed"]) == (name, seed) for r in records()):
                continue
            found = [*records(), trained(name, seed)]
            part = RESULT.with_suffix(".part")
            part.write_text(json.dumps({**head, "summary": summary(found), "records": found}, indent=1) + "\n")
            part.replace(RESULT)
            print(name, seed, {f["name"]: round(f["value"], 3) for f in found[-1]["figures"]}, flush=True)


if __name__ == "__main__":
    main()

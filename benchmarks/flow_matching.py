"""Flow matching on eight Gaussians of radius 5 and variance 0.316: the energy distance of its samples, beside the truth's own.

    python -m benchmarks.flow_matching               # seeds 0 to 2; goes on where it was stopped
    python -m benchmarks.flow_matching --gallery     # the other densities too, seed 0: KL(data || model) alone

The energy distance is that of metrics.energy_distance, unbiased and not rooted, of 10,000 samples against 10,000 new points of
the truth. Below it the floor, which is what the truth scores against the truth. The same for Euler's and Heun's rule with few
and many steps, and with the velocity that flow matching regresses on, in closed form (models.mixture_path): what is left there
is the error of the integration alone. KL(data || model) is measured on the same points with the exact likelihood. Settings
are the recipe's. Results go to benchmarks/results/flow_matching_points.json.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from minigen.backend import Array, workspace
from minigen.data.densities import Density, Mixture, density
from minigen.metrics.blocks import in_blocks
from minigen.metrics.energy_distance import energy_distance, floor
from minigen.models.flow_matching import FlowMatching
from minigen.models.integrators import grid, integrator
from minigen.models.mixture_path import path_velocity
from minigen.random import Key

RESULT = Path(__file__).parent / "results" / "flow_matching_points.json"
DATA, SAMPLES, REPEATS = "gaussians8", 10_000, 16
OTHERS = ("checkerboard", "moons", "pinwheel", "spirals", "grid25")
STEPS = (1, 2, 5, 10, 20, 50)
RULES = [(name, steps) for name in ("euler", "heun") for steps in STEPS]
LIKELIHOOD_STEPS = 50


def truth() -> Mixture:
    """The density, whose modes are known."""
    found = density(DATA)
    assert isinstance(found, Mixture)
    return found


def train(d: Density, key: Key) -> FlowMatching:
    """A model as its recipe has it, on new points in every step."""
    recipe = FlowMatching.recipe
    options: dict[str, Any] = dict(recipe.options)
    model = FlowMatching((2,), key.at("model"), **options)
    model.start(recipe.rate, recipe.steps)
    with workspace():
        for i in range(recipe.steps):
            batch = d.sample(recipe.batch, key.at("data", i)).astype(np.float32)
            model.step(batch, key.at("step", i))
    return model


def likelihood(model: FlowMatching, d: Density, x: Array) -> dict[str, float]:
    """The mean negative log likelihood of points x of the truth, and the divergence: the mean of log p(x) - log model(x)."""
    learned = in_blocks(partial(model.log_likelihood, steps=LIKELIHOOD_STEPS), x.astype(np.float32))
    gap = d.log_density(x) - learned
    error = float(gap.std(ddof=1) / len(gap) ** 0.5)
    return {"kl": float(gap.mean()), "kl_standard_error": error, "negative_log_likelihood": float(-learned.mean())}


def exact() -> dict[str, float]:
    """The energy distance of samples of the exact velocity, for each rule."""
    d, key = truth(), Key(0).at("exact")
    assert d.modes is not None
    velocity = partial(path_velocity, *d.modes)
    x0, x = key.at("noise").normal((SAMPLES, 2), np.float64), d.sample(SAMPLES, key.at("true"))
    return {f"{name}_{steps}": energy_distance(integrator(name)(velocity, x0, grid(0, 1, steps)), x) for name, steps in RULES}


def run(seed: int) -> dict[str, Any]:
    """Trains one model and measures it."""
    d, key, recipe = truth(), Key(seed), FlowMatching.recipe
    began, cpu = time.monotonic(), time.process_time()
    model = train(d, key)
    trained = time.process_time() - cpu
    x, x0 = d.sample(SAMPLES, key.at("true")), model.noise(SAMPLES, key.at("noise"))
    found = {f"{name}_{steps}": energy_distance(model.flow(x0, 0, 1, name, steps), x) for name, steps in RULES}
    return {
        "seed": seed,
        "energy_distance": found["{integrator}_{integration_steps}".format(**recipe.options)],
        **likelihood(model, d, x),
        "updates": recipe.steps,
        "training_cpu_seconds": round(trained, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "wall_seconds": round(time.monotonic() - began, 1),
        "by_rule": found,
    }


def gallery(name: str) -> dict[str, Any]:
    """Another density: how far the model is from it."""
    d, key, cpu = density(name), Key(0), time.process_time()
    model = train(d, key)
    found = likelihood(model, d, d.sample(SAMPLES, key.at("true")))
    return {"data": name, "seed": 0, "entropy": d.entropy, **found, "cpu_seconds": round(time.process_time() - cpu, 1)}


def load() -> dict[str, Any]:
    """What has been measured."""
    measured: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"records": []}
    return measured


def save(**parts: Any) -> None:
    """Adds parts to the result, in one move."""
    recipe, d = FlowMatching.recipe, truth()
    assert d.modes is not None
    settings = {"data": DATA, "variance": d.modes.sigma**2, "radius": 5, "samples": SAMPLES, "options": dict(recipe.options)}
    settings |= {"batch": recipe.batch, "updates": recipe.steps, "rate": recipe.rate, "likelihood_steps": LIKELIHOOD_STEPS}
    fixed = {"command": "python -m benchmarks.flow_matching --gallery", "settings": settings, "entropy": d.entropy}
    content = load() | fixed | parts
    if records := content["records"]:
        content["energy_distance"] = mean(r["energy_distance"] for r in records)
        content["kl"] = mean(r["kl"] for r in records)
    RESULT.parent.mkdir(exist_ok=True)
    part = RESULT.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(RESULT)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--gallery", nargs="*", choices=OTHERS, help="the other densities too, or some of them")
    asked = parser.parse_args()
    for seed in asked.seeds:
        if all(r["seed"] != seed for r in load()["records"]):
            record = run(seed)
            save(records=sorted([*load()["records"], record], key=lambda r: r["seed"]))
            print(json.dumps(record), flush=True)
    if "floor" not in load():
        save(floor=floor(truth().sample, SAMPLES, Key(0).at("floor"), REPEATS)._asdict())
    if "exact_velocity" not in load():
        save(exact_velocity=exact())
    for name in () if asked.gallery is None else asked.gallery or OTHERS:
        if all(r["data"] != name for r in load().get("gallery", [])):
            record = gallery(name)
            save(gallery=[*load().get("gallery", []), record])
            print(json.dumps(record), flush=True)
    found = load()
    print("energy distance", found["energy_distance"], "floor", found["floor"], "KL", found["kl"], "nats")


if __name__ == "__main__":
    main()

"""The figures of the autoencoders on MNIST, each beside what needs no network.

    python -m benchmarks.autoencoders dense         reconstruction and rate-distortion, 64 codes, beside PCA
    python -m benchmarks.autoencoders denoising     decibels before and after, three kinds of noise
    python -m benchmarks.autoencoders anomaly       one digit against the rest: AUROC of VAE, autoencoder, PCA, neighbours

Results go to benchmarks/results/autoencoders_*.json. `anomaly` saves after each training and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigen.backend import Array
from minigen.data import Batches, Dataset, load
from minigen.metrics.auroc import auroc
from minigen.metrics.blocks import in_blocks
from minigen.metrics.compression import rate_distortion
from minigen.metrics.nearest import nearest
from minigen.metrics.pca import PCA
from minigen.metrics.squared_error import psnr, squared_errors
from minigen.models.autoencoder import Autoencoder
from minigen.models.denoising_autoencoder import DenoisingAutoencoder
from minigen.models.model import Model
from minigen.models.vae import VAE
from minigen.random import Key

RESULTS = Path(__file__).parent / "results"
CODES = 64
DENSE: dict[str, Any] = {"epochs": 20, "batch": 128, "rate": 2e-3, "codes": CODES}
DENOISING: dict[str, Any] = {"epochs": 20, "batch": 128, "rate": 2e-3, "codes": 64, "hidden": 512}
NOISES = {"masking": 0.5, "gaussian": 0.3, "salt_and_pepper": 0.3}

# Chosen with digits 5 and 8 alone, whose last 1,000 training images and the last 8,000 training images of the other digits were
# held out for it; no test image was looked at. The score, the squared error of the reconstruction, was fixed beforehand.
ANOMALY: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "vae": (VAE, {"epochs": 40, "batch": 128, "rate": 1e-3, "hidden": 400, "latents": 20}),
    "autoencoder": (Autoencoder, {"epochs": 20, "batch": 128, "rate": 1e-3, "codes": 16, "hidden": 256}),
}
PROTOCOL = (
    "train on one digit's training images, score all 10,000 test images, the digit against the rest; the score, the squared "
    "error of the reconstruction (of the VAE at the posterior's mean), fixed beforehand; epochs and widths chosen on digits 5 "
    "and 8 with training images held out"
)
BASELINES: dict[str, dict[str, int]] = {
    "pca16": {"components": 16},
    "pca32": {"components": 32},
    "nearest": {"k": 5},  # the mean distance to the five nearest training images
}


def fit(cls: Any, data: Dataset, key: Key, *, epochs: int, batch: int, rate: float, **options: Any) -> Any:
    """A model trained on `data`."""
    model = cls(data.shape, key.at("model"), **options)
    batches = Batches(data, batch, key.at("data"))
    steps = epochs * batches.per_epoch
    model.start(rate, steps)
    for i in range(steps):
        model.step(next(batches).images, key.at("step", i))
    return model


def images_of(data: Dataset) -> Array:
    """All of them, (N, H, W, C) float32."""
    return data.batch(np.arange(len(data)))


def error_of(reconstruct: Callable[[Array], Array], x: Array) -> Array:
    """The mean squared error per pixel of every image, (N,)."""
    return squared_errors(in_blocks(reconstruct, x), x)


def dense(train: Dataset, test: Dataset, seed: int) -> dict[str, Any]:
    """Test error of the 784-64-784 autoencoder and of PCA(64), and both rate-distortion curves."""
    x, seen = images_of(test), images_of(train)
    model = fit(Autoencoder, train, Key(seed), **DENSE)
    pca = PCA.fit(seen, CODES)
    clipped = lambda images: pca.reconstruct(images, clip=(0, 1))
    curves = {
        f"{name}, {'one common step' if common else 'a step for each unit'}": rate_distortion(
            coder.encode, coder.decode, seen, x, common_step=common
        )
        for name, coder in (("autoencoder", model), ("pca", pca))
        for common in (False, True)
    }
    return {
        "settings": DENSE,
        "test_mse": float(error_of(model.reconstruct, x).mean()),
        "pca_test_mse": float(error_of(clipped, x).mean()),
        "dead_codes": int((in_blocks(model.encode, x).std(0) < 1e-6).sum()),
        "curves": {name: [point._asdict() for point in points] for name, points in curves.items()},
    }


def denoising(train: Dataset, test: Dataset, seed: int) -> dict[str, Any]:
    """Decibels of the test images before and after, for each noise at the amount it was trained for."""
    x, found = images_of(test), {}
    for noise, amount in NOISES.items():
        model = fit(DenoisingAutoencoder, train, Key(seed), noise=noise, amount=amount, **DENOISING)
        noisy = model.corrupt(x, Key(seed).at("test noise"))
        denoised = in_blocks(model.reconstruct, noisy)
        pca = PCA.fit(images_of(train)[:10_000], CODES)
        found[noise] = {
            "amount": amount,
            "psnr_noisy": float(psnr(noisy.clip(0, 1), x).mean()),
            "psnr_denoised": float(psnr(denoised, x).mean()),
            "psnr_projected_by_pca": float(psnr(pca.reconstruct(noisy, clip=(0, 1)), x).mean()),
        }
        print(noise, found[noise], flush=True)
    return {"settings": DENOISING, "noises": found}


def anomaly(train: Dataset, test: Dataset, seeds: int, path: Path) -> dict[str, Any]:
    """AUROC in percent, by method, digit and seed. A method that draws nothing has one run."""
    settings = {name: options for name, (_, options) in ANOMALY.items()}
    settings |= BASELINES
    runs: list[dict[str, Any]] = []
    if path.exists() and (saved := json.loads(path.read_text()))["settings"] == settings:
        runs = saved["runs"]
    x, done = images_of(test), {(run["method"], run["digit"], run["seed"]) for run in runs}
    for seed in range(seeds):
        for digit in range(10):
            normal = train.at(train.of_class(str(digit)))
            anomalous, seen = ~test.of_class(str(digit)), images_of(normal)
            for method in (*ANOMALY, *(BASELINES if seed == 0 else ())):
                if (method, digit, seed) in done:
                    continue
                began = time.monotonic()
                if method == "nearest":
                    score = nearest(x, seen, BASELINES[method]["k"]).distances.mean(1)
                elif method in BASELINES:
                    score = error_of(PCA.fit(seen, **BASELINES[method]).reconstruct, x)
                else:
                    cls, options = ANOMALY[method]
                    score = error_of(fit(cls, normal, Key(seed).at("digit", digit), **options).reconstruct, x)
                seconds = round(time.monotonic() - began, 1)
                runs.append(
                    {"method": method, "digit": digit, "seed": seed, "auroc": 100 * auroc(score, anomalous), "seconds": seconds}
                )
                print(runs[-1], flush=True)
                save(
                    path, "anomaly", {"protocol": PROTOCOL, "settings": settings, "mean_auroc": mean_auroc(runs), "runs": runs}
                )
    return {"protocol": PROTOCOL, "settings": settings, "mean_auroc": mean_auroc(runs), "runs": runs}


def mean_auroc(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """By method: the mean over digits for every seed that has all ten, and the mean over those seeds."""
    means: dict[str, Any] = {}
    for method in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == method]
        by_seed = {seed: [run["auroc"] for run in own if run["seed"] == seed] for seed in {run["seed"] for run in own}}
        complete = {seed: float(np.mean(values)) for seed, values in by_seed.items() if len(values) == 10}
        if complete:
            means[method] = {"mean": float(np.mean(list(complete.values()))), "by_seed": complete}
    return means


def save(path: Path, what: str, figures: dict[str, Any]) -> None:
    """Writes the figures with the command that made them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"command": f"python -m benchmarks.autoencoders {what}", "data": "mnist", "numpy": np.__version__}
    new = path.with_suffix(".new")
    new.write_text(json.dumps({**head, "python": platform.python_version(), **figures}, indent=1) + "\n")
    new.replace(path)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("dense", "denoising", "anomaly"))
    parser.add_argument("--seeds", type=int, default=3, help="of anomaly")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    train, test = load("mnist"), load("mnist", "test")
    path = given.out / f"autoencoders_{given.what}.json"
    if given.what == "anomaly":
        found = anomaly(train, test, given.seeds, path)
    else:
        found = {"dense": dense, "denoising": denoising}[given.what](train, test, 0)
    save(path, given.what, found)
    print(json.dumps({name: value for name, value in found.items() if name != "runs"}, indent=1))


if __name__ == "__main__":
    main()

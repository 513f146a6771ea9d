"""GANs on MNIST, judged by a classifier that minigen trained itself: which digits they draw, and whether those asked for.

    python -m benchmarks.gan_mnist classifier       trains the ruler
    python -m benchmarks.gan_mnist dcgan            trains DCGAN, at most 15 minutes; the classes of 10,000 samples
    python -m benchmarks.gan_mnist conditional_gan  trains it, at most 15 minutes; is the class the one that was asked for?

Each is `minigen train MODEL --data mnist --minutes 15 --out runs/gan_mnist/MODEL` and a judgement of what it left there. A run
that was stopped goes on with the minutes it has left; one that has none left is judged as it stands. Results go to
benchmarks/results/gan_mnist_MODEL.json, the pictures to docs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from minigen.backend import Array
from minigen.data import Dataset, load
from minigen.metrics.blocks import in_blocks
from minigen.models.classifier import Classifier
from minigen.random import Key
from minigen.training import Run, load_model, log
from minigen.training.pictures import save_grid

RESULTS, PICTURES = Path(__file__).parent / "results", Path(__file__).parents[1] / "docs"
RUNS = Path("runs/gan_mnist")
MINUTES = 15.0
SAMPLES, CLASSES, BLOCK = 10_000, 10, 250
KEY = Key(0).at("gan_mnist")


def trained(name: str, minutes: float) -> tuple[Any, dict[str, Any]]:
    """The model after at most `minutes` of training in all, and how it was trained."""
    folder = RUNS / name
    run = Run.resume(folder) if (folder / "config.json").exists() else Run.create(name, data="mnist", out=folder)
    left = minutes - seconds_of(run) / 60
    if left > 0 and not run.finished:
        print(f"{name}: step {run.step} of {run.settings.steps}, {left:.1f} minutes left", flush=True)
        run.train(minutes=left)
    model, settings, step, _ = load_model(folder)
    used = {"steps": step, "minutes": round(seconds_of(run) / 60, 2), "parameters": model.vector.size}
    return model, {**used, "settings": settings.as_json()}


def seconds_of(run: Run) -> float:
    """How long a run has trained so far."""
    return max((line.get("seconds", 0.0) for line in log.read(run.log.path)), default=0.0)


def ruler() -> Classifier:
    """The classifier that `python -m benchmarks.gan_mnist classifier` has trained."""
    model = load_model(RUNS / "classifier").model
    assert isinstance(model, Classifier)
    return model


def classifier(minutes: float) -> dict[str, Any]:
    """Its accuracy on the 10,000 test images, whole and by class."""
    model, how = trained("classifier", minutes)
    test = load("mnist", "test")
    right = model.predict(images_of(test)) == test.labels
    by_class = [float(right[test.labels == k].mean()) for k in range(CLASSES)]
    return {**how, "test_accuracy": float(right.mean()), "by_class": by_class}


def dcgan(minutes: float) -> dict[str, Any]:
    """Which classes the classifier finds among the samples, in percent; how sure it is."""
    model, how = trained("dcgan", minutes)
    images = np.concatenate([model.sample(BLOCK, KEY.at("samples", i)) for i in range(SAMPLES // BLOCK)])
    save_grid(PICTURES / "dcgan_mnist.png", images[:100].reshape(10, 10, *images.shape[1:]))
    judge = ruler()
    p = judge.probabilities(images)  # (samples, K)
    found = np.bincount(p.argmax(1), minlength=CLASSES) / SAMPLES
    return {
        **how,
        "samples": SAMPLES,
        "percent_of_samples": [round(100 * float(part), 2) for part in found],
        "rarest_percent": round(100 * float(found.min()), 2),
        **sureness(p, judge),
    }


def conditional_gan(minutes: float) -> dict[str, Any]:
    """How often the classifier sees the class that was asked for, 1,000 samples of each."""
    model, how = trained("conditional_gan", minutes)
    asked = np.arange(SAMPLES) % CLASSES
    blocks = asked.reshape(-1, BLOCK)
    images = np.concatenate([model.sample_class(labels, KEY.at("samples", i)) for i, labels in enumerate(blocks)])
    save_grid(PICTURES / "conditional_gan_mnist.png", model.pictures(None, KEY.at("picture"))["samples"])
    judge = ruler()
    p = judge.probabilities(images)
    agrees = p.argmax(1) == asked
    by_class = [float(agrees[asked == k].mean()) for k in range(CLASSES)]
    return {**how, "samples": SAMPLES, "agreement": float(agrees.mean()), "by_class": by_class, **sureness(p, judge)}


def sureness(p: Array, judge: Classifier) -> dict[str, float]:
    """The part of the samples whose class has a probability above 0.9, beside that of the test images."""
    real = judge.probabilities(images_of(load("mnist", "test")))
    return {"sure": float((p.max(1) > 0.9).mean()), "sure_of_test_images": float((real.max(1) > 0.9).mean())}


def images_of(data: Dataset) -> Array:
    """All of them, (N, H, W, C) float32."""
    return in_blocks(data.batch, np.arange(len(data)))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("classifier", "dcgan", "conditional_gan"))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of training at most, in all")
    parser.add_argument("--note", default="", help="what else is to be known of this machine and time")
    given = parser.parse_args()
    found = {"classifier": classifier, "dcgan": dcgan, "conditional_gan": conditional_gan}[given.what](given.minutes)
    command = f"python -m benchmarks.gan_mnist {given.what}" + (
        "" if given.minutes == MINUTES else f" --minutes {given.minutes:g}"
    )
    head = {"command": command, "note": given.note, "data": "mnist", "cpus": os.cpu_count(), "numpy": np.__version__}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"gan_mnist_{given.what}.json"
    path.write_text(json.dumps({**head, "python": platform.python_version(), **found}, indent=1) + "\n")
    print(json.dumps({name: value for name, value in found.items() if name != "settings"}, indent=1))


if __name__ == "__main__":
    main()

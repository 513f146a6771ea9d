"""Gated PixelCNN on binarised MNIST, STATIC (Larochelle's files): the exact likelihood of the test set in nats per image.

    python -m benchmarks.pixelcnn_mnist        MINIGEN_DATA may name the folder that holds binarized_mnist/

It is the run of `SETTINGS`, by `minigen train`'s own loop in `runs/gated_pixelcnn_mnist`; a run that was stopped goes on. The
validation rows are not used. The result goes to benchmarks/results/pixelcnn_mnist.json.
"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from minigen.data import load
from minigen.training import Run, load_model

RESULT = Path(__file__).parent / "results" / "pixelcnn_mnist.json"
RUN = Path("runs/gated_pixelcnn_mnist")
SETTINGS: dict[str, Any] = {
    "data": "binarized_mnist",
    "batch": 16,
    "steps": 2000,
    "rate": 5e-3,
    "options": {"width": 16, "layers": 10},
}


def main() -> None:
    """Trains, evaluates and writes the result."""
    run = Run.resume(RUN) if (RUN / "config.json").exists() else Run.create("gated_pixelcnn", out=RUN, **SETTINGS)
    run.train()
    trained = load_model(RUN)
    test = load("binarized_mnist", "test")
    nats = -trained.model.log_likelihood(test.batch(np.arange(len(test))))  # type: ignore[attr-defined]  # (10000,)
    result = {
        "command": "python -m benchmarks.pixelcnn_mnist",
        "protocol": "binarised MNIST STATIC, all 10,000 test images, exact; nats per image",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "parameters": sum(array.size for _, array in trained.model.net.named()),  # type: ignore[attr-defined]
        "steps": trained.step,
        "epochs": trained.step * SETTINGS["batch"] / 50_000,
        "cpu_seconds": round(time.process_time()),
        "seeds": [trained.settings.seed],
        "settings": trained.settings.as_json(),
        "nll": float(nats.mean()),
        "standard_error": float(nats.std() / len(nats) ** 0.5),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{result['nll']:.2f} +- {result['standard_error']:.2f} nats per image")


if __name__ == "__main__":
    main()

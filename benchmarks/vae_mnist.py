"""The dense VAE on MNIST's real-valued pixels: 784-400-20, batch 128, Adam 1e-3, 20 epochs; the bound on the test set.

    python -m benchmarks.vae_mnist          MINIGEN_DATA may name the folder that holds mnist/

It is `minigen train vae --data mnist --epochs 20 --out runs/vae_mnist`; a run that was stopped goes on. The result goes to
benchmarks/results/vae_mnist.json.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import numpy as np

from minigen.training import Run, load_model, log

RESULT = Path(__file__).parent / "results" / "vae_mnist.json"
RUN = Path("runs/vae_mnist")


def main() -> None:
    """Trains, evaluates and writes the result."""
    run = Run.resume(RUN) if (RUN / "config.json").exists() else Run.create("vae", data="mnist", epochs=20, out=RUN)
    run.train()
    lines = log.read(run.log.path)
    last = [line for line in lines if line["kind"] == "test"][-1]
    trained = load_model(RUN)
    result = {
        "command": "python -m benchmarks.vae_mnist",
        "protocol": "real-valued pixels as Bernoulli probabilities; all 10,000 test images, one z each; nats per image",
        "data": "mnist",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "steps": trained.step,
        "minutes": round(max(line.get("seconds", 0.0) for line in lines) / 60, 2),
        "settings": trained.settings.as_json(),
        "negative_elbo": last["figures"]["negative_elbo"],
        "standard_error": last["standard_errors"]["negative_elbo"],
        "reconstruction": last["figures"]["reconstruction"],
        "kl": last["figures"]["kl"],
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"negative elbo {result['negative_elbo']:.2f} +- {result['standard_error']:.2f} nats per image")


if __name__ == "__main__":
    main()

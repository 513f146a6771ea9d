"""What a deep Glow costs with and without stored activations: `python -m benchmarks.flow_memory`, a minute.

The objective and its gradient, once, on 32 glyphs of 28 x 28, for K steps on each of two levels. Peak is the most memory that
was taken beyond what was there before, as tracemalloc counts it; seconds are CPU time; the error is |difference| / |gradient|
in float32, at couplings that were moved away from the identity.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import numpy as np

from minigen.data import load
from minigen.models.glow import Glow
from minigen.random import Key

from .report import RESULTS

DEPTHS, WIDTH, ROWS = (4, 16, 32), 16, 32
KEY = Key(0)


def measured(depth: int, store: bool, x: Any) -> tuple[dict[str, float], Any]:
    """Peak, seconds, and the gradient."""
    model = Glow(x.shape[1:], KEY.at("model"), steps=depth, width=WIDTH, store=store)
    for path, view in model.vector.views(model.theta).items():
        if path.endswith("out.W"):
            view[...] = 0.003 * KEY.at(path).normal(view.shape)
    model.data_init(x, KEY.at("start"))
    (likelihood,) = model.objectives
    noise = likelihood.draw(model, x, KEY.at("noise"))

    def once() -> None:
        model.zero_grads()
        likelihood(model, x, noise)

    began = time.process_time()
    once()
    seconds = time.process_time() - began
    tracemalloc.start()
    once()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"peak_mib": peak / 2**20, "cpu_seconds": seconds}, model.grad.copy()


def main() -> None:
    x = load("glyphs").batch(np.arange(ROWS))
    measured(1, True, x)  # kernels are compiled
    rows = []
    for depth in DEPTHS:
        (stored, g), (recomputed, h) = (measured(depth, store, x) for store in (True, False))
        error = float(np.linalg.norm(h - g) / np.linalg.norm(g))
        rows.append({"steps_a_level": depth, "stored": stored, "recomputed": recomputed, "relative_error_float32": error})
        print(rows[-1], flush=True)
    result = {
        "command": "python -m benchmarks.flow_memory",
        "width": WIDTH,
        "batch": ROWS,
        "levels": 2,
        "seed": 0,
        "rows": rows,
    }
    (RESULTS / "flow_memory.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Training runs: a loop, a log, checkpoints that resume bit for bit, and pictures.

run = Run.create("vae", steps=500, options={"latents": 2})      # a folder, runs/vae-glyphs
run.train()
model, settings, step, shape = load_model("runs/vae-glyphs")
"""

from typing import Any

from .errors import CheckpointError, NotFiniteRunError, RunError
from .evaluation import Figures, evaluate
from .loop import Outcome
from .run import Run, Trained, load_model
from .settings import Settings


def train(model: Any, **settings: Any) -> Run:
    """Makes a new run (the arguments of `Run.create`), trains it to its end, and returns it."""
    run = Run.create(model, **settings)
    run.train()
    return run


__all__ = [
    "CheckpointError",
    "Figures",
    "NotFiniteRunError",
    "Outcome",
    "Run",
    "RunError",
    "Settings",
    "Trained",
    "evaluate",
    "load_model",
    "train",
]

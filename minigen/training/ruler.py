"""The classifier that samples of other models are measured by, trained once for a data set and kept.

    space = ruler("mnist")                 # trains `classifier` by its recipe, some minutes; afterwards it is there
    space.published()                      # recipe, seed, accuracy, checksum of the weights

It lies in runs/ruler-DATA, is stopped and goes on like any other run, and never changes once it is finished: a figure names the
checksum of its ruler.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..metrics.features import FeatureSpace
from ..models.classifier import Classifier
from . import log
from .errors import RunError
from .run import CONFIG, Run, load_model


def ruler(
    data: Any = "mnist", *, out: str | Path | None = None, data_dir: str | Path | None = None, **given: Any
) -> FeatureSpace:
    """The feature space of `data`, a name or (train, test): of the run in `out`, which is begun or finished first if need be.

    `given` are settings of a new run: steps, batch, rate, seed, options, data_options. Raises RunError where the run that is
    there has others, or was stopped again before its end.
    """
    name = data if isinstance(data, str) else data[0].name
    folder = Path(out) if out is not None else Path("runs", f"ruler-{name}")
    if (folder / CONFIG).exists():
        run = Run.resume(folder, model=Classifier, data=data, data_dir=data_dir, **given)
    else:
        run = Run.create(Classifier, data=data, data_dir=data_dir, out=folder, **given)
    if run.train().why != "finished":
        raise RunError(f"{folder} was stopped at step {run.step} of {run.settings.steps}: call again, and it goes on")
    model = load_model(folder).model
    assert isinstance(model, Classifier)
    figures = next(line for line in reversed(log.read(run.log.path)) if line["kind"] == "test")
    recipe = {
        key: value for key, value in run.settings.as_json().items() if key not in ("device", "log_every", "evaluate_every")
    }
    return FeatureSpace(model, name, recipe, figures["figures"]["accuracy"], figures["rows"])

"""Run: one training run in one folder.

run = Run.create("vae", steps=500)        # runs/vae-glyphs
outcome = run.train()
run = Run.resume("runs/vae-glyphs")

config.json              the settings, and what they met: data, parameters, threads
log.jsonl                terms and held-out figures (log.py)
checkpoint.safetensors   all that is needed to go on (checkpoint.py, state.py)
samples/*.png            grids from fixed latents and fixed held-out rows; of sequences *.wav or *.txt
curves.png               the log, drawn
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..backend import Array, Shape
from ..data import Batches, Dataset
from ..models.model import Model
from ..random import Key
from . import checkpoint, log, setup
from .checkpoint import Checkpoint
from .errors import CheckpointError, NotFiniteRunError, RunError
from .files import make_folder, write_atomic
from .lock import held
from .loop import Outcome, train
from .settings import Settings, differences, from_recipe, precision_of
from .setup import Splits
from .state import arrays_of, not_finite, numbers_of, put_back

CONFIG = "config.json"
ModelLike = str | type[Model]
DataLike = str | tuple[Dataset, Dataset]


class Run:
    """A model, its data, and how far training has come. Made by `create` or `resume`."""

    def __init__(self, folder: Path, settings: Settings, model: Model, splits: Splits) -> None:
        self.folder, self.settings, self.model, self.splits = folder, settings, model, splits
        self.key = Key(settings.seed)
        self.batches = Batches(splits.train, settings.batch, self.key.at("data"), device=settings.device)
        self.log = log.Log(folder / log.NAME)
        self.step = 0
        self.saved_step: int | None = None  # of the checkpoint on the disk
        self.notes: list[str] = []  # what the person at the keyboard should know

    # ---- beginning

    @classmethod
    def create(
        cls,
        model: ModelLike,
        *,
        data: DataLike | None = None,
        data_dir: str | Path | None = None,
        out: str | Path | None = None,
        epochs: float | None = None,
        **given: Any,
    ) -> Run:
        """A new run. `given` are settings, and the recipe has the rest:

        steps, batch, rate, seed, device, options, data_options, and precision, of products on a GPU: float32, tf32 or bf16.
        `model` is a name or a class, `data` a name or (train, test). Raises RunError or DataError before anything is written.
        """
        name, model_class = _named(model)
        if epochs is not None and given.get("steps") is not None:
            raise RunError("give --steps or --epochs, not both")
        recipe, data_name = model_class.recipe, data if data is None or isinstance(data, str) else data[0].name
        settings = from_recipe(name, recipe, {**given, "data": data_name})
        setup.check_device(settings.device, settings.precision)
        folder = Path(out) if out is not None else default_folder(name, settings.data)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} exists already: go on with it by --resume, or choose another folder with --out")
        splits = _splits(data, settings, data_dir)
        if epochs is not None:
            steps = setup.steps_of_epochs(epochs, len(splits.train), settings.batch)
            settings = from_recipe(name, recipe, {**given, "data": data_name}, steps_of_epochs=steps)
        settings = setup.tell(model_class, settings, splits.train)
        setup.check_labels(settings, splits)
        run = cls(folder, settings, setup.build(model_class, settings, splits.train.shape), splits)
        make_folder(folder / "samples")
        run._write_config(data_dir)
        return run

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        *,
        model: ModelLike | None = None,
        data: DataLike | None = None,
        data_dir: str | Path | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        device: str | None = None,
        **asked: Any,
    ) -> Run:
        """The run in `folder`, at its last checkpoint.

        It keeps its settings: asking for others is refused with the difference, but for `steps`, which may grow where the
        learning rates do not depend on them, and `device`: a run that was begun on one goes on on the other. Its precision it
        keeps, so that its figures can state one: a run in tf32 goes on on a GPU alone. A model or data that have no name must
        be given again.
        """
        folder = Path(folder)
        config = read_config(folder)
        configured = settings_of(config)
        saved = checkpoint.load(folder / checkpoint.NAME) if (folder / checkpoint.NAME).exists() else None
        before = settings_of(saved.numbers["settings"]) if saved else configured
        settings = dataclasses.replace(before, device=configured.device if device is None else device)
        if settings.device == "cpu" and settings.precision != "float32":
            raise RunError(
                f"{folder} is a run in {settings.precision}, and the CPU computes in float32: go on with --device cuda, or "
                "start anew with --out"
            )
        setup.check_device(settings.device, settings.precision)

        name, model_class = _named(model if model is not None else settings.model)
        data_name = data if data is None or isinstance(data, str) else data[0].name
        edited = {key: value for key, value in configured.as_json().items() if key not in ("steps", "device")}
        for wanted in (edited, {**asked, "model": name, "data": data_name}):
            if lines := differences(settings, wanted):
                raise RunError(
                    f"{folder} cannot go on with other settings ({'; '.join(lines)}): leave them out, or start anew with --out"
                )
        data_dir = data_dir if data_dir is not None else config.get("data_dir")
        splits = _splits(data if data is not None else settings.data, settings, data_dir)
        if splits.digest != config["data_digest"]:
            raise RunError(f"the data {settings.data} is not what {folder} was trained on: bring it back, or use another --out")
        if epochs is not None:
            steps = setup.steps_of_epochs(epochs, len(splits.train), settings.batch)
        steps = configured.steps if steps is None else steps

        built = setup.build(model_class, settings, splits.train.shape)
        done = int(saved.numbers["step"]) if saved else 0
        if steps < done:
            raise RunError(f"{folder} is at step {done} already, and {steps} were asked for")
        if steps != settings.steps:
            setup.check_schedule(built, settings, steps, done)
        run = cls(folder, dataclasses.replace(settings, steps=steps), built, splits)
        if steps != configured.steps:
            run.notes.append(f"the run goes on to {steps} steps ({configured.steps} before): its learning rates stay the same")
        if (threads := setup.thread_count()) != config["threads"]:
            run.notes.append(f"{threads} threads now, {config['threads']} before: the same to rounding, not bit for bit")
        if settings.device != before.device:
            run.notes.append(f"on {settings.device} now, on {before.device} before: the same to rounding, not bit for bit")
        with held(folder):  # the log's last lines may go
            run._restore(saved)
            run._write_config(data_dir, threads=config["threads"])
        return run

    # ---- working

    def train(
        self,
        *,
        minutes: float | None = None,
        checkpoint_seconds: float = 30.0,
        progress: bool | None = None,
        eager: bool = False,
    ) -> Outcome:
        """Trains to the last step, or until `minutes` are over, or Ctrl-C or SIGTERM; saves then, and every 30 seconds.

        `progress` shows a bar; by default where the terminal is one. On a GPU a step is captured as a graph and launched again,
        where the model allows it; `eager` asks for every kernel anew, and computes the same bits.
        """
        with held(self.folder):
            return train(self, minutes=minutes, checkpoint_seconds=checkpoint_seconds, progress=progress, eager=eager)

    @property
    def finished(self) -> bool:
        """Whether every step has been taken and saved."""
        return self.saved_step == self.settings.steps

    def rows_of_test(self, limit: int | None = None) -> Array:
        """The indices of a fixed random choice of held-out rows, in order; all by default."""
        order: Array = self.key.at("held out").permutation(len(self.splits.test))[:limit]
        order.sort()
        return order

    # ---- saving

    def save(self) -> None:
        """Writes the checkpoint. Raises NotFiniteRunError where an array is not finite: what is saved can always go on."""
        arrays = arrays_of(self.model)
        if (bad := not_finite(arrays)) is not None:
            raise NotFiniteRunError(f"the array {bad} is not finite")
        numbers = {
            "settings": self.settings.as_json(),
            "shape": list(self.splits.train.shape),
            "step": self.step,
            "key": list(self.key.words),
            "cursor": self.batches.cursor_state(),
            "counts": numbers_of(self.model),
            "log": self.log.state(),
        }
        self.log.sync()
        checkpoint.save(self.folder / checkpoint.NAME, Checkpoint(arrays, numbers))
        self.saved_step = self.step

    def _restore(self, saved: Checkpoint | None) -> None:
        if saved is None:  # ended before its first checkpoint: from the beginning
            self.log.restore({"sums": {}, "counts": {}}, -1)
            return
        numbers = saved.numbers
        put_back(self.model, saved.arrays, numbers["counts"])
        self.key = Key.from_words(tuple(numbers["key"]))
        self.batches.restore(numbers["cursor"])
        self.log.restore(numbers["log"], numbers["step"])
        self.step = self.saved_step = int(numbers["step"])

    def _write_config(self, data_dir: str | Path | None, threads: int | None = None) -> None:
        config = {
            **self.settings.as_json(),
            "data_dir": None if data_dir is None else str(data_dir),
            "data_digest": self.splits.digest,
            "shape": list(self.splits.train.shape),
            "parameters": self.model.vector.size,
            "threads": threads if threads is not None else setup.thread_count(),
            "minigen": __version__,
        }
        write_atomic(self.folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())


# ---- reading a run folder


def default_folder(model: str, data: str) -> Path:
    """runs/MODEL-DATA; of a folder of images, its name."""
    return Path("runs", f"{model}-{Path(data.partition(':')[2] or data).name}")


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json; RunError where there is none or it cannot be read."""
    path = folder / CONFIG
    if not path.is_file():
        why = "there is no such folder" if not folder.is_dir() else f"it holds no {CONFIG}"
        raise RunError(f"{folder} is not the folder of a run: {why}")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        settings_of(config)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} cannot be read ({type(error).__name__}: {error}): mend it, or start anew with --out") from error
    return config


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings among the values of a config.json or a checkpoint."""
    known = {**values, "precision": precision_of(values)}
    return Settings(**{field.name: known[field.name] for field in dataclasses.fields(Settings)})


class Trained(NamedTuple):
    """A model from a checkpoint."""

    model: Model
    settings: Settings
    step: int
    shape: Shape  # of the rows it was trained on


def load_model(path: str | Path, model: type[Model] | None = None, *, device: str = "cpu") -> Trained:
    """The trained model of a run folder, or of a checkpoint alone, on `device`, wherever it was trained.

    `model` is the class, where it is not one of minigen's. The settings' precision is the one it was trained in: what is done
    with the model now runs in what `kernels.precision` says, float32 by default.
    """
    setup.check_device(device)
    path = Path(path)
    if path.is_dir():
        if not (path / checkpoint.NAME).exists():
            read_config(path)
            raise CheckpointError(f"{path} has no checkpoint yet: train it first")
        path = path / checkpoint.NAME
    saved = checkpoint.load(path)
    settings = dataclasses.replace(settings_of(saved.numbers["settings"]), device=device)
    shape = tuple(saved.numbers["shape"])
    built = setup.build(model or setup.find_model(settings.model), settings, shape)
    put_back(built, saved.arrays, saved.numbers["counts"])
    return Trained(built, settings, int(saved.numbers["step"]), shape)


def _named(model: ModelLike) -> tuple[str, type[Model]]:
    return (model, setup.find_model(model)) if isinstance(model, str) else (model.name, model)


def _splits(data: DataLike | None, settings: Settings, data_dir: str | Path | None) -> Splits:
    if data is None or isinstance(data, str):
        return setup.load_splits(settings.data, data_dir, settings.data_options)
    splits = Splits(*data)
    setup.check_splits(splits)
    return splits

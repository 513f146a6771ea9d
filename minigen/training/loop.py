"""The loop: steps, and between them the log, held-out figures, pictures and checkpoints."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backend import Array, CaptureError, empty_like, number, workspace
from ..kernels import precision
from ..metrics.health import health, verdict
from ..models.captured import Captured
from ..random import Key
from . import log
from .curves import draw_curves
from .diagnosis import explain, first_bad_layer
from .errors import NotFiniteRunError, RunError
from .evaluation import Figures, batch_of, evaluate
from .interrupts import Interrupts
from .late_terms import LateTerms
from .live_modes import LiveModes
from .settings import in_precision
from .showing import show
from .state import arrays_of, not_finite

if TYPE_CHECKING:
    from .run import Run

HELD_OUT_ROWS = 1000  # of the evaluations on the way; the last one takes all
PICTURE_ROWS = 16
HEALTH_ROWS = 256
FIRST_PICTURES = 32  # then at every power of two, and at the end


class Outcome(NamedTuple):
    """How a call of `train` ended."""

    step: int
    why: str  # "finished", "minutes", or the name of a signal
    figures: Figures | None  # of the whole test split, where the run is finished


def train(run: Run, *, minutes: float | None, checkpoint_seconds: float, progress: bool | None, eager: bool) -> Outcome:
    """Takes the steps that are left. See `Run.train`."""
    return _Loop(run, minutes, checkpoint_seconds, progress, eager).go()


class _Loop:
    def __init__(self, run: Run, minutes: float | None, checkpoint_seconds: float, progress: bool | None, eager: bool) -> None:
        self.run, self.model, self.settings = run, run.model, run.settings
        self.checkpoint_seconds, self.progress = checkpoint_seconds, progress
        self.began = self.saved = self.logged = time.monotonic()
        self.deadline = math.inf if minutes is None else self.began + 60 * minutes
        self.logged_step = run.step
        self.seconds_before = max((line.get("seconds", 0.0) for line in log.read(run.log.path)), default=0.0)
        self.before = empty_like(self.model.theta)  # the parameters at the beginning of a step, to explain a NaN with
        self.figures: Figures | None = None
        self.modes = LiveModes(self.settings.data)
        self.captured = None if eager or uncaptured(run) else Captured(run.model)
        self.late = LateTerms(run.log)

    def go(self) -> Outcome:
        run, steps = self.run, self.settings.steps
        if run.finished:
            return Outcome(run.step, "finished", last_figures(run))
        # A step that overflows is reported by name, below; NumPy's own warnings would only precede that.
        chosen = precision(self.settings.precision)  # of the steps, and of all that is evaluated and drawn between them
        with chosen, workspace(), np.errstate(all="ignore"), Interrupts() as asked, self._bar() as bar:
            if run.saved_step is None:
                self._start_from_data()
                self._evaluate("held_out")
                self._draw_pictures()
                self._save()
            why = "finished"
            while run.step < steps:
                self._step()
                bar.update()
                self._after_step(bar)
                if run.step < steps and (asked.signal or time.monotonic() > self.deadline):
                    why = asked.signal or "minutes"
                    self._draw_curves()
                    self._save()
                    break
                if run.step == steps or time.monotonic() - self.saved > self.checkpoint_seconds:
                    self._save()
        return Outcome(run.step, why, self.figures)

    def _start_from_data(self) -> None:
        """The data-dependent start, from the rows of the first batch: before anything is evaluated, drawn or saved."""
        run, model = self.run, self.model
        batches = run.batches
        first = batch_of(batches.rows(0), batches.indices(0, 0), self.settings.device)
        model.data_init(model.batch_of(first), run.key.at("data_init"))
        for average in model.averages.values():
            average.restart()

    def _step(self) -> None:
        run, model = self.run, self.model
        batch = model.batch_of(next(run.batches))
        key = run.key.at("step", run.step)
        if self.captured is not None:
            self._captured_step(self.captured, batch, key)
            return
        self.before[...] = model.theta
        terms = {name: float(number(value)) for name, value in model.step(batch, key).items()}
        if not all(map(math.isfinite, terms.values())):
            raise self._not_finite(f"in step {run.step + 1}", explain(model, batch, key, terms, self.before))
        run.step += 1
        run.log.add(terms)

    def _captured_step(self, step: Captured, batch: Any, key: Key) -> None:
        """The same without waiting for it. What is not finite is noticed when the terms are brought to the log."""
        try:
            self.late.add(step(batch, key))
        except CaptureError as error:
            raise RunError(f"{self.settings.model}, step {self.run.step + 1}: {error}. Train it with --eager") from error
        self.run.step += 1

    def _bring_terms(self) -> None:
        if bad := self.late.bring():
            after, why = self.logged_step, f"the term {bad[0]!r} is not finite"
            raise self._not_finite(f"between steps {after + 1} and {self.run.step}", f"{why}: --eager names step and layer")

    def _after_step(self, bar: Any) -> None:
        run, steps = self.run, self.settings.steps
        if run.step % self.settings.log_every == 0 or run.step == steps:
            self._bring_terms()
            bar.set_postfix({name: f"{value:.4g}" for name, value in run.log.means().items()}, refresh=False)
            self._write_terms()
        if run.step == steps:
            self.figures = self._evaluate("test")
        elif run.step % self.settings.evaluate_every == 0:
            self._evaluate("held_out")
        if run.step == steps or is_milestone(run.step):
            self._draw_pictures()
            self._draw_curves()

    def _not_finite(self, when: str, why: str) -> NotFiniteRunError:
        saved, rate = self.run.saved_step, self.settings.rate
        kept = "No checkpoint was written" if saved is None else f"The checkpoint of step {saved} is kept"
        return NotFiniteRunError(
            f"{self.settings.model}, {when}: {why}. {kept}. Try a lower learning rate: --rate {rate / 10:g} (it was {rate:g})"
        )

    # ---- what a run leaves behind

    def _write_terms(self) -> None:
        run, now = self.run, time.monotonic()
        epoch = run.batches.epoch + run.batches.position / len(run.splits.train)
        rates = {name: optimizer.current_rate for name, optimizer in self.model.optimizers.items()}
        named = {"rate": next(iter(rates.values()))} if len(rates) == 1 else {f"rate.{n}": r for n, r in rates.items()}
        speed = (run.step - self.logged_step) / max(now - self.logged, 1e-9)
        timing = {"seconds": round(self.seconds_before + now - self.began, 2), "steps_per_second": round(speed, 2)}
        run.log.write("train", run.step, epoch=round(epoch, 6), **named, **timing)
        self.logged, self.logged_step = now, run.step
        self.late.restart()

    def _evaluate(self, kind: str) -> Figures:
        run = self.run
        rows = run.rows_of_test(None if kind == "test" else HELD_OUT_ROWS)

        def compute() -> Figures:
            return evaluate(self.model, run.splits.test, rows, run.key.at("evaluation"), device=self.settings.device)

        figures = compute()
        bad = [name for name, value in figures.values.items() if not math.isfinite(value)]
        if bad:
            found = [f"the held-out figure {bad[0]!r} is not finite", first_bad_layer(self.model, compute)]
            found.append(f"the array {name} is not finite" if (name := not_finite(arrays_of(self.model))) else None)
            raise self._not_finite(f"after step {run.step}", "; ".join(filter(None, found)))
        said = self._verdict(rows[:HEALTH_ROWS]) if run.step else {}
        run.log.write(kind, run.step, rows=figures.rows, figures=figures.values, standard_errors=figures.errors, **said)
        return figures

    def _verdict(self, rows: Array) -> dict[str, Any]:
        """Whether a game is healthy, {"verdict": "balanced: ..."}, and the modes; nothing for a model that plays none."""
        run, model = self.run, self.model
        found = model.health(model.batch_of(batch_of(run.splits.test, rows, self.settings.device)), run.key.at("health"))
        if not found:
            return {}
        lines = [line["terms"] for line in log.read(run.log.path) if line["kind"] == "train"]
        recent = lines[-max(3, len(lines) // 4) :]
        losses: dict[str, list[float]] = {}
        for terms in recent:
            for name, value in terms.items():
                losses.setdefault(name, []).append(value)
        modes, counted = self.modes.count(model, run.key.at("modes"))
        return {"verdict": str(verdict(health(**found, modes=modes), losses)), **counted}

    def _draw_pictures(self) -> None:
        run = self.run
        batch = batch_of(run.splits.test, self._picture_rows(), self.settings.device)
        for name, picture in self.model.pictures(batch, run.key.at("pictures")).items():
            show(run.folder / "samples" / f"{name}-{run.step:06d}", picture, self.model.traits)

    def _picture_rows(self) -> Array:
        return self.run.key.at("picture rows").permutation(len(self.run.splits.test))[:PICTURE_ROWS]

    def _draw_curves(self) -> None:
        run, settings = self.run, self.settings
        title = f"{settings.model} on {settings.data}, {run.model.vector.size:,} parameters, step {run.step:,}"
        title += in_precision(settings.precision)
        draw_curves(run.folder / "curves.png", log.read(run.log.path), title=title, unit=self.model.unit)

    def _save(self) -> None:
        self._bring_terms()
        try:
            self.run.save()
        except NotFiniteRunError as error:
            raise self._not_finite(f"after step {self.run.step}", str(error)) from None
        self.saved = time.monotonic()

    def _bar(self) -> Any:
        from tqdm import tqdm

        hidden = not sys.stderr.isatty() if self.progress is None else not self.progress
        steps, run = self.settings.steps, self.run
        return tqdm(total=steps, initial=run.step, desc=self.settings.model, unit="step", disable=hidden, dynamic_ncols=True)


def uncaptured(run: Run) -> str | None:
    """Why a run's steps are not captured as a graph (models/captured.py); None where they are."""
    if run.settings.device == "cpu":
        return "it runs on the CPU"
    return run.model.uncaptured


def is_milestone(step: int) -> bool:
    """Whether a run draws pictures at this step: 0, 32, 64, 128 ..."""
    return step == 0 or (step >= FIRST_PICTURES and step & (step - 1) == 0)


def last_figures(run: Run) -> Figures | None:
    """The figures of the whole test split, from the log of a finished run."""
    tests = [line for line in log.read(run.log.path) if line["kind"] == "test"]
    if not tests:
        return None
    return Figures(tests[-1]["rows"], tests[-1]["figures"], tests[-1]["standard_errors"], run.settings.precision)


def last_verdict(run: Run) -> str | None:
    """The latest verdict on a game in the log of a run."""
    return next((line["verdict"] for line in reversed(log.read(run.log.path)) if "verdict" in line), None)

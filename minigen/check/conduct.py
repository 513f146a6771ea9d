"""How an objective must behave for its proof to mean anything: nothing vanishes, nothing leaks, nothing else changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, number, to_device
from ..layers.views import Place
from ..models.model import Model
from ..models.objective import Forwards, Objective, Terms, network_of
from .errors import ProofError
from .values import changed, network_snapshot, rms, snapshot


@dataclass
class Evaluation:
    """One objective of one model at one batch and one noise."""

    model_name: str
    model: Model
    objective: Objective
    batch: Any
    noise: Any

    def __str__(self) -> str:
        return f"{self.model_name}, objective {self.objective.name!r}"

    def run(self, **options: Any) -> tuple[Terms, Forwards, Array]:
        """Terms, forwards, and the gradient that this call alone leaves."""
        self.model.zero_grads()
        terms, forwards = self.objective(self.model, self.batch, self.noise, **options)
        return {name: number(value) for name, value in terms.items()}, forwards, self.grad()

    def grad(self) -> Array:
        """The gradients as they stand, on the host."""
        return to_device(self.model.grad, "cpu").copy()

    @property
    def eps(self) -> float:
        return float(np.finfo(self.model.dtype).eps)

    def silence(self, reference: float) -> float:
        """A gradient whose numbers are no larger than this is zero but for rounding."""
        return 1e4 * self.eps * reference


def learning_places(model: Model, objective: Objective) -> dict[Place, str]:
    """Every parameter that the objective updates and that is not frozen, tied ones once, with its first path."""
    unknown = [name for name in objective.updates if name not in model.nets]
    if unknown or not objective.updates:
        raise ProofError(
            f"objective {objective.name!r} updates {objective.updates}: the model's networks are {', '.join(model.nets)}"
        )
    found: dict[Place, str] = {}
    for root in objective.updates:
        for where, node in model.nets[root].walk(root):
            for name in node.specs if node.learns else ():
                found.setdefault(model.vector.places[f"{where}.{name}"], f"{where}.{name}")
    return found


def check_conduct(here: Evaluation) -> tuple[dict[str, Any], dict[str, Array]]:
    """Everything but the numerical proof; returns the terms and the gradients by path."""
    learning_places(here.model, here.objective)
    before = _everything(here)
    terms, forwards, grad = here.run()
    _untouched(here, before)
    _check_terms(here, terms)
    _check_forwards(here, forwards)
    gradients = _check_gradients(here, grad)
    _check_options(here, terms, forwards, grad)
    _untouched(here, before)
    return terms, gradients


def _everything(here: Evaluation) -> dict[str, Any]:
    seen = snapshot({"batch": here.batch, "noise": here.noise, "model.state": here.model.state, "theta": here.model.theta})
    for name, net in here.model.nets.items():
        seen |= network_snapshot(net, name)
    return seen


def _untouched(here: Evaluation, before: dict[str, Any]) -> None:
    moved = changed(before, _everything(here))
    if moved:
        raise ProofError(
            f"{here}: a call changed {', '.join(moved[:4])}. An objective changes "
            "nothing but gradients: what moves belongs into commit"
        )


def _check_terms(here: Evaluation, terms: Terms) -> None:
    if not terms:
        raise ProofError(f"{here}: it returns no terms, so its loss is always 0")
    size = sum(abs(value) for value in terms.values())
    for name, value in terms.items():
        if not np.isfinite(value):
            raise ProofError(f"{here}: term {name!r} is {value}")
        if not (abs(value) > 1e-14 * size):
            raise ProofError(
                f"{here}: term {name!r} is {value}: nothing is proved of a term that vanishes. Give it "
                "a weight or a batch where it does not"
            )


def _check_forwards(here: Evaluation, forwards: Forwards) -> None:
    foreign = [call for call in forwards if network_of(call) not in here.objective.updates]
    if foreign:
        raise ProofError(
            f"{here}: it returns the forward of {foreign[0]!r}, which it does not update ({', '.join(here.objective.updates)}"
            "): commit would move that network's state a second time"
        )


def _check_gradients(here: Evaluation, grad: Array) -> dict[str, Array]:
    model, objective = here.model, here.objective
    learning = learning_places(model, objective)
    gradients = {path: place.of(grad) for place, path in learning.items()}
    dead = objective.dead
    unknown = [path for path in dead if model.vector.places.get(path) not in learning]
    if unknown:
        raise ProofError(f"{here}: it declares {unknown[0]} dead, which is no parameter that it updates")
    silent = {model.vector.places[path] for path in dead}
    if not gradients:
        raise ProofError(f"{here}: everything it updates is frozen")

    for path, place in model.vector.places.items():
        g = place.of(grad)
        if not np.isfinite(g).all():
            raise ProofError(f"{here}: the gradient of {path} is not finite")
        if place not in learning and g.any():
            updated = path.partition(".")[0] in objective.updates
            why = "is frozen" if updated else f"belongs to a network outside updates {objective.updates}"
            remedy = "its backward must ask self.learns" if updated else "send gradients through it with param_grads=False"
            raise ProofError(f"{here}: a gradient leaks into {path}, which {why}: {remedy}")

    reference = max(map(rms, gradients.values()))
    for place, path in learning.items():
        quiet = rms(gradients[path]) <= here.silence(reference)
        if quiet and place not in silent:
            raise ProofError(
                f"{here}: the gradient of {path} is zero. Its parameter cannot learn: leave it out, or say why in "
                f"the objective's dead = {{{path!r}: reason}}"
            )
        if not quiet and place in silent:
            raise ProofError(f"{here}: {path} is declared dead, but its gradient is not zero (rms {rms(gradients[path]):.1e})")
    return gradients


def _check_options(here: Evaluation, terms: Terms, forwards: Forwards, grad: Array) -> None:
    limit = 1e4 * here.eps

    def differ(a: Array, b: Array) -> bool:
        return not (rms(a - b) <= limit * rms(b))

    again, _, grad2 = here.run()
    if again != terms or not np.array_equal(grad2, grad):
        raise ProofError(
            f"{here}: a second call at the same noise gives {again}, the first gave {terms}: not all noise is in `noise`"
        )
    here.objective(here.model, here.batch, here.noise)
    if differ(here.grad(), 2 * grad):
        raise ProofError(
            f"{here}: after two calls the gradients are not twice those of one: gradients are added to, never replaced"
        )

    scaled, _, grad2 = here.run(scale=2.0)
    if not _near(scaled, terms, limit):
        raise ProofError(f"{here}: scale=2 changed the terms to {scaled} from {terms}: it multiplies gradients alone")
    if differ(grad2, 2 * grad):
        raise ProofError(f"{here}: scale=2 does not double the gradients: some term's gradient misses the factor")

    value, _, grad2 = here.run(backward=False)
    if not _near(value, terms, limit):
        raise ProofError(f"{here}: backward=False changed the terms to {value} from {terms}")
    if grad2.any():
        raise ProofError(f"{here}: backward=False still fills gradients")

    given, _, grad2 = here.run(forwards=forwards)
    if not _near(given, terms, limit) or differ(grad2, grad):
        raise ProofError(f"{here}: given its own forwards it computes something else: {given}, not {terms}")


def _near(a: Terms, b: Terms, limit: float) -> bool:
    return a.keys() == b.keys() and all(abs(a[name] - b[name]) <= limit * abs(b[name]) for name in b)

"""The proof of a model: every hand-written gradient against two numerical ones, and that the proof is not empty.

For an objective L (the sum of its terms, at fixed noise), a parameter theta with gradient g, and a random direction v:

    complex step         Im L(theta + i h v) / h               h = 1e-30: nothing is subtracted, so exact to rounding
    central difference   (L(theta + h v) - L(theta - h v)) / 2h    a second opinion that knows nothing of complex numbers

    rel_error = |numeric - <g, v>| / (|g| |v| / sqrt(n))       n numbers in theta; the denominator cannot cancel

The complex step is taken on the twin `model.astype(np.complex128)` (Squire and Trapp 1998).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, device_of, number, to_device
from ..models.model import Model, told
from ..models.objective import Objective, total
from ..random import Key
from .conduct import Evaluation, check_conduct, learning_places
from .errors import ProofError
from .values import cast, rms, stir, to

COMPLEX_STEP, CENTRAL = "complex step", "central difference"
STEP = 1e-30
CENTRAL_TOLERANCE = 1e-4  # a difference of two losses keeps about half of the digits, fewer where a kink lies between
CENTRAL_STEPS = (
    1e-5,
    1e-6,
    1e-4,
    1e-7,
)  # tried in turn, as parts of the parameter's own size, until one is within the tolerance


class Row(NamedTuple):
    """One line of a proof, as `minigen check --json` prints it."""

    model: str
    objective: str
    parameter: str
    method: str
    rel_error: float


def prove(
    model: Model,
    batch: Any,
    key: Key,
    *,
    dtype: DTypeLike = np.float64,
    tolerance: float = 1e-9,
    objectives: Iterable[str | Objective] | None = None,
) -> list[Row]:
    """Proves the gradient of every objective with respect to every parameter of the networks it updates.

    The model is left as it is: the proof works on twins in `dtype` and complex128, whose parameters are moved to random places
    near their own (no bias is zero). A few rows of `batch`, what the objectives take, are enough. `objectives` names those to
    prove, all by default. Beside the gradients it checks that no term and no parameter's gradient is zero (an objective may
    declare `dead = {path: reason}`), that no gradient leaks into other networks or frozen parts, and that the objective changes
    nothing but gradients, adds to them, and obeys `scale`, `backward` and `forwards`.

    Returns two rows a parameter. Raises ProofError that names what is wrong; its `rows` are those of the failing objective.
    """
    twin = model.astype(dtype)
    stir(twin.vector, key.at("parameters"))
    rows: list[Row] = []
    for objective in _chosen(model, objectives):
        rows += _prove_objective(twin, objective, cast(batch, dtype), key.at(objective.name), tolerance)
    return rows


def _chosen(model: Model, wanted: Iterable[str | Objective] | None) -> list[Objective]:
    if not model.objectives:
        raise ProofError(f"{name_of(model)} has no objectives: there is nothing to prove")
    if wanted is None:
        return list(model.objectives)
    by_name = {objective.name: objective for objective in model.objectives}
    unknown = [w for w in wanted if isinstance(w, str) and w not in by_name]
    if unknown:
        raise ValueError(f"{name_of(model)} has no objective {unknown[0]!r}: it has {', '.join(by_name)}")
    return [by_name[w] if isinstance(w, str) else w for w in wanted]


def name_of(model: Model) -> str:
    """The name of a model, or of its class where it has none."""
    return getattr(model, "name", type(model).__name__)


def _prove_objective(model: Model, objective: Objective, batch: Any, key: Key, tolerance: float) -> list[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)  # a complex number that loses its imaginary part
        noise = objective.draw(model, batch, key.at("noise"))
        here = Evaluation(name_of(model), model, objective, batch, noise)
        terms, gradients = check_conduct(here)

        wide = np.float64
        numeric = _Numeric(here, cast(batch, wide), cast(noise, wide))
        numeric.check_value(terms, max(tolerance, float(np.finfo(model.dtype).eps) * 1e3))
        reference = max(map(rms, gradients.values()))
        rows, wrong = [], []
        for place, path in learning_places(model, objective).items():
            v = key.at("direction", path).normal(place.stop - place.start, np.float64)
            g = gradients[path].reshape(-1).astype(wide)
            slope = float(np.dot(g, v))
            scale = float(np.linalg.norm(v)) * (reference if rms(g) <= here.silence(reference) else rms(g))
            for method, limit in ((COMPLEX_STEP, tolerance), (CENTRAL, max(tolerance, CENTRAL_TOLERANCE))):
                error = numeric.error(method, path, v, slope, scale, limit)
                rows.append(Row(here.model_name, objective.name, path, method, error))
                if not (error <= limit):  # so that NaN is wrong
                    wrong.append(f"{path}: {method} differs by {error:.1e}, allowed is {limit:.0e}")
    if wrong:
        listed = "".join(f"\n    {line}" for line in wrong)
        raise ProofError(f"{here}: the hand-written gradient is not that of the loss, for\n{listed[1:]}", rows)
    return rows


class _Numeric:
    """The loss as a function of the parameters: of the complex twin, and of a real one."""

    def __init__(self, here: Evaluation, batch: Any, noise: Any) -> None:
        self.here, self.batch, self.noise = here, batch, noise
        self.complex, self.real = here.model.astype(np.complex128), here.model.astype(np.float64)

    def loss(self, model: Model) -> Any:
        terms, _ = self.here.objective(model, self.batch, self.noise, backward=False)
        return number(total(terms))

    def check_value(self, terms: dict[str, Any], tolerance: float) -> None:
        """The twin computes the same loss: else its derivative is that of another function."""
        twin, _ = self.here.objective(self.complex, self.batch, self.noise, backward=False)
        size = sum(abs(value) for value in terms.values())
        for name, value in terms.items():
            seen = complex(number(twin[name])).real
            error = abs(seen - float(value)) / float(size)
            if not (error <= tolerance):
                raise ProofError(
                    f"{self.here}: term {name!r} is {float(value):.6g}, but {seen:.6g} in complex numbers. "
                    "Something on its way is not analytic: it must branch on .real and avoid abs, norm and var"
                )

    def error(self, method: str, path: str, v: Array, slope: float, scale: float, limit: float) -> float:
        """The relative error of one parameter's slope along v by one method."""
        if method == COMPLEX_STEP:
            theta = self._parameter(self.complex, path)
            before = theta.copy()
            theta += 1j * STEP * to_device(v, device_of(theta))
            numeric = complex(self.loss(self.complex)).imag / STEP
            theta[...] = before
            return abs(numeric - slope) / scale
        theta = self._parameter(self.real, path)
        before, best = theta.copy(), math.inf
        for part in CENTRAL_STEPS:
            h = part * max(rms(before), 1e-2)
            along = to_device(h * v, device_of(theta))
            theta[...] = before + along
            above = float(self.loss(self.real))
            theta[...] = before - along
            below = float(self.loss(self.real))
            theta[...] = before
            error = abs((above - below) / (2 * h) - slope) / scale
            best = error if math.isnan(error) else min(best, error)
            if not (best > limit):
                break
        return best

    @staticmethod
    def _parameter(model: Model, path: str) -> Array:
        return model.vector.places[path].of(model.theta).reshape(-1)


# ---- the models that have a name


def check_model(
    name: str,
    *,
    rows: int | None = None,
    seed: int = 0,
    objectives: Iterable[str] | None = None,
    device: str = "cpu",
    **options: Any,
) -> list[Row]:
    """`prove` on a model of minigen with the first rows of its built-in data, on a device.

    It is proved at its real size, or at the one that its recipe has for the proof: every kind of layer, fewer and narrower.
    `rows` and `options` change that. Raises ValueError where there is no such model, ProofError where a gradient is wrong.
    """
    from .. import data, models

    cls = models.find(name)
    built_in = {row["name"] for row in data.describe() if row["built_in"]}
    chosen = next((n for n in cls.recipe.data if n in built_in), "glyphs")
    proof = cls.recipe.proof
    split = data.load(chosen, **proof.get("data_options", {}))
    key = Key(seed).at("check", name)
    model: Any = cls
    options = told({**cls.recipe.options, **proof.get("options", {}), **options}, split.traits)
    model = model(split.shape, key.at("model"), np.float64, **options)
    rows = rows or proof.get("rows", 4)
    batch = next(data.Batches(split, rows, key.at("batch"), dtype=np.float64))
    model, batch = model.to(device), to(model.batch_of(batch), device)
    return prove(model, batch, key.at("proof"), objectives=objectives)

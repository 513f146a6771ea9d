"""The property suite of a layer: one call proves that it is right, and that it keeps the protocol.

    print(suite(lambda: GLU(6), (5, 6)))                        # a layer of your own, and the shape of its input

Every property is checked in float64 with random parameters, random inputs and random cotangents: an all-ones cotangent is blind
to softmax and to every normalisation, and a bias of zero to what multiplies it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..layers.layer import Layer
from ..random import Key
from . import derivatives, inputs, kinds, manners
from .errors import CheckError
from .subject import Lacks, Meter, Skip, Subject, moved_to, prepared
from .values import changed, snapshot, to


class Property(NamedTuple):
    """One property: its name, its check, and what it means for a reader who meets it in an error."""

    name: str
    check: Callable[[Subject, Meter], None]
    meaning: str


# In the order of how much they find for their time: the mutator stops at the first failure.
PROPERTIES = (
    Property("repeatable", manners.repeatable, "forward is a function of x, parameters, state and key, and of nothing else"),
    Property("definition", manners.definition, "forward is what a plain definition says"),
    Property("gradient", derivatives.gradient, "backward is the derivative of forward, for x and every parameter"),
    Property("tangent", derivatives.tangent, "jvp is the derivative of forward along x_dot and the parameters' dots"),
    Property(
        "second order", derivatives.second_order, "backward_jvp is the derivative of backward: the product rule on each line"
    ),
    Property("still", derivatives.still, "to backward_jvp, dy_dot=None is a dy_dot of zero, where takes_still says so"),
    Property("options", manners.options, "need_dx, param_grads and a frozen part are obeyed, and change nothing else"),
    Property("spared work", manners.spared, "a composite computes no gradient that nobody asked for"),
    Property("additive", manners.additive, "gradients are added to what is there, and overwrite what counts as zero"),
    Property("adjoint", derivatives.adjoint, "<dy, J x_dot> = <J' dy, x_dot>: jvp and backward are transposes"),
    Property("pure", manners.pure, "the passes change nothing but gradients: no input, cache, parameter, state or attribute"),
    Property(
        "two calls", manners.two_calls, "nothing of a call is kept on self: two forwards, then two backwards in any order"
    ),
    Property("stale cache", manners.stale, "backward refuses a cache that was made before an optimiser's step"),
    Property("commit", manners.commit, "commit changes state alone, by replacing it: older caches stay right"),
    Property("batch", inputs.batch, "rows do not influence each other (else set mixes_batch = True)"),
    Property("strided", inputs.strided, "inputs need not be contiguous"),
    Property("unused output", inputs.unused, "None in dy stands for an output that nobody used"),
    Property("float32", inputs.single, "float32 in, float32 out, with the same values"),
    Property("empty batch", inputs.empty, "no rows give no rows, or an error that says why"),
    Property("streaming", kinds.streaming, "advance is forward, position by position"),
    Property("inverse", kinds.inverse, "inverse undoes forward, and its logdet is minus forward's"),
    Property("volume", kinds.volume, "logdet is log |det| of the Jacobian"),
    Property("data start", kinds.data_start, "data_init returns what forward gives afterwards"),
    Property("device", inputs.device, "nothing is silently brought to the host, where a GPU would wait"),
    Property("back ends", inputs.back_ends, "all rungs of the kernels agree"),
)

# What does not ask how a layer computes, or asks it of the CPU: plain definitions, rows picked out, numeric Jacobians, rungs.
ON_THE_CPU = ("definition", "spared work", "batch", "volume", "back ends")


@dataclass
class Check:
    """The outcome of one property: the largest error met, or why it does not apply."""

    property: str
    error: float | None
    meaning: str
    note: str = ""


@dataclass
class Report:
    """The outcome of a suite; printed, one line a property."""

    layer: str
    checks: list[Check] = field(default_factory=list)

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.property == name)

    def __str__(self) -> str:
        lines = [f"{self.layer}: {len(self.checks)} properties"]
        for check in self.checks:
            error = "-" if check.error is None else f"{check.error:.1e}"
            lines.append(f"  {check.property:<14} {error:>8}   {f'({check.note})' if check.error is None else check.meaning}")
        return "\n".join(lines)


def suite(
    layer: Layer | Callable[[], Layer],
    x: Any,
    *,
    train: Iterable[bool] = (False, True),
    key: Key | None = None,
    tolerance: float = 1e-9,
    skip: Mapping[str, str] | None = None,
    reference: Callable[[Layer, Any], Any] | None = None,
    trained: Callable[[Layer, Any, Any], Any] | None = None,
    committed: Callable[[Layer, Any], dict[str, Any]] | None = None,
    properties: Iterable[Property] = PROPERTIES,
    device: str = "cpu",
) -> Report:
    """Checks every property of a layer (or of what a function without arguments makes), and returns the errors met.

    x is the shape of its input, as in (5, 6), or an array (integers, or floats of a certain range), or a tuple of those. The
    layer itself is left alone. `train` are the modes to check; `skip` gives properties to leave out with the reason why.
    `reference(layer, x)` is a plain definition of y without training, `trained(layer, x, cache)` of y in training, at the noise
    that the cache holds, and `committed(layer, x)` of the state that a training step leaves, by path. On a `device` parameters,
    x and cotangents lie there; of all properties but those of ON_THE_CPU, and its numbers are held against the CPU's.

    Raises CheckError, an AssertionError, that names the layer, the property, the error and what the property means.
    """
    key, skip = key or Key(0), skip or {}
    unknown = [name for name in skip if name not in {one.name for one in PROPERTIES}]
    if unknown:
        raise ValueError(f"there is no property {unknown[0]!r} to skip: {', '.join(one.name for one in PROPERTIES)}")
    made, x = prepared(layer, x, key)
    name = type(made).__name__
    if device != "cpu":
        made, x = moved_to(made, device), to(x, device)
        skip = {**dict.fromkeys(ON_THE_CPU, "it is asked on the CPU"), **skip}
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)  # a complex number that loses its imaginary part
        modes = _modes(name, made, x, list(train), key)
        for subject in modes:
            subject.reference, subject.trained, subject.committed = reference, trained, committed
        report = Report(name)
        for one in properties:
            if one.name in skip:
                report.checks.append(Check(one.name, None, one.meaning, skip[one.name]))
            else:
                report.checks.append(_run(name, one, modes, tolerance))
    return report


def _modes(name: str, layer: Layer, x: Any, train: list[bool], key: Key) -> list[Subject]:
    """A subject for every mode; one is enough where training makes no difference to output and cache."""
    try:
        subjects = [Subject(layer, x, mode, key) for mode in train]
    except Exception as error:
        raise CheckError(f"{name}: forward fails with {type(error).__name__}: {error}") from error
    if len(subjects) == 2:
        one, two = (snapshot((s.y, s.cache)) for s in subjects)
        if not changed(one, two):
            subjects[0].trains = subjects[0].samples = True
            return subjects[:1]
    return subjects


def _run(name: str, one: Property, modes: list[Subject], tolerance: float) -> Check:
    result = Check(one.name, None, one.meaning)
    for subject in modes:
        meter = Meter(tolerance)
        where = f"{name}, train={subject.train}" if len(modes) > 1 else name
        try:
            one.check(subject, meter)
        except Skip as reason:
            result.note = str(reason)
            continue
        except Lacks as lack:
            raise CheckError(f"{where}: {one.name}: {lack}.\n    This property: {one.meaning}") from None
        except Exception as error:
            raise CheckError(
                f"{where}: {one.name}: {type(error).__name__}: {error}\n    This property: {one.meaning}"
            ) from error
        result.error = max(result.error or 0.0, meter.worst)
    return result

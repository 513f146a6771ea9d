"""The property suite of a loss: `value, *gradients = loss(*arguments)`, and `<loss>_dot`, the product rule on the gradients.

    print(loss_suite(gaussian, (5, 3), (5, 3), (5, 3), dot=gaussian_dot))

A loss gives the gradient of every argument that can learn, in order: the first ones. The arguments of `dot` go by their names:
`mean_dot` is the tangent of `mean`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array
from ..random import Key
from .derivatives import slope_gap
from .errors import CheckError
from .subject import STEP, Lacks, Meter
from .suite_of_layers import Check, Report
from .values import changed, filled, gap, normal_like, snapshot


class _Loss:
    """A loss at one set of arguments."""

    def __init__(
        self, loss: Callable[..., Any], args: tuple[Any, ...], dot: Callable[..., Any] | None, reference: Any, key: Key
    ):
        self.large: float | None = None
        self.loss, self.dot, self.reference = loss, dot, reference
        self.args = tuple(filled(x, key.at("argument", i)) for i, x in enumerate(args))
        self.value, *self.gradients = loss(*self.args)
        self.names = list(inspect.signature(loss).parameters)[: len(self.args)]
        learned = self.args[: len(self.gradients)]
        self.dots = [normal_like(x, key.at("dot", i)) for i, x in enumerate(learned)]

    def at(self, moving: Any) -> tuple[Any, ...]:
        """Value and gradients with the arguments of these indices moved by i h dot."""
        moved = [x + 1j * STEP * self.dots[i] if i in moving else x for i, x in enumerate(self.args)]
        return tuple(self.loss(*moved))

    def learned(self) -> range:
        return range(len(self.gradients))


def _value(s: _Loss, m: Meter) -> None:
    if np.ndim(s.value) or not np.isfinite(s.value):
        raise Lacks(f"the value is {s.value!r}, and must be one finite number")
    if s.reference is not None:
        m.expect("the value", gap(s.value, s.reference(*s.args)))


def _gradient(s: _Loss, m: Meter) -> None:
    if not s.gradients:
        raise Lacks("it returns no gradient")
    for i in s.learned():
        g, name = s.gradients[i], s.names[i]
        if getattr(g, "shape", None) != s.args[i].shape:
            raise Lacks(f"d{name} has shape {getattr(g, 'shape', None)}, {name} has {s.args[i].shape}")
        value = s.at({i})[0]
        m.expect(f"the value at complex {name}", gap(complex(value).real, s.value))
        m.expect(f"d{name}", slope_gap(complex(value).imag / STEP, g, s.dots[i]))


def _dot(s: _Loss, m: Meter) -> None:
    assert s.dot is not None
    known = dict(zip(s.names, s.args, strict=True)) | {f"{s.names[i]}_dot": s.dots[i] for i in s.learned()}
    found = s.dot(*(known[name] for name in inspect.signature(s.dot).parameters))
    dots: tuple[Array, ...] = found if isinstance(found, tuple) else (found,)
    wanted = s.at(set(s.learned()))[1:]
    if len(dots) != len(wanted):
        raise Lacks(f"it gives {len(dots)} tangents for {len(wanted)} gradients")
    for i in s.learned():
        if np.shape(dots[i]) != s.args[i].shape:
            raise Lacks(f"d{s.names[i]}_dot has shape {np.shape(dots[i])}, {s.names[i]} has {s.args[i].shape}")
        m.expect(f"d{s.names[i]}_dot", gap(dots[i], wanted[i].imag / STEP))


def _pure(s: _Loss, m: Meter) -> None:
    before = snapshot(s.args)
    again = s.loss(*s.args)
    if changed(before, snapshot(s.args)):
        raise Lacks("it changes its arguments")
    if changed(snapshot((s.value, *s.gradients)), snapshot(tuple(again))):
        raise Lacks("a second call gives another result")


def _batch(s: _Loss, m: Meter) -> None:
    value, *gradients = s.loss(*(np.concatenate((x, x)) for x in s.args))
    m.expect("the value of the batch twice over", gap(value, s.value))
    for i in s.learned():
        half = np.concatenate((s.gradients[i], s.gradients[i])) / 2
        m.expect(f"d{s.names[i]} of the batch twice over", gap(gradients[i], half))


def _single(s: _Loss, m: Meter) -> None:
    value, *gradients = s.loss(*(x.astype(np.float32) if x.dtype.kind == "f" else x for x in s.args))
    m.expect("the value in float32", gap(value, s.value), 1e-3)
    for i in s.learned():
        if gradients[i].dtype != np.float32:
            raise Lacks(f"d{s.names[i]} is {gradients[i].dtype} where everything went in as float32")
        m.expect(f"d{s.names[i]} in float32", gap(gradients[i], s.gradients[i]), 1e-3)


def _scale(s: _Loss, m: Meter) -> None:
    value, *gradients = s.loss(*s.args, scale=-2.5)
    m.expect("the value, which is not scaled,", gap(value, s.value))
    for i in s.learned():
        m.expect(f"d{s.names[i]} scaled", gap(gradients[i], -2.5 * s.gradients[i]))


def _empty(s: _Loss, m: Meter) -> None:
    try:
        s.loss(*(x[:0] for x in s.args))
    except ValueError as error:
        if len(str(error).split()) >= 4:
            return
        raise Lacks(f"it refuses an empty batch without saying why: {error}") from error
    raise Lacks("it accepts an empty batch, whose mean is not defined")


def _shapes(s: _Loss, m: Meter) -> None:
    if len(s.args) < 2 or len(s.args[0]) < 2:
        return
    for i, name in enumerate(s.names):
        try:
            s.loss(*(x[:1] if i == j else x for j, x in enumerate(s.args)))
        except ValueError:
            continue
        raise Lacks(f"it accepts one row of {name} beside {len(s.args[0])} rows of the others, and broadcasts it")


def _large(s: _Loss, m: Meter) -> None:
    assert s.large is not None
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        value, *gradients = s.loss(*(s.large * x if i in s.learned() else x for i, x in enumerate(s.args)))
    if not all(np.isfinite(number).all() for number in (value, *gradients)):
        raise Lacks(f"arguments near {s.large:g} give a value or a gradient that is not finite")


_PROPERTIES: tuple[tuple[str, Callable[[_Loss, Meter], None], str], ...] = (
    ("value", _value, "one finite number, which is what the definition says"),
    ("gradient", _gradient, "each gradient is the derivative of the value"),
    ("dot", _dot, "the dot is the derivative of the gradients"),
    ("large", _large, "no overflow: logits may be as large as they like"),
    ("pure", _pure, "a loss changes nothing"),
    ("batch", _batch, "a mean over the batch: the batch twice over has the same value"),
    ("float32", _single, "float32 in, float32 out, with the same values"),
    ("scale", _scale, "what it is scaled by multiplies the gradients alone"),
    ("shapes", _shapes, "arguments that do not fit are refused, not broadcast"),
    ("empty batch", _empty, "an error that says why"),
)


def loss_suite(
    loss: Callable[..., Any],
    *args: Any,
    dot: Callable[..., Any] | None = None,
    reference: Callable[..., Any] | None = None,
    large: float | None = None,
    key: Key | None = None,
    tolerance: float = 1e-9,
) -> Report:
    """Checks every property of a loss at arguments given as shapes (filled with normal numbers) or as arrays.

    A loss that takes `scale` is asked for it. `dot` is its second-order companion, `reference` a plain definition of the value,
    `large` the size up to which arguments that learn must not overflow. Raises CheckError, an AssertionError.
    """
    name = getattr(loss, "__name__", repr(loss))
    report = Report(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            subject = _Loss(loss, args, dot, reference, key or Key(0))
        except Exception as error:
            raise CheckError(f"{name}: fails with {type(error).__name__}: {error}") from error
        subject.large, scales = large, "scale" in inspect.signature(loss).parameters
        for title, check, meaning in _PROPERTIES:
            if (check is _dot and dot is None) or (check is _large and large is None) or (check is _scale and not scales):
                report.checks.append(Check(title, None, meaning, "not asked for"))
                continue
            meter = Meter(tolerance)
            try:
                check(subject, meter)
            except Lacks as lack:
                raise CheckError(f"{name}: {title}: {lack}.\n    This property: {meaning}") from None
            except Exception as error:
                raise CheckError(f"{name}: {title}: {type(error).__name__}: {error}\n    This property: {meaning}") from error
            report.checks.append(Check(title, meter.worst, meaning))
    return report

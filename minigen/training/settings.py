"""The settings of a run: a recipe's defaults, what was asked for instead, and what two runs differ in."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..kernels import PRECISIONS
from ..models.model import Recipe
from .errors import RunError

DEVICES = ("cpu", "cuda")
LINES, EVALUATIONS = 200, 20  # of a log, over the whole run
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides the numbers of a run. Two runs with equal settings, data and thread count are equal bit for bit."""

    model: str
    data: str
    steps: int
    batch: int
    rate: float
    seed: int
    device: str
    options: Mapping[str, Any]  # arguments of the model
    data_options: Mapping[str, Any]  # arguments of the data set
    log_every: int  # steps between two lines of the log
    evaluate_every: int  # steps between two held-out evaluations
    precision: str = "float32"  # of products on a GPU (kernels/rounding.py)

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("log_every", 1), ("evaluate_every", 1)):
            if getattr(self, name) < least:
                raise RunError(f"{name} is {getattr(self, name)}: it must be at least {least}")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise RunError(f"rate is {self.rate:g}: the learning rate must be a positive number")
        if not 0 <= self.seed < 1 << 64:
            raise RunError(f"seed is {self.seed}: it must lie in 0 .. 2^64 - 1")
        if self.device not in DEVICES:
            raise RunError(f"unknown device {self.device!r}: choose {' or '.join(DEVICES)}")
        check_precision(self.precision)

    def as_json(self) -> dict[str, Any]:
        """Plain values; `Settings(**settings.as_json())` is equal to `settings`."""
        return {**dataclasses.asdict(self), "options": dict(self.options), "data_options": dict(self.data_options)}


def from_recipe(name: str, recipe: Recipe, given: Mapping[str, Any], *, steps_of_epochs: int | None = None) -> Settings:
    """The settings of a new run: the recipe's for its data, except where `given` has a value that is not None."""
    chosen = {key: value for key, value in given.items() if value is not None}
    data = chosen.get("data", recipe.data[0])
    special = recipe.by_data.get(data, {})
    usual = {"steps": recipe.steps, "batch": recipe.batch, "rate": recipe.rate, "seed": 0}
    chosen = {**usual, "device": "cpu", "precision": "float32", **special, **chosen}
    steps = chosen["steps"] if steps_of_epochs is None else steps_of_epochs
    return Settings(
        model=name,
        data=data,
        steps=steps,
        batch=chosen["batch"],
        rate=float(chosen["rate"]),
        seed=chosen["seed"],
        device=chosen["device"],
        options={**recipe.options, **special.get("options", {}), **(given.get("options") or {})},
        data_options=chosen.get("data_options", {}),
        log_every=max(1, steps // LINES),
        evaluate_every=max(1, steps // EVALUATIONS),
        precision=chosen["precision"],
    )


def check_precision(name: str) -> None:
    """RunError with the names there are, where this precision is none."""
    if name not in PRECISIONS:
        raise RunError(f"unknown precision {name!r}: choose {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")


def differences(saved: Settings, asked: Mapping[str, Any]) -> list[str]:
    """What `asked` (values that are not None) would change, one "rate: 0.001 in the run, 0.01 asked for" each."""
    lines = []
    for name, value in asked.items():
        was = getattr(saved, name)
        if isinstance(was, Mapping):
            pairs = [(key, was.get(key), new) for key, new in (value or {}).items()]
        else:
            pairs = [] if value is None else [(name, was, value)]
        lines += [f"{key}: {old} in the run, {new} asked for" for key, old, new in pairs if old != new]
    return lines


def shown(value: Any) -> str:
    """The value of an option, as a line of a report has room for it."""
    if not isinstance(value, str):
        return str(value)
    short = value if len(value) <= 24 else f"{value[:20]} ..."
    return short if short.isprintable() and short == value else repr(short)


def precision_of(values: Mapping[str, Any]) -> str:
    """The precision among the settings that a file holds; an older one names none, and was made in float32."""
    name: str = values.get("precision", "float32")
    return name


def in_precision(name: str) -> str:
    """ " in tf32", for a line that states what was computed in it; nothing of float32, which goes without saying."""
    return "" if name == "float32" else f" in {name}"


# ---- --set KEY=VALUE


def parse_options(words: Iterable[str], recipe: Recipe, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """("latents=2", "data.size=32") -> options of the model and of the data, each value of the type of its default.

    Raises RunError with the options there are.
    """
    options: dict[str, Any] = {}
    data_options: dict[str, Any] = {}
    for word in words:
        key, value = _split(word, next((f"{key}={value}" for key, value in recipe.options.items()), "data.size=32"))
        if key.startswith("data."):
            data_options[key.removeprefix("data.")] = _guess(value)
        else:
            check_option(key, recipe, name)
            options[key] = _typed(key, value, recipe.options[key])
    return options, data_options


def parse_data_options(words: Iterable[str]) -> dict[str, Any]:
    """("size=32", "colour=yes") -> options of a data set, which knows its own and checks them when it is loaded."""
    pairs = (_split(word, "size=32") for word in words)
    return {key.removeprefix("data."): _guess(value) for key, value in pairs}


def parse_draws(words: Iterable[str], draws: Mapping[str, type], name: str) -> dict[str, Any]:
    """("temperature=0.7",) -> what a model's `sample` is told, of the types in `draws`. Raises RunError with what there is."""
    found: dict[str, Any] = {}
    for word in words:
        key, value = _split(word, next((f"{key}=..." for key in draws), "temperature=0.7"))
        if key not in draws:
            raise RunError(f"samples of {name} cannot be told {key!r}: they can be told {', '.join(draws) or 'nothing'}")
        found[key] = _of_type(key, value, draws[key], "")
    return found


def check_option(key: str, recipe: Recipe, name: str) -> None:
    """RunError with the names there are, where the model has no option `key`."""
    if key in recipe.options:
        return
    near = difflib.get_close_matches(key, recipe.options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = ", ".join(f"{k} ({v})" for k, v in recipe.options.items()) or "none"
    raise RunError(
        f"{name} has no option {key!r}.{hint} Its options and their defaults: {known}. Those of the data are written data.NAME"
    )


def _split(word: str, example: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key.strip():
        raise RunError(f"--set {word}: write it as KEY=VALUE, such as --set {example}")
    return key.strip(), value.strip()


def _typed(key: str, text: str, default: Any) -> Any:
    if default is None:
        return _guess(text)
    if isinstance(default, bool):
        if text.lower() in (*_YES, *_NO):
            return text.lower() in _YES
        raise RunError(f"--set {key}={text}: this option is yes or no (default {default})")
    if isinstance(default, list | tuple):
        first = default[0] if default else None
        return [_typed(key, part, first) for part in re.split("[,;]", text.strip("()[]")) if part.strip()]
    return _of_type(key, text, type(default), f" (default {default})")


def _of_type(key: str, text: str, of: type, default: str) -> Any:
    try:
        value = of(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}.get(of, f"a {of.__name__}")
        raise RunError(f"--set {key}={text}: this option is {kind}{default}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise RunError(f"--set {key}={text}: this option must be finite{default}")
    return value


def _guess(text: str) -> Any:
    """A value whose type nobody knows: a number or yes/no where it looks like one, else text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    lower = text.lower()
    return lower in _YES if lower in (*_YES[:3], *_NO[:3]) else text

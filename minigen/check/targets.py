"""What the mutator breaks: every function that holds derivatives, and the cases that use it."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from ..layers.act_norm import ActNorm
from ..layers.attention import ScaledDotProduct
from ..layers.augment import RandomCrop, RandomShift
from ..layers.batch_norm import BatchNorm
from ..layers.composite import Composite
from ..layers.conv2d import Convolution
from ..layers.coupling import Affine
from ..layers.free_energy import FreeEnergy
from ..layers.gated import GatedUnit
from ..layers.group_norm import GroupNorm
from ..layers.invertible_conv import InvertibleConv
from ..layers.layer import Layer
from ..layers.layer_norm import LayerNorm
from ..layers.logit import Logit
from ..layers.masked_conv2d import MaskedConv2d
from ..layers.minibatch import MinibatchDiscrimination
from ..layers.pooling import AveragePool2d, MaxPool2d
from ..layers.softmax import Softmax
from ..layers.spline import Spline
from ..layers.upsample import BilinearUpsample, NearestUpsample
from ..layers.wiring import Pair
from .cases import CASES, LOSSES

# The methods that hold derivatives and what follows from them; with the helpers that they call they are mutated.
METHODS = (
    *("backward", "jvp", "backward_jvp", "slope", "curve", "unwire", "there", "back", "inverse", "commit", "advance"),
    *("learn", "learn_dot", "weights_dot", "__add__", "__sub__", "__mul__", "__neg__"),
)
LAYERS = "minigen.layers."
RESAMPLE = AveragePool2d, MaxPool2d, NearestUpsample, BilinearUpsample
KERNELS = {  # whose definitions are broken, and the cases that use them
    "matmul": ("Linear", "Linear with computed weights"),
    "conv2d": tuple(case.name for case in CASES if issubclass(case.cls, Convolution) and case.cls is not MaskedConv2d),
    "masked_conv2d": tuple(case.name for case in CASES if case.cls is MaskedConv2d),
    "bernoulli": ("bernoulli", "bernoulli of rows"),
    "categorical": ("categorical",),
    "squares": ("mse",),
    "games": ("cross_entropy", "least squares", "linear", "hinge", "minimax generator"),
    "gaussian": ("gaussian", "gaussian_kl"),
    "reparameterize": ("samples of a Gaussian",),
    "slopes": ("half_square", "squared_excess"),
    "affine": tuple(case.name for case in CASES if case.cls is Affine),
    "logit": (*(case.name for case in CASES if case.cls is Logit), "pixels of a flow"),
    "plu": tuple(case.name for case in CASES if case.cls is InvertibleConv),
    "flow": ("likelihood of a flow",),
    "act_norm": tuple(case.name for case in CASES if case.cls is ActNorm),
    "gated": tuple(case.name for case in CASES if case.cls is GatedUnit),
    "spline": tuple(case.name for case in CASES if case.cls is Spline),
    "attention": tuple(case.name for case in CASES if case.cls is ScaledDotProduct),
    "resample": tuple(case.name for case in CASES if issubclass(case.cls, RESAMPLE)),
    "pairs": tuple(case.name for case in CASES if case.cls is MinibatchDiscrimination),
    "units": tuple(case.name for case in CASES if case.cls is FreeEnergy),
    "window": tuple(case.name for case in CASES if issubclass(case.cls, RandomShift | RandomCrop)),
    "softmax": tuple(case.name for case in CASES if case.cls is Softmax),
    "normalise": tuple(case.name for case in CASES if issubclass(case.cls, BatchNorm | GroupNorm)),
    "layer_norm": tuple(case.name for case in CASES if case.cls is LayerNorm),
    "epilogue": ("Linear and ReLU",),
    "sums": ("Linear", "Linear with computed weights", "InnerProduct", "SpectralNorm by itself"),
}
FORWARD = ("forward", "wire", "f", "fix", "weights")  # what derivatives are measured against is not broken


class Target(NamedTuple):
    """One function to be mutated: a method of a class, or a function of a module."""

    module: str  # "minigen.layers.linear"
    owner: str  # the class, or ""
    name: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(part for part in (self.module.removeprefix("minigen."), self.owner, self.name) if part)


def targets(names: Sequence[str] = ()) -> list[Target]:
    """Every function that holds derivatives in the modules of the cases, or those of the classes and files named.

    A name is a class ("GroupNorm") or a file ("group_norm"). Raises ValueError where a name has nothing to break.
    """
    modules = dict.fromkeys(base.__module__ for case in CASES for base in case.cls.__mro__ if issubclass(base, Layer))
    modules[Pair.__module__] = None
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for module in modules:
        if module.startswith(LAYERS):
            for where, users in _of_layers(import_module(module)):
                found.setdefault(where, {}).update(dict.fromkeys(users))
    for name in ("likelihood", "adversarial"):
        for where, users in _of_losses(import_module(f"minigen.losses.{name}")):
            found[where] = dict.fromkeys(users)
    for kernel, cases in KERNELS.items():
        definition = import_module(f"minigen.kernels.{kernel}.definition")
        for name, thing in vars(definition).items():
            if inspect.isfunction(thing) and thing.__module__ == definition.__name__ and not _is_guard(name):
                found[definition.__name__, "", name] = dict.fromkeys(cases)
    everything = [Target(*where, tuple(users)) for where, users in found.items()]
    modules_of_cases = {case.cls.__name__: case.cls.__module__ for case in CASES}
    files = [_file(modules_of_cases.get(name, name)) for name in names]
    known = {_file(target.module) for target in everything}
    for name, file in zip(names, files, strict=True):
        if file not in known:
            raise ValueError(
                f"{name!r}: nothing to break. Either there is no such layer or file, or it has no row yet in the table of "
                f"cases, minigen/check/layer_cases.py. There is {', '.join(sorted(known))}"
            )
    return [target for target in everything if not files or _file(target.module) in files]


def _file(module: str) -> str:
    """ "linear" of minigen.layers.linear, "matmul" of minigen.kernels.matmul.definition."""
    return module.removesuffix(".definition").rpartition(".")[2]


Found: TypeAlias = tuple[tuple[str, str, str], tuple[str, ...]]  # (module, class, function), names of cases


def _of_layers(module: types.ModuleType) -> Iterator[Found]:
    for cls in [thing for thing in vars(module).values() if inspect.isclass(thing) and thing.__module__ == module.__name__]:
        users = _users(cls)
        reached, spaces = _reached(cls, module) if users else (set(), [])
        for name in [n for n in vars(cls) if n in METHODS or n in reached]:
            if not _is_guard(name) and function_of(vars(cls)[name]) is not None:
                yield (module.__name__, cls.__name__, name), users
        for name in sorted(reached):
            helper = next((space[name] for space in spaces if name in space), None)
            if inspect.isfunction(helper) and helper.__module__.startswith(LAYERS) and not _is_guard(name):
                yield (helper.__module__, "", helper.__name__), users


def _users(cls: type) -> tuple[str, ...]:
    """The cases whose layer is of this class, itself first; every composite for what is no layer (pairs on their way back)."""
    if not issubclass(cls, Layer):
        return tuple(case.name for case in CASES if issubclass(case.cls, Composite))
    own = [case for case in CASES if issubclass(case.cls, cls)]
    return tuple(case.name for case in sorted(own, key=lambda case: case.cls is not cls))


def _reached(cls: type, module: types.ModuleType) -> tuple[set[str], list[dict[str, Any]]]:
    """The names that the derivatives of a class mention, its own or inherited, directly or through other functions.

    And the names of the modules, its own first, that those functions are of.
    """
    methods = {name: thing for base in reversed(cls.__mro__) for name, thing in vars(base).items()}
    reached: set[str] = set()
    spaces = [vars(module)]
    fresh = {name for name in methods if name in METHODS}
    while fresh:
        name = fresh.pop()
        function = function_of(methods.get(name)) or function_of(next((s[name] for s in spaces if name in s), None))
        if function is None or not function.__module__.startswith(LAYERS):
            continue
        if all(function.__globals__ is not space for space in spaces) and name not in methods:
            spaces.append(function.__globals__)
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        mentioned = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        mentioned |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        known = {n for n in mentioned if (n in methods or any(n in space for space in spaces)) and n not in FORWARD}
        fresh |= known - reached
        reached |= known
    return reached, spaces


def _of_losses(module: types.ModuleType) -> Iterator[Found]:
    names = tuple(case.name for case in LOSSES)
    for name, thing in vars(module).items():
        if inspect.isfunction(thing) and thing.__module__ == module.__name__ and name != "game":
            own = tuple(n for n in names if n == name.removesuffix("_dot").strip("_"))
            yield (module.__name__, "", name), own or names
        elif inspect.isclass(thing) and thing.__module__ == module.__name__:
            yield from (((module.__name__, name, m), names) for m in ("__call__", "dot") if m in vars(thing))


def _is_guard(name: str) -> bool:
    """Functions that only raise errors are not broken."""
    return name.lstrip("_").startswith("check")


def function_of(thing: Any) -> types.FunctionType | None:
    thing = thing.__func__ if isinstance(thing, staticmethod | classmethod) else thing
    return thing if isinstance(thing, types.FunctionType) else None

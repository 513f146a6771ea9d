"""The checker is checked: each line of each layer's derivatives is broken in turn, and the property suite must notice.

    python -m minigen.check.mutate                    all layers and losses
    python -m minigen.check.mutate linear likelihood   those of these files

A mutant is installed in the running class or module, the suites of the cases that use it run, and anything but success kills
it. A survivor is either a mistake that no property sees, which is a hole in the suite, or no mistake (another way to the same
result): those are listed with their reasons in tests/check/survivors.toml.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import multiprocessing
import signal
import sys
import textwrap
import time
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ..layers.layer import Layer
from .case import SMALL, Case, LossCase
from .cases import CASES, LOSSES
from .loss_suite import loss_suite
from .mutations import Mutant, mutants
from .suite import PROPERTIES, suite

# The methods that hold derivatives and what follows from them; with the helpers that they call they are mutated.
METHODS = (
    *("backward", "jvp", "backward_jvp", "slope", "curve", "unwire", "there", "back", "inverse", "commit", "advance"),
    *("learn", "learn_dot", "weights_dot", "__add__", "__sub__", "__mul__", "__neg__"),
)
FORWARD = ("forward", "wire", "f", "fix", "weights")  # what derivatives are measured against is not broken
LEFT_OUT = ("back ends",)  # the rungs are not mutated
SECONDS = 5.0  # a mutant that runs longer is killed


class Target(NamedTuple):
    """One function to be mutated: a method of a class, or a function of a module."""

    module: str  # "minigen.layers.linear"
    owner: str  # the class, or ""
    name: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(part for part in (self.module.removeprefix("minigen."), self.owner, self.name) if part)


class Outcome(NamedTuple):
    """What became of one mutant."""

    target: str
    mistake: str
    killed_by: str  # "" for a survivor

    @property
    def id(self) -> str:
        """The name under which a survivor is listed."""
        return f"{self.target}: {self.mistake}"


# ---- which functions, and which cases use them


def targets(files: Iterable[str] = ()) -> list[Target]:
    """Every function that holds derivatives in the modules of the cases, or in those named ("linear")."""
    wanted = tuple(files)
    names = dict.fromkeys(base.__module__ for case in CASES for base in case.cls.__mro__ if issubclass(base, Layer))
    names = {name: None for name in names if name.startswith("minigen.layers.")}
    found = [t for name in names if not wanted or name.rpartition(".")[2] in wanted for t in _of_module(import_module(name))]
    for name in ("likelihood", "adversarial"):
        if not wanted or name in wanted:
            found += _of_losses(import_module(f"minigen.losses.{name}"))
    return found


def _of_module(module: types.ModuleType) -> Iterator[Target]:
    helpers: dict[str, dict[str, None]] = {}
    for cls in [thing for thing in vars(module).values() if inspect.isclass(thing) and thing.__module__ == module.__name__]:
        users = _users(cls)
        if not users:
            continue
        reached = _reached(cls, module)
        for name in [n for n in vars(cls) if n in METHODS or n in reached]:
            if not _is_guard(name) and _function_of(vars(cls)[name]) is not None:
                yield Target(module.__name__, cls.__name__, name, users)
        for name in reached:
            if (
                not _is_guard(name)
                and inspect.isfunction(getattr(module, name, None))
                and getattr(module, name).__module__ == module.__name__
            ):
                helpers.setdefault(name, {}).update(dict.fromkeys(users))
    for name, cases in helpers.items():
        yield Target(module.__name__, "", name, tuple(cases))


def _users(cls: type) -> tuple[str, ...]:
    """The cases whose layer is of this class, itself first; every composite for what is no layer (pairs on their way back)."""
    if not issubclass(cls, Layer):
        return tuple(c.name for c in CASES if any(base.__module__ == cls.__module__ for base in c.cls.__mro__))
    own = [case for case in CASES if issubclass(case.cls, cls)]
    return tuple(case.name for case in sorted(own, key=lambda case: case.cls is not cls))


def _reached(cls: type, module: types.ModuleType) -> set[str]:
    """The names that the derivatives of a class mention, its own or inherited, directly or through other functions."""
    methods = {name: thing for base in reversed(cls.__mro__) for name, thing in vars(base).items()}
    reached: set[str] = set()
    fresh = {name for name in methods if name in METHODS}
    while fresh:
        name = fresh.pop()
        function = _function_of(methods.get(name)) or _function_of(vars(module).get(name))
        if function is None or not function.__module__.startswith("minigen.layers"):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        mentioned = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        mentioned |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        known = {n for n in mentioned if (n in methods or n in vars(module)) and n not in FORWARD}
        fresh |= known - reached
        reached |= known
    return reached


def _of_losses(module: types.ModuleType) -> Iterator[Target]:
    names = tuple(case.name for case in LOSSES)
    for name, thing in vars(module).items():
        if inspect.isfunction(thing) and thing.__module__ == module.__name__ and name not in ("game", "_same_shape"):
            own = tuple(n for n in names if n == name.removesuffix("_dot").strip("_"))
            yield Target(module.__name__, "", name, own or names)
        elif inspect.isclass(thing) and thing.__module__ == module.__name__:
            yield from (Target(module.__name__, name, m, names) for m in ("__call__", "dot") if m in vars(thing))


def _is_guard(name: str) -> bool:
    """Functions that only raise errors are not broken."""
    return name.lstrip("_").startswith("check")


def _function_of(thing: Any) -> types.FunctionType | None:
    thing = thing.__func__ if isinstance(thing, staticmethod | classmethod) else thing
    return thing if isinstance(thing, types.FunctionType) else None


# ---- one target, all its mutants


def outcomes(target: Target) -> list[Outcome]:
    """Breaks one function in every way, and says what noticed."""
    module = import_module(target.module)
    owner: Any = getattr(module, target.owner) if target.owner else module
    original = vars(owner)[target.name]
    function = _function_of(original)
    assert function is not None
    source = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(source, ast.FunctionDef)
    checks = [_check_of(name) for name in target.cases]
    done = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name in target.cases:
            _stands(name)
        for mutant in mutants(source):
            broken = _compiled(mutant, function, owner if target.owner else None)
            kind = type(original) if isinstance(original, staticmethod | classmethod) else None
            setattr(owner, target.name, kind(broken) if kind else broken)
            try:
                done.append(Outcome(str(target), mutant.mistake, _killer(checks)))
            finally:
                setattr(owner, target.name, original)
    return done


@cache
def _stands(name: str) -> None:
    """As it is, everything holds."""
    _check_of(name)()


def _check_of(name: str) -> Callable[[], object]:
    def run(case: Case | LossCase) -> None:
        if isinstance(case, Case):
            some = [one for one in PROPERTIES if one.name not in LEFT_OUT]
            suite(
                lambda: case.make(SMALL),
                case.x(SMALL),
                skip=case.skip,
                reference=case.reference,
                committed=case.committed,
                properties=some,
            )
        else:
            loss, dot = case.make()
            loss_suite(loss, *case.args(SMALL), dot=dot, reference=case.reference, large=case.large)

    known: tuple[Case | LossCase, ...] = (*CASES, *LOSSES)
    found = next(case for case in known if case.name == name)
    return lambda: run(found)


def _killer(checks: list[Callable[[], object]]) -> str:
    for check in checks:
        try:
            with _limited(SECONDS):
                check()
        except Exception as error:
            return f"{type(error).__name__}: {error}".partition("\n")[0]
    return ""


def _compiled(mutant: Mutant, function: types.FunctionType, owner: type | None) -> types.FunctionType:
    """The mutant with the globals, defaults and class of the function whose place it takes."""
    tree: ast.stmt = mutant.function
    mutant.function.decorator_list = []
    if owner is not None:  # inside a class, so that super() finds a cell to look into
        tree = ast.ClassDef(owner.__name__, [], [], [mutant.function], [])
        ast.fix_missing_locations(tree)
    code = compile(ast.Module([tree], []), f"<mutant of {function.__qualname__}>", "exec", dont_inherit=True)
    code = _code(code, mutant.function.name)
    cells = tuple(types.CellType(owner) for _ in code.co_freevars) or None
    made = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, cells)
    made.__kwdefaults__, made.__qualname__ = function.__kwdefaults__, function.__qualname__
    return made


def _code(code: types.CodeType, name: str) -> types.CodeType:
    parts = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return next((part for part in parts if part.co_name == name), None) or _code(parts[0], name)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """TimeoutError after so many seconds, where the system has alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- all of them


def run(files: Iterable[str] = (), processes: int = 2) -> list[Outcome]:
    """The outcome of every mutant of every target."""
    work = targets(files)
    if processes <= 1:
        return [one for target in work for one in outcomes(target)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return [one for some in pool.map(outcomes, work) for one in some]


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit status is the number of survivors, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m minigen.check.mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="files of minigen/layers or minigen/losses, without .py; all by default")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="every mutant, and what killed it")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    found = run(options.files, options.processes)
    counts: dict[str, list[int]] = {}
    for one in found:
        count = counts.setdefault(one.target, [0, 0])
        count[0] += 1
        count[1] += not one.killed_by
        if options.verbose and one.killed_by:
            print(f"killed    {one.id}\n          {one.killed_by}")
    for target, (mutated, left) in counts.items():
        print(f"{target:<50} {mutated:4d} mutants {left:3d} survive")
    survivors = [one for one in found if not one.killed_by]
    for one in survivors:
        print(f"survivor  {one.id}")
    print(f"{len(found)} mutants, {len(survivors)} survive, {time.perf_counter() - start:.0f} s")
    return min(100, len(survivors))


if __name__ == "__main__":
    sys.exit(main())

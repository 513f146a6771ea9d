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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from .case import SMALL, Case, LossCase
from .cases import CASES, LOSSES
from .mutations import Mutant, mutants
from .suite_of_layers import PROPERTIES, suite
from .suite_of_losses import loss_suite
from .targets import Target, function_of, targets

LEFT_OUT = ("back ends",)  # the rungs are not mutated
SECONDS = 5.0  # a mutant that runs longer is killed


class Outcome(NamedTuple):
    """What became of one mutant."""

    target: str
    mistake: str
    killed_by: str  # "" for a survivor

    @property
    def id(self) -> str:
        """The name under which a survivor is listed."""
        return f"{self.target}: {self.mistake}"


# ---- one target, all its mutants


def outcomes(target: Target) -> list[Outcome]:
    """Breaks one function in every way, and says what noticed."""
    module = import_module(target.module)
    owner: Any = getattr(module, target.owner) if target.owner else module
    original = vars(owner)[target.name]
    function = function_of(original)
    assert function is not None
    source = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(source, ast.FunctionDef)
    checks = [_check_of(name) for name in target.cases]
    everywhere = [
        m for name, m in list(sys.modules.items()) if name.startswith("minigen.")
    ]  # a function may be imported by many
    holders = [owner] if target.owner else [m for m in everywhere if vars(m).get(target.name) is original]
    done = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name in target.cases:
            _stands(name)
        for mutant in mutants(source):
            broken = _compiled(mutant, function, owner if target.owner else None)
            kind = type(original) if isinstance(original, staticmethod | classmethod) else None
            for holder in holders:
                setattr(holder, target.name, kind(broken) if kind else broken)
            try:
                done.append(Outcome(str(target), mutant.mistake, _killer(checks)))
            finally:
                for holder in holders:
                    setattr(holder, target.name, original)
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
                trained=case.trained,
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


def run(names: Sequence[str] = (), processes: int = 2) -> list[Outcome]:
    """The outcome of every mutant of every target."""
    work = targets(names)
    if processes <= 1:
        return [one for target in work for one in outcomes(target)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return [one for some in pool.map(outcomes, work) for one in some]


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit status is the number of survivors, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m minigen.check.mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="layers (GroupNorm) or files (group_norm, likelihood); all by default")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="every mutant, and what killed it")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        found = run(options.names, options.processes)
    except ValueError as error:
        parser.error(str(error))
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

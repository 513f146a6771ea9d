"""A captured graph without a GPU: the operations of the test array, taken down and done again.

It does what CUDA does, as far as arrays can: recording changes nothing (what was written is put back, what was made holds NaN),
launching does every operation again on the arrays that it met, at their addresses, into the results that it made. A number that
was an argument stays that number. And it refuses, by the operation's name, what a captured graph cannot hold: bringing an array
to the host or one from there, an index of unknown length, a library's product (CuPy's cuBLAS), sort or solver, an array that is
made in a launch.

What an operation touches is taken down too: `library_share` is the part of a step that is not on our kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import backend
from ..backend import CaptureError

PRODUCTS = {"matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum"}
LENGTHS = {"nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress"}
WAITING = {
    *("sort", "argsort", "lexsort", "partition", "argpartition", "median"),
    *("inv", "solve", "det", "slogdet", "cholesky", "qr", "svd", "eigh", "pinv"),
}
KERNEL = "launch"  # the name of an operation that is one of our kernels; all others are the library's
HERE, PACKAGE = Path(__file__).parent, Path(__file__).parents[1]


class Operation(NamedTuple):
    """One operation of a graph."""

    name: str
    again: Callable[[], None]
    touched: int  # numbers of the arrays that it reads and writes
    where: str  # the line of minigen that asked for it, "layers/act_norm.py:52"


def library_share(graphs: Iterable[RecordedGraph]) -> float:
    """Of all numbers that the operations touch, the part that operations of the array library do: 0 where all are our kernels.

    An array is counted where it is read and where it is written, in each operation anew; making one without values is no work.
    """
    work = [operation for graph in graphs for operation in graph.work]
    return sum(one.touched for one in work if one.name != KERNEL) / max(1, sum(one.touched for one in work))


def library_lines(graphs: Iterable[RecordedGraph]) -> list[tuple[int, int, str, str]]:
    """(numbers touched, operations, name, where) of the library's, by the line that asked for them, the largest first."""
    lines: dict[tuple[str, str], list[int]] = {}
    for operation in (operation for graph in graphs for operation in graph.work if operation.name != KERNEL):
        lines.setdefault((operation.name, operation.where), []).append(operation.touched)
    return sorted(((sum(sizes), len(sizes), *line) for line, sizes in lines.items()), reverse=True)


class RecordedGraph:
    """What `kernels.cuda.graph` gives for the test array."""

    current: RecordedGraph | None = None  # the one that is being recorded
    launching = False

    def __init__(self) -> None:
        self.work: list[Operation] = []
        self._before: dict[int, tuple[Any, Any]] = {}  # arrays that were there before, and what they held
        self._made: dict[int, Any] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within it operations are taken down."""
        RecordedGraph.current = self
        try:
            with backend.capturing():
                yield
        finally:
            RecordedGraph.current = None
            for array, held in self._before.values():
                array[...] = held
            for array in self._made.values():
                if array.dtype.kind in "fc" and array.flags.writeable:
                    array[...] = np.nan
            self._before.clear()

    def launch(self) -> None:
        """Does it all again."""
        RecordedGraph.launching = True
        try:
            for operation in self.work:
                operation.again()
        finally:
            RecordedGraph.launching = False

    def run(self, name: str, function: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """One operation, now, and in every launch."""
        if name in PRODUCTS:
            raise CaptureError(f"{name} inside a captured step: CuPy's cuBLAS refuses. Use minigen.kernels.matmul")
        if name in LENGTHS:
            raise CaptureError(f"{name} inside a captured step: how long its result is must come to the host")
        if name in WAITING:
            raise CaptureError(f"{name} inside a captured step: CuPy's sorts and solvers wait for the device")
        taken = list(_arrays((arguments, options)))
        for array in map(_owner, taken):
            if id(array) not in self._made:
                self._before.setdefault(id(array), (array, array.copy()))
        result = _as_arrays(function(*arguments, **options))
        views = [any(np.may_share_memory(part, array) for array in taken) for part in _arrays(result)]
        for part, view in zip(_arrays(result), views, strict=True):
            if not view:
                self._made[id(_owner(part))] = _owner(part)
        if result is not None and all(views) and views and not _writes(name, options):
            return result  # nothing but another look at what is there

        def again() -> None:
            once_more = _as_arrays(function(*arguments, **options))
            for part, new, view in zip(_arrays(result), _arrays(once_more), views, strict=True):
                if not view:
                    part[...] = new

        self.work.append(Operation(name, again, _touched(name, arguments, [*taken, *_arrays(result)]), _where()))
        return result


def _writes(name: str, options: Any) -> bool:
    return options.get("out") is not None or name in ("assignment", "launch")


def _touched(name: str, arguments: Any, arrays: list[Any]) -> int:
    """How many numbers of the arrays are read and written, each array once; at an index those alone that it selects."""
    if name in ("empty", "empty_like"):
        return 0
    if name in ("index", "assignment"):
        array, at = arguments[:2]
        return 2 * int(np.size(array[at]))
    return sum({(x.__array_interface__["data"][0], x.shape, x.strides): x.size for x in arrays}.values())


def _where() -> str:
    """The line of minigen, outside this folder, that is being executed."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if PACKAGE in file.parents and file.parent != HERE:
            return f"{file.relative_to(PACKAGE)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _as_arrays(result: Any) -> Any:
    if isinstance(result, tuple | list):
        return type(result)(_as_arrays(part) for part in result)
    return np.asarray(result) if isinstance(result, np.generic) else result


def _arrays(tree: Any) -> Iterator[Any]:
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, dict):
        yield from _arrays(tuple(tree.values()))
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from _arrays(part)


def _owner(array: Any) -> Any:
    """The array whose memory it is."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array

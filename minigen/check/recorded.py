"""A captured graph without a GPU: the operations of the test array, taken down and done again.

It does what CUDA does, as far as arrays can: recording changes nothing (what was written is put back, what was made holds NaN),
launching does every operation again on the arrays that it met, at their addresses, into the results that it made. A number that
was an argument stays that number. And it refuses, by the operation's name, what a captured graph cannot hold: bringing an array
to the host or one from there, an index of unknown length, a library's product (CuPy's cuBLAS), an array that is made in a
launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import backend
from ..backend import CaptureError

PRODUCTS = {"matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum"}
LENGTHS = {"nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress"}


class RecordedGraph:
    """What `kernels.cuda.graph` gives for the test array."""

    current: RecordedGraph | None = None  # the one that is being recorded
    launching = False

    def __init__(self) -> None:
        self.work: list[tuple[str, Callable[[], None]]] = []
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
            for _, operation in self.work:
                operation()
        finally:
            RecordedGraph.launching = False

    def run(self, name: str, function: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """One operation, now, and in every launch."""
        if name in PRODUCTS:
            raise CaptureError(f"{name} inside a captured step: CuPy's cuBLAS refuses. Use minigen.kernels.matmul")
        if name in LENGTHS:
            raise CaptureError(f"{name} inside a captured step: how long its result is must come to the host")
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

        self.work.append((name, again))
        return result


def _writes(name: str, options: Any) -> bool:
    return options.get("out") is not None or name in ("assignment", "launch")


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

"""A captured graph on a GPU, through CuPy: work that is recorded once, and launched again as one.

    work = graph(like=x)
    with work.recording():
        step()                      # nothing runs: what would be queued is taken down
    work.launch()                   # now it runs, and again at every call

A launch from Python costs some ten microseconds, and a step has hundreds; a graph's launch costs one of them. What is recorded
are addresses and arguments. So what changes must lie in memory, at the same place, and the graph owns what it works in: during
the recording memory comes from a pool of its own, from which nobody else takes any, and which lives as long as the graph.

Nothing may wait for the device or copy from the host meanwhile: `backend.capturing` makes that an error with a name. CuPy
refuses products by cuBLAS. Kernels must have been compiled before, so a step runs once as usual first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigen import backend


class Graph:
    """Recorded by `recording`, run by `launch`. RuntimeError where CuPy, a driver or a GPU is missing."""

    def __init__(self) -> None:
        self._cupy = backend.cupy()
        self._stream = self._cupy.cuda.Stream(non_blocking=True)
        self._pool = self._cupy.cuda.MemoryPool()
        self._graph: Any = None

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """On the graph's own stream, after all that was queued before, and before all that is queued later."""
        before = self._cupy.cuda.get_current_stream()
        self._stream.wait_event(before.record())
        try:
            with self._stream:
                yield
        finally:
            before.wait_event(self._stream.record())

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within it work is taken down. CaptureError names what cannot be; the graph is then none."""
        with self._apart(), self._cupy.cuda.using_allocator(self._pool.malloc):
            self._stream.begin_capture()
            try:
                with backend.capturing():
                    yield
            except BaseException:
                self._abandon()
                raise
            self._graph = self._stream.end_capture()

    def _abandon(self) -> None:
        """Ends a capture that failed; CUDA says so once more, which says less than what was raised."""
        try:
            self._stream.end_capture()
        except Exception:
            self._graph = None

    def launch(self) -> None:
        """Queues all that was recorded."""
        with self._apart():
            self._graph.launch(self._stream)


def graph(like: Any) -> Any:
    """A graph to be recorded on the device of `like`: on CuPy's, or what an added library has for one."""
    library: Any = backend.array_module(like)
    return library.graph() if hasattr(library, "graph") else Graph()

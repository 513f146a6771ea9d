"""The one pool of threads, and how it waits.

NumPy's matrix products bring a pool of their own (OpenBLAS's), Numba's parallel loops another. A pool that has finished does
not sleep at once: its threads spin for a while, hoping for more work. Two pools that take turns on the same cores therefore
fight: each starts while the other still spins, and on two cores 0.2 ms of work was measured to take 8 to 15 ms. So there is
one pool, Numba's, because the kernels need it; from the moment when the first Numba kernel is loaded, BLAS works on the calling
thread. That is kept for the life of the process: to switch it back and forth would be the fight again.

How long Numba's threads spin between two loops is a trade. A thread that sleeps at once is woken in 57 microseconds, one that
spins is there in 1: with some twenty loops in a training step of 2.5 ms, sleeping made the step take 4.4 ms. But a program
beside another busy one loses what it spins, and with OpenMP's default, which spins for milliseconds, a slice of time at every
loop: on two busy cores a small matrix product took 12 to 30 ms. SPINS, some tens of microseconds, is as long as Python needs
from one layer to the next; on two busy cores that product takes 0.7 ms, and 0.5 ms where threads sleep at once. OpenMP reads
this when it is loaded: where another library (PyTorch) has loaded it before, that library's choice holds.

A library that is loaded after that moment with a BLAS of its own has its own pool, until `close_other_pools` is called again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Any

SPINS = "2000"  # of GNU's OpenMP, which counts turns of an empty loop

_wanted: int | None = None  # what `threads` asked for; None: all of Numba's
_numba: Any = None  # the module, once the pool is open
_limits: list[Any] = []  # threadpoolctl's limiters: they hold as long as nobody restores them


def open_pool() -> None:
    """Called by the first kernel: takes BLAS down to one thread and gives Numba's pool its size."""
    global _numba
    if _numba is None:
        if "OMP_WAIT_POLICY" not in os.environ:  # both are read once, when Numba loads OpenMP
            os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        import numba

        # Numba loads it a moment later where it is installed, and with it a second BLAS: better now than unlimited.
        with suppress(ModuleNotFoundError):
            import scipy.linalg  # noqa: F401

        _numba = numba
        close_other_pools()
        if _wanted is not None:
            _check(_wanted)
            numba.set_num_threads(_wanted)


def close_other_pools() -> None:
    """Limits every BLAS that is loaded by now to one thread.

    Without threadpoolctl, where minigen was installed without what it depends on (`benchmarks.gpu`), they keep theirs.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        return
    _limits[:] = [threadpool_limits(1, user_api="blas")]


def thread_count() -> int:
    """The number of threads that kernels use."""
    open_pool()
    return int(_numba.get_num_threads())


def thread_limit() -> int:
    """The most threads that kernels can use: NUMBA_NUM_THREADS, by default the number of cores."""
    open_pool()
    return int(_numba.config.NUMBA_NUM_THREADS)


def _check(n: int) -> None:
    if n > thread_limit():
        raise ValueError(f"threads: {n} are asked for, there are {thread_limit()}: raise NUMBA_NUM_THREADS before the start")


class threads:
    """`threads(n)` lets kernels use `n` threads from now on; `with threads(n):` until the end of the block.

    At most NUMBA_NUM_THREADS of them, by default the number of cores (ValueError beyond). Results depend on the count
    only where sums are shared out (the convolution's weight gradient); at an equal count they are equal bit for bit.
    """

    def __init__(self, n: int) -> None:
        global _wanted
        if n < 1:
            raise ValueError(f"threads: at least one is needed, got {n}")
        self._before = _wanted
        if _numba is not None:
            _check(n)
            self._before = thread_count()
            _numba.set_num_threads(n)
        _wanted = n

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None) -> None:
        global _wanted
        _wanted = self._before
        if _numba is not None:
            _numba.set_num_threads(thread_limit() if _wanted is None else _wanted)

"""One process at a time works in the folder of a run: two would write over each other's log and checkpoint.

The operating system drops the lock of a process that ends, however it ends, so a run that was killed goes on at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import RunError

NAME = "lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Within it no other process can train in `folder`. Raises RunError where one does."""
    lock = FileLock(folder / NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder} is being trained at this moment: wait for that, or choose another folder with --out"
        ) from None
    except OSError as error:
        raise RunError(f"cannot write {folder / NAME}: {error.strerror or error}. Choose another folder with --out") from error
    try:
        yield
    finally:
        lock.release()

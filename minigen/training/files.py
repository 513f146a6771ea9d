"""Files that are there whole or not at all, so that a crash or a full disk never costs what was there before."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import RunError


def write_atomic(path: Path, content: bytes) -> None:
    """Puts `content` at `path` in one move: a temporary file beside it, flushed to the disk, renamed, the folder flushed.

    Raises RunError where that fails; what lay at `path` before is then still there.
    """
    part = None
    try:
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(0o644)  # a temporary file is readable by its owner alone
        Path(part).replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        kept = f"; the {path.name} that was there before is untouched" if path.exists() else ""
        raise RunError(f"cannot write {path}: {error.strerror or error}{kept}. Make room, or choose another --out") from error
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """A rename survives a power cut only once the folder itself is on the disk; skipped where that cannot be asked for."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows does not open folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Makes `folder` and those above it; RunError where that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}. Choose another one with --out") from error

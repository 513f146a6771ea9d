"""Where data files lie, and how a missing one is fetched: several mirrors, content checked, stored in one move."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .dataset import DataError


def data_root(folder: Path | None = None) -> Path:
    """The folder that holds the data sets: `folder`, else $MINIGEN_DATA, else a cache folder of the user (not made yet).

    A folder that was named must be there (DataError), so that a typing mistake does not start a download.
    """
    if folder is not None:
        named, says = folder, "the folder given"
    elif value := os.environ.get("MINIGEN_DATA"):
        named, says = Path(value).expanduser(), "the environment variable MINIGEN_DATA"
    else:
        import pooch

        return Path(pooch.os_cache("minigen"))
    if not named.is_dir():
        raise DataError(f"there is no folder {named} ({says}): correct the path, or make the folder")
    return named


def find(names: Sequence[str], folders: Sequence[Path]) -> Path | None:
    """The first file that exists, the folders in order, in each the names in order."""
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if path.is_file()), None)


def download(name: str, mirrors: Sequence[str], target: Path, check: Callable[[Path, str], object]) -> None:
    """Fetches the file `name` from the first of `mirrors` that has it to `target`.

    `check(path, url)` reads the fetched file and raises DataError if it is not the right one: then the next mirror is tried.
    `target` appears complete or not at all. Raises DataError with what went wrong at each mirror.
    """
    reasons = []
    for mirror in mirrors:
        url = mirror + name
        print(f"downloading {url} to {target.parent}", file=sys.stderr)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(prefix=f".{name}.", dir=target.parent)
        except OSError as error:
            raise DataError(f"cannot write to {target.parent}: {error}") from error
        os.close(handle)
        try:
            fetch(url, part)
            check(Path(part), url)
            Path(part).chmod(0o644)  # a temporary file is readable by its owner alone
            Path(part).replace(target)
            return
        except (OSError, DataError) as error:  # OSError: what requests raises, and a full disk
            reasons.append(f"  {url}: {error}")
        finally:
            Path(part).unlink(missing_ok=True)
    raise DataError("no mirror could be used:\n" + "\n".join(reasons))


def fetch(url: str, path: str) -> None:
    """Writes what lies at `url` to `path`; OSError where that fails."""
    import pooch

    get = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=30)
    get(url, path, None)

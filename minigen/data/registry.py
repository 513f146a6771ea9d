"""The data sets by name: `load("mnist")`, `names()`, and the rows that `minigen data` prints.

A data set is one small file that calls `register(Entry(...))`; `minigen/data/__init__.py` imports it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dataset import DataError, Dataset


@dataclass(frozen=True)
class Entry:
    """What is known of a data set before it is loaded."""

    name: str
    about: str  # one line
    shape: tuple[int | str, ...]  # of one row; a string where the user decides
    rows: dict[str, int | str]  # by split
    source: str
    licence: str
    built_in: bool  # generated here, no file needed
    loader: Callable[..., Dataset]  # loader(split, folder, **options)
    path: str = ""  # of data that lies where the user says, "name:path": an example of the path


_entries: dict[str, Entry] = {}


def register(entry: Entry) -> None:
    """Makes `entry` known to `load`; a second entry of one name is a ValueError."""
    if entry.name in _entries:
        raise ValueError(f"data set {entry.name!r} is registered twice")
    _entries[entry.name] = entry


def names() -> tuple[str, ...]:
    """The names that `load` knows, built-in data first."""
    return tuple(entry.name for entry in _sorted())


def describe() -> list[dict[str, Any]]:
    """One row per data set, ready for a table or JSON: name, about, shape, rows, source, licence, built_in."""
    columns = "name", "about", "shape", "rows", "source", "licence", "built_in"
    return [{column: getattr(entry, column) for column in columns} for entry in _sorted()]


def load(name: str, split: str = "train", *, folder: str | Path | None = None, only: Any = None, **options: Any) -> Dataset:
    """The split `split` of the data set `name`.

    `folder` is where its files lie: by default $MINIGEN_DATA, else a cache folder of the user. `"folder:/path/to/images"` is
    the data set "folder" at that path, `"text:/path/to/a/file"` a text. `only` keeps some classes: "3", or "3,5". The other
    `options` belong to the data set: `load("glyphs", size=32, colour=True)`.

    Raises DataError on an unknown name, split or option, and on missing or broken files, with the remedy.
    """
    name, colon, path = name.partition(":")
    entry = _entries.get(name)
    if entry is None:
        raise DataError(_unknown("data set", name, names()))
    if colon:
        if not entry.path or not path:
            those = ", ".join(f"{entry.name}:{entry.path}" for entry in _sorted() if entry.path)
            raise DataError(f"{name}:{path} is no data set: a path follows some names alone, as in {those}")
        folder = Path(folder or "", path)
    if split not in entry.rows:
        raise DataError(f"{name}: " + _unknown("split", split, tuple(entry.rows)))
    known = tuple(inspect.signature(entry.loader).parameters)[2:]
    for option in options:
        if option not in known:
            raise DataError(f"{name}: " + _unknown("option", option, (*known, "only")))
    data = entry.loader(split, None if folder is None else Path(folder).expanduser(), **options)
    return data if only is None else data.at(data.of_class(*str(only).split(",")))


def _sorted() -> list[Entry]:
    return sorted(_entries.values(), key=lambda entry: (not entry.built_in, entry.name))


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {name!r}.{hint} There are: {', '.join(known) or 'none'}."

"""Any text file: its characters are the symbols, its last part is held out."""

from __future__ import annotations

from pathlib import Path

from .dataset import DataError
from .files import data_root
from .registry import Entry, register
from .sequences import Sequences, as_rows, check_length


def load_text(split: str, folder: Path | None, length: int = 128, test_fraction: float = 0.1) -> Sequences:
    """The text file `folder`, in UTF-8, as rows (N, T) of `length` characters one after the other.

    Its characters, of both splits, in order are the symbols. The last part `test_fraction` of the file is the test split.
    """
    check_length("text", length)
    path = _resolve(folder)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({error}): convert it, or choose another file") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not 0 < test_fraction < 1:
        raise DataError(f"text: test_fraction is {test_fraction:g}: it must lie between 0 and 1")
    cut = round(len(text) * (1 - test_fraction))
    characters = "".join(sorted(set(text)))
    rows = as_rows(text[:cut] if split == "train" else text[cut:], characters, length)
    if not len(rows):
        raise DataError(
            f"{path} has {len(text):,} characters, and its {split} split is shorter than one row of {length}: choose a longer "
            f"text, or a smaller length"
        )
    return Sequences(f"text:{path}", rows, split=split, traits={"characters": characters}, symbols=len(characters))


def _resolve(path: Path | None) -> Path:
    """A path as the shell would take it; a relative one that is not here is looked for in the folder of the data."""
    if path is None:
        raise DataError("say which file: load('text:/path/to/a/file')")
    tried = [path] if path.is_absolute() or path.is_file() else [path, data_root() / path]
    for one in tried:
        if one.is_file():
            return one
    raise DataError(f"there is no file {' nor '.join(map(str, tried))}: correct the path")


register(
    Entry(
        name="text",
        about="your own text: text:/path/to/a/file",
        shape=("length",),
        rows={"train": "about 90 %", "test": "about 10 %"},
        source="one file in UTF-8; its characters are the symbols",
        licence="yours",
        built_in=False,
        loader=load_text,
        path="/path/to/a/file",
    )
)

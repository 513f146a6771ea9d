"""What a model draws, as files: images and points as a PNG, sound as a WAV beside its spectrograms, text as a TXT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backend import Array, to_device
from ..data.mu_law import decode
from ..data.sequences import as_text
from .audio import save_wav, spectrograms
from .files import write_atomic
from .pictures import as_grid, save_grid

RULE = "-" * 40  # between two texts


def show(path: Path, drawn: Array, traits: Mapping[str, Any]) -> list[Path]:
    """Writes `drawn` and returns the files, `path` with the suffixes that fit.

    Integers (n, T) are what `traits` says they stand for, levels of sound or characters; anything else is a grid of images
    (rows, columns, H, W, C), images (n, H, W, C) or points (n, 2). Raises ValueError on rows of another kind.
    """
    if drawn.dtype.kind not in "iu" or drawn.ndim != 2:
        picture = path.with_suffix(".png")
        save_grid(picture, drawn if drawn.ndim == 5 else as_grid(drawn))
        return [picture]
    if "hertz" in traits:
        sound = decode(to_device(drawn, "cpu"))
        files = [path.with_suffix(".wav"), path.with_suffix(".png")]
        save_wav(files[0], sound, traits["hertz"])
        save_grid(files[1], spectrograms(sound))
        return files
    if "characters" in traits:
        file = path.with_suffix(".txt")
        write_atomic(file, texts(drawn, traits["characters"]).encode())
        return [file]
    raise ValueError(f"integers of shape {drawn.shape} are neither sound nor text: nothing says what they stand for")


def texts(rows: Array, characters: str) -> str:
    """The texts of rows (n, T), a rule after each."""
    return "".join(f"{as_text(row, characters).rstrip()}\n{RULE}\n" for row in to_device(rows, "cpu"))

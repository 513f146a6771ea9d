"""Free spoken digits: 3,000 recordings of the words zero to nine by six speakers, at 8 kHz (Jackson et al.).

The official split: of each speaker and digit, the takes 0 to 4 are the test split.

A row is the first `length` samples of a recording as mu-law levels, with silence after its end.
"""

from __future__ import annotations

import wave
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..backend import Array
from .dataset import DataError
from .files import data_root, find
from .mu_law import LEVELS, encode
from .registry import Entry, register
from .sequences import Sequences, check_length

HERTZ = 8000
LENGTH = 4000
HELD_OUT = 5  # recordings of each speaker and digit
PACKED = "fsdd_8k.npz"
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"


class Recordings(NamedTuple):
    """All of them, end to end: recording i is audio[offsets[i] : offsets[i + 1]]."""

    audio: Array  # (samples,) int16
    offsets: Array  # (N + 1,)
    digit: Array  # (N,)
    speaker: Array  # (N,) numbers of the speakers in alphabetical order
    take: Array  # (N,) which of the recordings of one speaker and digit


def load_fsdd(split: str, folder: Path | None, length: int = LENGTH) -> Sequences:
    """The split: levels (N, T = length), labels the digits, factors `speaker` and `samples` (the true length).

    `fsdd/fsdd_8k.npz` or `fsdd/recordings/*.wav` below the folder is read. DataError says what is missing and what to do.
    """
    check_length("fsdd", length)
    root = data_root(folder)
    packed = find((PACKED,), (root / "fsdd", root))
    wavs = sorted((root / "fsdd" / "recordings").glob("*.wav"))
    if packed is None and not wavs:
        raise DataError(
            f"fsdd: there is neither {root / 'fsdd' / PACKED} nor {root / 'fsdd' / 'recordings'}. The recordings are "
            f"published at\n  {SOURCE}\nGet them with\n  git clone {SOURCE} {root / 'fsdd'}\nor take the built-in data plucked"
        )
    all_of = _read_packed(packed) if packed is not None else _read_wavs(wavs)
    chosen = np.flatnonzero((all_of.take < HELD_OUT) == (split == "test"))
    levels = np.full((len(chosen), length), encode(0.0), np.uint8)  # silence
    for row, i in zip(levels, chosen, strict=True):
        sound = all_of.audio[all_of.offsets[i] : all_of.offsets[i + 1]][:length]
        row[: len(sound)] = encode(sound / 32768.0)
    factors = {"speaker": all_of.speaker[chosen].astype(np.int64), "samples": np.diff(all_of.offsets)[chosen]}
    digits, classes = all_of.digit[chosen].astype(np.int64), tuple("0123456789")
    return Sequences("fsdd", levels, digits, factors, split, classes, {"hertz": HERTZ}, symbols=LEVELS)


def _read_packed(path: Path) -> Recordings:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = Recordings(*(arrays[name] for name in ("audio", "offsets", "digit", "speaker", "index")))
            rate = int(arrays["rate"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no file of recordings ({error}): get it again") from error
    rows = {len(found.offsets) - 1, len(found.digit), len(found.speaker), len(found.take)}
    if rate != HERTZ or len(rows) != 1 or found.offsets[-1] != len(found.audio):
        raise DataError(f"{path} is damaged: its arrays do not belong together, or are not at {HERTZ} Hz. Get it again")
    return found


def _read_wavs(paths: list[Path]) -> Recordings:
    """Files called DIGIT_SPEAKER_INDEX.wav, mono, 16 bits, 8 kHz."""
    sounds, names = [], []
    for path in paths:
        parts = path.stem.split("_")
        try:
            with wave.open(str(path), "rb") as file:
                kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
                sounds.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
            names.append((int(parts[0]), parts[1], int(parts[2])))
        except (OSError, EOFError, wave.Error, ValueError, IndexError) as error:
            raise DataError(f"{path} is no recording DIGIT_SPEAKER_INDEX.wav ({error}): get it again") from error
        if kind != (1, 2, HERTZ):
            raise DataError(f"{path} has {kind[0]} channels of {8 * kind[1]} bits at {kind[2]} Hz, not 1 of 16 at {HERTZ}")
    digit, speaker, index = zip(*names, strict=True)
    offsets = np.concatenate(([0], np.cumsum([len(sound) for sound in sounds])))
    numbers = np.unique(np.array(speaker), return_inverse=True)[1]
    return Recordings(np.concatenate(sounds), offsets, np.array(digit), numbers, np.array(index))


register(
    Entry(
        name="fsdd",
        about="spoken digits, half a second each: 256 mu-law levels at 8 kHz",
        shape=(LENGTH,),
        rows={"train": 2700, "test": 300},
        source=SOURCE,
        licence="CC BY-SA 4.0",
        built_in=False,
        loader=load_fsdd,
    )
)

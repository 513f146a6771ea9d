"""Sound as files: a .wav that can be heard, and spectrograms that can be seen.

A spectrogram cuts sound into frames of F samples, one every `hop`, weighs each by Hann's window and takes the magnitude of its
Fourier transform: which pitches sound at which time. It is drawn in decibels, from the loudest (black) to RANGE below (white).

n sounds, T samples in [-1, 1], F samples a frame, W frames.
"""

from __future__ import annotations

import io
import math
import wave
from pathlib import Path

import numpy as np

from ..backend import Array, to_device
from .errors import NotFiniteRunError
from .files import write_atomic

PAUSE = 0.1  # seconds between two sounds of a file
RANGE = 60.0  # decibels that a spectrogram shows
FRAME = 256  # samples: 32 ms and steps of 31 Hz at 8 kHz
WIDTH = 160  # frames that a spectrogram should about have


def save_wav(path: Path, sounds: Array, hertz: int) -> None:
    """Writes sounds (n, T) in [-1, 1] one after the other to `path`, mono, 16 bits, in one move. What is outside is cut off."""
    sounds = to_device(sounds, "cpu")
    if not np.isfinite(sounds).all():
        raise NotFiniteRunError("a sound of the model holds values that are not finite")
    n, T = sounds.shape
    padded = np.zeros((n, T + round(PAUSE * hertz)), np.int16)
    padded[:, :T] = np.round(sounds.clip(-1, 1) * 32767)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hertz)
        file.writeframes(padded.astype("<i2").tobytes())
    write_atomic(path, buffer.getvalue())


def decibels(sound: Array, frame: int = FRAME, hop: int | None = None) -> Array:
    """(T,) -> (F/2 + 1, W) float64: the magnitudes in decibels, that of the loudest 0, none below -RANGE; low pitches first.

    A sound shorter than a frame is one frame, with silence after it. By default `hop` gives about WIDTH frames.
    """
    sound = to_device(sound, "cpu").astype(np.float64)
    sound = np.pad(sound, (0, max(0, frame - len(sound))))
    hop = max(1, (len(sound) - frame) // WIDTH) if hop is None else hop
    frames = np.lib.stride_tricks.sliding_window_view(sound, frame)[::hop]  # (W, F)
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(frame), axis=1)).T  # (F/2 + 1, W)
    loudest = magnitudes.max()
    floor = 10 ** (-RANGE / 20)
    return 20 * np.log10(np.maximum(magnitudes / loudest if loudest else magnitudes, floor))


def spectrograms(sounds: Array) -> Array:
    """Sounds (n, T) -> their spectrograms as a grid (rows, columns, F/2 + 1, W, 1) in [0, 1]: high pitch above, loud black."""
    tiles = np.stack([-decibels(sound)[::-1] / RANGE for sound in sounds])[..., None]  # (n, F/2 + 1, W, 1)
    columns = next((c for c in (5, 4, 3) if len(tiles) % c == 0), min(len(tiles), 4))
    rows = math.ceil(len(tiles) / columns)
    grid = np.ones((rows * columns, *tiles.shape[1:]))
    grid[: len(tiles)] = tiles
    return grid.reshape(rows, columns, *tiles.shape[1:])

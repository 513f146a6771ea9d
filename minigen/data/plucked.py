"""Plucked strings, built in: a burst of noise that runs around a loop and is smoothed at every turn (Karplus and Strong 1983).

    x_t = burst_t                                  t = 0 .. p
    x_t = decay (x_(t-p) + x_(t-p-1)) / 2          t > p

The loop is a string: a delay of p samples, and an average that delays half a sample more and damps what is high. So the pitch
is rate / (p + 1/2), overtones die first, and the tone by the factor `decay` a turn (Jaffe and Smith 1983).

The burst is noise on [-1, 1], averaged over `softness` samples (a soft finger, a hard pick), and its largest value is the
loudness. Row i is a function of (key, i) alone.

N rows, T samples, p the period.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..backend import Array
from ..random import Key
from .mu_law import LEVELS, encode
from .registry import Entry, register
from .sequences import Sequences, check_length

HERTZ = 8000
NOTES = {"G3": 40, "A3": 36, "C4": 30, "D4": 27, "E4": 24}  # name -> period; the pitches are within 1 %
SOFTNESS = 1, 5  # samples, at least and at most
LOUDNESS = 0.4, 0.95
HALF_LIFE = 0.05, 0.25  # seconds until the amplitude is half of what it was, but for what the average takes
ROWS = {"train": 2000, "test": 200}
LENGTH = 1000


def pluck(burst: Array, period: int, decay: Array, length: int) -> Array:
    """The strings (N, T = length) that begin with `burst` (N, p + 1), of decay (N,) a turn."""
    x = np.empty((len(burst), max(length, period + 1)))
    x[:, : period + 1] = burst
    for t in range(period + 1, length, period):  # a turn at a time: it depends on the turn before alone
        stop = min(t + period, length)
        now, before = slice(t - period, stop - period), slice(t - period - 1, stop - period - 1)
        x[:, t:stop] = decay[:, None] * (x[:, now] + x[:, before]) / 2
    return x[:, :length]


def strings(rows: int, length: int, key: Key) -> tuple[Array, dict[str, Array]]:
    """`rows` strings (N, T) in [-1, 1], and what made them, (N,) each: note, period, softness, loudness, half_life."""
    note = key.at("note").integers(len(NOTES), rows)
    u = key.at("factors").uniform((rows, 3), np.float64)
    softness = SOFTNESS[0] + (u[:, 0] * (SOFTNESS[1] - SOFTNESS[0] + 1)).astype(np.int64)
    loudness = LOUDNESS[0] + u[:, 1] * (LOUDNESS[1] - LOUDNESS[0])
    half_life = HALF_LIFE[0] * (HALF_LIFE[1] / HALF_LIFE[0]) ** u[:, 2]
    period = np.array(list(NOTES.values()))[note]
    noise = 2 * key.at("burst").uniform((rows, max(NOTES.values()) + 1 + SOFTNESS[1]), np.float64) - 1
    sound = np.empty((rows, length))
    for p in np.unique(period):
        own = np.flatnonzero(period == p)
        sums = np.cumsum(noise[own], 1)  # (n, ...): an average over k samples is a difference of two sums
        ends = softness[own, None] + np.arange(p + 1)  # (n, p + 1)
        burst = np.take_along_axis(sums, ends, 1) - np.take_along_axis(sums, ends - softness[own, None], 1)
        burst -= burst.mean(1, keepdims=True)  # what does not swing would not be heard, and would not decay
        burst *= loudness[own, None] / np.abs(burst).max(1, keepdims=True)
        sound[own] = pluck(burst, int(p), 0.5 ** ((p + 0.5) / HERTZ / half_life[own]), length)
    return sound, {"note": note, "period": period, "softness": softness, "loudness": loudness, "half_life": half_life}


def load_plucked(split: str, folder: Path | None, rows: int | None = None, length: int = LENGTH, seed: int = 0) -> Sequences:
    """`rows` strings of `length` samples as mu-law levels (N, T); labels are the notes."""
    check_length("plucked", length)
    sound, factors = strings(ROWS[split] if rows is None else rows, length, Key(seed).at("plucked", split))
    levels, note, traits = encode(sound), factors["note"], {"hertz": HERTZ}
    return Sequences("plucked", levels, note, factors, split, tuple(NOTES), traits, symbols=LEVELS)


register(
    Entry(
        name="plucked",
        about="plucked strings of five notes, an eighth of a second each: 256 mu-law levels at 8 kHz",
        shape=(LENGTH,),
        rows=dict(ROWS),
        source="synthesised by the algorithm of Karplus and Strong",
        licence="free",
        built_in=True,
        loader=load_plucked,
    )
)

"""Clipping in place on a GPU, in CUDA C (`in_place.cu`). The formulas are in `definition.py`.

Against the definition: the squares are added up where they are read, and what the norm decides is decided by the kernel that
multiplies: no number comes to the host, so a captured step can hold it.

Error: of the norm u = 2^-24, since squares and sums are float64; of what is scaled 2 u beside it.

Legend: P numbers of a vector. vectors, x (P,).
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from minigen.backend import Array, empty

from ..cuda.launch import each, launch
from ..cuda.sums import THREADS, Walk

FILE = "clip/in_place.cu"


def to_norm(*vectors: Array, limit: float) -> Any:
    """-> the norm before."""
    walks = [Walk(1, x.size, 1) for x in vectors]
    norm, share = (empty((), dtype, like=vectors[0]) for dtype in (np.float64, np.float32))
    ends = list(accumulate((walk.many for walk in walks), initial=0))
    parts = empty(ends[-1], np.float64, like=norm)
    for x, walk, (begin, end) in zip(vectors, walks, pairwise(ends), strict=True):
        walk.launch(FILE, "clip_squares", x, parts[begin:end], x.size, walk.chunk)
    launch(FILE, "clip_norm", (1,), (1, THREADS), parts, norm, share, len(parts), limit)
    for x in vectors:
        each(FILE, "clip_scale", x.size, x, share, x.size)
    return norm


def to_range(x: Array, limit: float) -> None:
    """Moves x."""
    each(FILE, "clip_range", x.size, x, x.size, limit)

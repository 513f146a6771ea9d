"""Data: built-in glyphs, loaders for real data, and the batches of a run.

data = minigen.data.load("glyphs")
for batch in Batches(data, 64, Key(0)): ...
"""

from . import glyphs as _glyphs  # noqa: F401  each of these files registers its data sets
from .batches import Batch, Batches
from .dataset import DataError, Dataset, as_floats, check_images
from .registry import Entry, describe, load, names, register

__all__ = [
    "Batch",
    "Batches",
    "DataError",
    "Dataset",
    "Entry",
    "as_floats",
    "check_images",
    "describe",
    "load",
    "names",
    "register",
]

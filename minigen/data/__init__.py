"""Data: built-in glyphs, loaders for real data, and the batches of a run.

`load("glyphs")` gives a `Dataset`, `Batches(data, 64, Key(0))` the endless batches of a run, `names()` all that can be loaded.
"""

from . import glyphs, image_folder, mnist  # noqa: F401  each of these files registers its data sets
from .batches import Batch, Batches
from .dataset import DataError, Dataset, as_floats, check_images
from .glyphs import Glyphs
from .registry import Entry, describe, load, names, register

__all__ = [
    "Batch",
    "Batches",
    "DataError",
    "Dataset",
    "Entry",
    "Glyphs",
    "as_floats",
    "check_images",
    "describe",
    "load",
    "names",
    "register",
]

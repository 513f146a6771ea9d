"""Data: built-in glyphs, loaders for real data, and the batches of a run.

`load("glyphs")` gives a `Dataset`, `Batches(data, 64, Key(0))` the endless batches of a run, `names()` all that can be loaded.
"""

from . import (  # noqa: F401  each of these registers its data sets
    binarized_mnist,
    fashion_mnist,
    fsdd,
    glyph_factors,
    glyphs,
    grammar,
    image_folder,
    mnist,
    plucked,
    points,
    stacked,
    text,
)
from .batches import Batch, Batches
from .dataset import DataError, Dataset, Redrawn, as_floats, check_images
from .densities import DENSITIES, Density, Modes, density
from .glyph_factors import GlyphFactors
from .glyphs import Glyphs
from .registry import Entry, describe, load, names, register
from .sequences import Sequences

__all__ = [
    "DENSITIES",
    "Batch",
    "Batches",
    "DataError",
    "Dataset",
    "Density",
    "Entry",
    "GlyphFactors",
    "Glyphs",
    "Modes",
    "Redrawn",
    "Sequences",
    "as_floats",
    "check_images",
    "density",
    "describe",
    "load",
    "names",
    "register",
]

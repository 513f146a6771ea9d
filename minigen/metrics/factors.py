"""What measures of disentanglement ask for: images of known factors, and codes of images.

A factor k takes the values 0 .. sizes[k] - 1, and any combination can be drawn: `minigen.data.GlyphFactors` is such a source.
The code of an image is one vector, for a VAE the mean of q(z|x).

n images, K factors, L latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import numpy as np

from ..backend import Array
from ..random import Key
from .blocks import in_blocks

Encode: TypeAlias = Callable[[Array], Array]  # images (n, ...) -> codes (n, L)


class Source(Protocol):
    """Images by their factors."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many values each factor has, in the order of the columns."""

    def draw(self, n: int, key: Key) -> Array:
        """(n, K) integers, independent and uniform."""

    def images(self, values: Array) -> Array:
        """(n, K) -> (n, ...)."""


def codes_of(encode: Encode, source: Source, values: Array, block: int = 500) -> Array:
    """The codes of the images of `values` (n, K): (n, L) float64. Raises ValueError where codes are no finite vectors."""
    codes = in_blocks(lambda part: encode(source.images(part)), values, block).astype(np.float64)
    if codes.ndim != 2 or not np.isfinite(codes).all():
        raise ValueError(f"codes must be finite vectors (n, L), got {codes.shape}; of a VAE take the mean, encode(x)[0]")
    return codes


def checked(codes: Array, values: Array, what: str) -> tuple[Array, Array]:
    """codes (n, L) float64 and values (n, K) int64. Raises ValueError where they are not, n differs or a code is not finite."""
    codes, values = np.asarray(codes, np.float64), np.asarray(values)
    if codes.ndim != 2 or values.ndim != 2 or len(codes) != len(values) or len(codes) < 2 or values.dtype.kind not in "iu":
        raise ValueError(f"{what} needs codes (n, L) and integers (n, K), got {codes.shape} and {values.dtype} {values.shape}")
    if not np.isfinite(codes).all():
        raise ValueError(f"{what}: {int((~np.isfinite(codes).all(1)).sum())} of {len(codes)} codes are not finite")
    return codes, values.astype(np.int64)

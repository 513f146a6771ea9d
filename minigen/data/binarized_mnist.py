"""Binarised MNIST, STATIC: Larochelle's fixed draw, on which exact likelihoods are compared (Larochelle and Murray 2011).

50,000 + 10,000 + 10,000 digits without labels. The rows of the test split are sorted by digit: its first n are no sample of it.

Two forms of the files are read: the published text (`binarized_mnist_train.amat`, 784 numbers a line), and a packed one of an
eighth of a byte per pixel (`train.npz`: `packed`, the rows by np.packbits, and `shape`).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backend import Array, Shape
from .dataset import DataError, Dataset
from .files import data_root, download, find
from .idx import read_content
from .registry import Entry, register

AGAIN = "Delete it; it is then downloaded again, or put the published file in its place"


@dataclass(frozen=True)
class BinarySet:
    """A data set of bits. Each split has a number of rows and the sha256 of its bits, one byte each (0 or 1), row by row."""

    name: str
    shape: Shape  # of a row: (H, W, 1)
    splits: dict[str, tuple[int, str]]
    mirrors: tuple[str, ...]  # URLs that end in /, tried in order

    def load(self, split: str, folder: Path | None, download: bool = True) -> Dataset:
        """The split: images (N, H, W, 1) uint8 of 0 and 255.

        Files are looked for in `<root>/<name>/`, the published ones in `<root>` too; where one is missing it is downloaded to
        the first (not with `download=False`). DataError says what is missing or wrong and what to do.
        """
        root = data_root(folder)
        home = root / self.name
        amat = f"{self.name}_{split}.amat"
        path = find((f"{split}.npz", amat, amat + ".gz"), (home,)) or find((amat, amat + ".gz"), (root,))
        if path is None:
            path = home / amat
            self._fetch(path, split, download)
        bits = self.read(path, split)
        bits *= 255
        return Dataset(self.name, bits.reshape(len(bits), *self.shape), split=split)

    def read(self, path: Path, split: str, where: str | None = None) -> Array:
        """(N, H W) uint8, 0 or 1: the bits in the file at `path`; DataError if they are not exactly the published ones."""
        where = where or str(path)
        rows, sha256 = self.splits[split]
        width = int(np.prod(self.shape))
        bits = _packed(path, where) if path.suffix == ".npz" else _text(path, where)
        if bits.size != rows * width:
            raise DataError(f"{where} holds {bits.size} bits where the split {split!r} has {rows} x {width}. {AGAIN}")
        found = hashlib.sha256(bits.data).hexdigest()
        if found != sha256:
            raise DataError(
                f"{where} is not the published split {split!r}: the sha256 of its bits is\n  {found}, expected\n  "
                f"{sha256}.\n{AGAIN}"
            )
        return bits.reshape(rows, width)

    def _fetch(self, path: Path, split: str, may_download: bool) -> None:
        reason = "downloading is switched off"
        try:
            if may_download:
                download(path.name, self.mirrors, path, lambda part, url: self.read(part, split, url))
        except DataError as error:
            reason = str(error)
        if path.is_file():
            return
        width = int(np.prod(self.shape))
        every = "\n".join(f"  {self.name}_{name}.amat   {rows} lines" for name, (rows, _) in self.splits.items())
        raise DataError(
            f"{self.name}: {path.name} is missing, and {reason}\nPut these files into {path.parent}:\n{every}\n"
            f"Each line is {width} numbers 0 or 1 with spaces between. They are published at\n  "
            + "\n  ".join(self.mirrors)
            + f"\nInstead of each, {split}.npz will do, with packed=np.packbits(bits, axis=1) and shape=bits.shape."
        )


def _text(path: Path, where: str) -> Array:
    """(bits,) uint8: the digits of a text of 0 and 1 and white space."""
    content = np.frombuffer(read_content(path), np.uint8)
    bits = content[content > ord(" ")] - np.uint8(ord("0"))
    if bits.size and bits.max() > 1:
        raise DataError(f"{where} is no text of the numbers 0 and 1. {AGAIN}")
    return bits


def _packed(path: Path, where: str) -> Array:
    """(bits,) uint8: `packed` (N, bytes) of an .npz without its filling bits, `shape` (N, bits of a row)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            packed, (rows, width) = arrays["packed"], (int(n) for n in arrays["shape"])
        bits: Array = np.unpackbits(packed, axis=1, count=width)[:rows]
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{where} is no file of packed bits ({error}). {AGAIN}") from error
    return np.ascontiguousarray(bits).reshape(-1)


BINARIZED_MNIST = BinarySet(
    name="binarized_mnist",
    shape=(28, 28, 1),
    splits={
        "train": (50_000, "43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a"),
        "valid": (10_000, "069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e"),
        "test": (10_000, "ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86"),
    },
    mirrors=("http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",),
)

register(
    Entry(
        name=BINARIZED_MNIST.name,
        about="handwritten digits in black and white, Larochelle's fixed draw, no labels",
        shape=BINARIZED_MNIST.shape,
        rows={split: rows for split, (rows, _) in BINARIZED_MNIST.splits.items()},
        source=BINARIZED_MNIST.mirrors[0],
        licence="CC BY-SA 3.0 (LeCun, Cortes), as MNIST",
        built_in=False,
        loader=BINARIZED_MNIST.load,
    )
)

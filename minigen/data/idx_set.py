"""A data set of IDX files: found or downloaded, each checked against its shape and checksum.

MNIST and its kin are tables for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backend import Array, Shape
from .binarise import binarised
from .dataset import DataError, Dataset
from .files import data_root, download, find
from .idx import parse_idx, read_content


@dataclass(frozen=True)
class IdxFile:
    """One file: its usual name without .gz, its array's shape, and the sha256 of its uncompressed bytes.

    The gzip wrapper is not checked: it differs from publisher to publisher, and an unpacked file is as good.
    """

    name: str
    shape: Shape
    sha256: str

    def read(self, path: Path, where: str | None = None) -> Array:
        """The array in the file at `path`; DataError if it is not exactly the published one."""
        where = where or str(path)
        content = read_content(path)
        array = parse_idx(content, where)
        if array.shape != self.shape:
            found, expected = (" x ".join(map(str, shape)) for shape in (array.shape, self.shape))
            raise DataError(f"{where} holds {found} values where {self.name} has {expected}: is it another data set's file?")
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise DataError(
                f"{where} is not the published {self.name}: the sha256 of its uncompressed bytes is\n  {found}, expected\n  "
                f"{self.sha256}.\nDelete it; it is then downloaded again, or put the published file in its place.\n"
                "(Where it is the right file of another data set, move it into a folder of that set's name.)"
            )
        return array


@dataclass(frozen=True)
class IdxSet:
    """A data set of IDX files, two for each split. `name` is also the folder they lie in."""

    name: str
    files: dict[str, tuple[IdxFile, IdxFile]]  # split -> images (N, H, W), labels (N,)
    mirrors: tuple[str, ...]  # URLs that end in /, tried in order
    classes: tuple[str, ...]

    def load(
        self, split: str, folder: Path | None, download: bool = True, binarise: str | None = None, seed: int = 0
    ) -> Dataset:
        """The split: images (N, H, W, 1) uint8, labels (N,) int64. `binarise` makes its pixels 0 or 1: see `binarise.py`.

        Files are looked for in `<root>/<name>/` and in `<root>` itself, with .gz or without; where one is missing it is
        downloaded to the first (not with `download=False`). DataError says what is missing or wrong and what to do.
        """
        root = data_root(folder)
        images, labels = (self._read(file, root, download) for file in self.files[split])
        data = Dataset(self.name, images[..., None], labels.astype(np.int64), None, split, self.classes)
        return data if binarise is None else binarised(data, binarise, seed)

    def _read(self, file: IdxFile, root: Path, may_download: bool) -> Array:
        home = root / self.name
        names = file.name + ".gz", file.name, file.name.replace("-idx", ".idx")  # the last: as some archives unpack
        path = find(names, (home, root))
        if path is None:
            path = home / names[0]
            reason = "downloading is switched off"
            try:
                if may_download:
                    download(names[0], self.mirrors, path, file.read)
            except DataError as error:
                reason = str(error)
            if not path.is_file():
                raise DataError(self._missing(path, reason))
        return file.read(path)

    def _missing(self, path: Path, reason: str) -> str:
        every = "\n".join(f"  {file.name}.gz" for pair in self.files.values() for file in pair)
        sources = "\n".join(f"  {mirror}" for mirror in self.mirrors)
        return (
            f"{self.name}: {path.name} is missing, and {reason}\nPut these files into {path.parent}:\n{every}\n"
            f"They are published at\n{sources}\nWhere you have them in another folder, set MINIGEN_DATA to the folder above it."
        )

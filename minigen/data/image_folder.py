"""Any folder of PNG and JPEG images: subfolders are labels, and the file names decide the split."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array
from .dataset import DataError, Dataset
from .files import data_root
from .registry import Entry, register

SUFFIXES = ".png", ".jpg", ".jpeg"


def load_folder(
    split: str, folder: Path | None, size: int | None = None, colour: bool = True, test_fraction: float = 0.1
) -> Dataset:
    """The images below `folder`, (N, H, W, 3) uint8, or (N, H, W, 1) with `colour=False`.

    Labels are the names of the first-level subfolders in alphabetical order, or None where there are none. `size` cuts the
    largest centred square out of each image and scales it to size x size; without it all images must have one size already.
    A file falls to the test split by a hash of its path below `folder`: adding files never moves others.
    """
    if size is not None and size < 1:
        raise DataError(f"size is {size}: it must be at least 1 pixel")
    top = _resolve(folder)
    found = sorted(path for path in top.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    paths = [path for path in found if not any(part.startswith(".") for part in path.relative_to(top).parts)]
    if not paths:
        raise DataError(f"there is no image in {top}: files that end in {', '.join(SUFFIXES)} are read, subfolders included")
    names = [path.relative_to(top) for path in paths]
    classes = _classes(names, top)
    chosen = [i for i, name in enumerate(names) if (_place(name) < test_fraction) == (split == "test")]
    if not chosen:
        raise DataError(
            f"none of the {len(paths)} images in {top} falls to the split {split!r}: change test_fraction={test_fraction}"
        )
    images = _stack([paths[i] for i in chosen], size, colour)
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[names[i].parts[0]] for i in chosen], np.int64) if classes else None
    return Dataset(f"folder:{top}", images, labels, None, split, classes)


def _resolve(folder: Path | None) -> Path:
    """A path as the shell would take it; a relative one that is not here is looked for in $MINIGEN_DATA."""
    if folder is None:
        raise DataError("say which folder: load('folder:/path/to/images'), or load('folder', folder=...)")
    tried = [folder]
    if not folder.is_absolute() and os.environ.get("MINIGEN_DATA"):
        tried.append(data_root() / folder)
    for path in tried:
        if path.is_dir():
            return path
    raise DataError(f"there is no folder {' nor '.join(map(str, tried))}: correct the path")


def _classes(names: list[Path], top: Path) -> tuple[str, ...]:
    """The first-level subfolders that hold images; () where all images lie in the folder itself."""
    loose = next((name for name in names if len(name.parts) == 1), None)
    filed = next((name for name in names if len(name.parts) > 1), None)
    if filed is None:
        return ()
    if loose is not None:
        raise DataError(
            f"{top} holds images without a label ({loose}) beside labelled ones ({filed}): put all into subfolders, or none"
        )
    return tuple(sorted({name.parts[0] for name in names}))


def _place(name: Path) -> float:
    """Where a file name falls in [0, 1), the same on every machine."""
    digest = hashlib.blake2b(name.as_posix().encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _stack(paths: list[Path], size: int | None, colour: bool) -> Array:
    """(N, H, W, C) uint8, read one after the other into one array."""
    first = _read(paths[0], size, colour)
    images = np.empty((len(paths), *first.shape), np.uint8)
    for i, path in enumerate(paths):
        image = _read(path, size, colour)
        if image.shape != first.shape:
            one, other = (f"{shape[1]} x {shape[0]}" for shape in (first.shape, image.shape))
            raise DataError(
                f"images of different sizes: {paths[0]} is {one} (width x height), {path} is {other}. Give size=, such as "
                f"size={min(*first.shape[:2], *image.shape[:2])}: it cuts out the centred square and scales it"
            )
        images[i] = image
    return images


def _read(path: Path, size: int | None, colour: bool) -> Array:
    """(H, W, C) uint8: turned as the camera says, transparency on white, 16-bit grey scaled to 8."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            image: Any = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # convert() would cut 16 bits off at 255 instead of scaling them
                image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
            elif "A" in image.getbands() or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("RGB" if colour else "L")
            if size is not None:
                image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the image {path} ({error}): mend it or take it out of the folder") from error
    pixels = np.asarray(image, np.uint8)
    return pixels if colour else pixels[..., None]


register(
    Entry(
        name="folder",
        about="your own images: folder:/path/to/images",
        shape=("size", "size", 3),
        rows={"train": "about 90 %", "test": "about 10 %"},
        source="PNG and JPEG files below the folder; subfolders are labels",
        licence="yours",
        built_in=False,
        loader=load_folder,
        path="/path/to/images",
    )
)

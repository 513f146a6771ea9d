"""IDX, the file format of MNIST.

Two zero bytes, the type of the values, the number of axes, their lengths as big-endian uint32, the values.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ..backend import Array
from .dataset import DataError

_UNSIGNED_BYTE = 8  # the only type that image sets use
_GZIP = b"\x1f\x8b"
_AGAIN = "delete it and fetch it again"


def read_content(path: Path) -> bytes:
    """The bytes of a file, uncompressed where they are gzip, whatever the file is called (browsers unpack without renaming)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise DataError(f"{path} is a gzip file that ends early, after {len(content)} bytes: {_AGAIN}") from error
    except (OSError, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}): {_AGAIN}") from error


def parse_idx(content: bytes, where: str) -> Array:
    """The array in `content`, uint8, read-only. `where` names the file in the DataError that a wrong content raises."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE or content[3] == 0:
        magic = content[:4].hex(" ") or "missing (an empty file)"
        raise DataError(f"{where} is no IDX file of bytes, its magic number is {magic} and not 00 00 08 0n: {_AGAIN}")
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{where} ends within its header, after {len(content)} bytes: {_AGAIN}")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, offset=4))
    count = len(content) - start
    if count != math.prod(shape):
        announced = " x ".join(map(str, shape))
        raise DataError(f"{where} announces {announced} = {math.prod(shape)} values and holds {count}: {_AGAIN}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)

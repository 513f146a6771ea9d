"""IDX, the file format of MNIST: two zero bytes, the type, the number of axes, their lengths as big-endian uint32, the values."""

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
        raise DataError(
            f"{path} is a gzip file that ends early, after {len(content)} bytes: delete it and fetch it again"
        ) from error
    except (OSError, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}): delete it and fetch it again") from error


def parse_idx(content: bytes, where: str) -> Array:
    """The array in `content`, uint8, read-only. `where` names the file in the DataError that a wrong content raises."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE or content[3] == 0:
        raise DataError(
            f"{where} is no IDX file of bytes: its magic number is {content[:4].hex(' ') or '(empty file)'}, not 00 00 08 and the "
            "number of axes. Delete it and fetch it again"
        )
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{where} ends within its header, after {len(content)} bytes: delete it and fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, offset=4))
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{where} announces {' x '.join(map(str, shape))} = {math.prod(shape)} values and holds {len(content) - start}: delete "
            "it and fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)

"""A checkpoint: one safetensors file with every array of a run by name, and its numbers as JSON, under one checksum.

safetensors holds no code, so somebody else's checkpoint is safe to open. It does not notice a flipped bit: hence the sha256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, to_device
from .errors import CheckpointError
from .files import write_atomic

NAME = "checkpoint.safetensors"
FORMAT = 1
_FIELD = "minigen"  # the one field of the file's metadata: with one alone, equal contents are equal bytes


class Checkpoint(NamedTuple):
    arrays: dict[str, Array]
    numbers: dict[str, Any]  # plain values, ready for JSON


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes it to `path` in one move. Raises RunError where that fails, and then the file that was there is still there."""
    from safetensors.numpy import save as as_bytes

    # .copy(order="C"): safetensors writes an array's memory as it lies, and a strided view would come back scrambled.
    arrays = {name: to_device(array, "cpu").copy(order="C") for name, array in checkpoint.arrays.items()}
    numbers = {"format": FORMAT, **checkpoint.numbers}
    header = json.dumps({"sha256": _digest(arrays, numbers), "numbers": numbers})
    write_atomic(path, as_bytes(arrays, {_FIELD: header}))


def load(path: Path) -> Checkpoint:
    """The checkpoint at `path`. Raises CheckpointError where it is missing, cut off, changed, or of a newer format."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[_FIELD])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
        digest, numbers = header["sha256"], header["numbers"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"it cannot be read ({type(error).__name__}: {error})") from error
    if _digest(arrays, numbers) != digest:
        raise _damaged(path, "its content does not have the checksum that was saved with it")
    if numbers["format"] != FORMAT:
        raise CheckpointError(f"{path} has format {numbers['format']}, this minigen reads {FORMAT}: use a newer minigen")
    return Checkpoint(arrays, numbers)


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"the checkpoint {path} is damaged: {why}. Put back a copy of it, or train anew with another --out")


def _digest(arrays: Mapping[str, Array], numbers: Mapping[str, Any]) -> str:
    """sha256 of the numbers, and of every array's name, type, shape and bytes."""
    sha = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        sha.update(np.atleast_1d(array).view(np.uint8).data)
    return sha.hexdigest()

"""The order in which training sees the rows: a pure function of (key, epoch, position), so that a run can resume.

Legend: N rows, B rows of a batch; an epoch is one pass over all rows in an order of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, to_device
from ..random import Key
from .dataset import DataError, Dataset


class Batch(NamedTuple):
    """Some rows of a data set."""

    images: Array  # (B, H, W, C) float
    labels: Array | None  # (B,) int64
    indices: Array  # (B,) int64, on the CPU: the rows they are


class Batches(Iterator[Batch]):
    """An endless iterator of batches: every row once per epoch, each epoch in its own random order.

    The order of epoch e is `key.at("epoch", e).permutation(N)`, its rows are those of `data.in_epoch(e)`. The cursor (epoch,
    position) says which rows come next and is the only state: `cursor_state()` saves it, and after `restore` exactly the
    batches follow that would have followed before.

    The last batch of an epoch is smaller where B does not divide N: `drop_last=True` leaves these rows out of the epoch.
    """

    def __init__(
        self,
        data: Dataset,
        batch_size: int,
        key: Key,
        *,
        drop_last: bool = False,
        dtype: DTypeLike = np.float32,
        device: str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        if len(data) == 0:
            raise DataError(f"{data.name}: no rows in split {data.split!r}, so there is nothing to iterate over")
        if drop_last and batch_size > len(data):
            raise ValueError(
                f"drop_last leaves nothing: a batch of {batch_size} is larger than the {len(data)} rows of {data.name}"
            )
        self.data, self.batch_size, self.key, self.drop_last = data, batch_size, key, drop_last
        self.dtype, self.device = dtype, device
        self.epoch, self.position = 0, 0  # position: rows of this epoch already seen
        self._order: tuple[int, Array] | None = None  # the latest epoch asked for and its order
        self._rows: tuple[int, Dataset] | None = None  # the latest epoch asked for and its rows

    @property
    def per_epoch(self) -> int:
        """The number of batches of one epoch."""
        return len(self.data) // self.batch_size if self.drop_last else -(-len(self.data) // self.batch_size)

    def order(self, epoch: int) -> Array:
        """(N,) int64: the rows in the order of `epoch`."""
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self.key.at("epoch", epoch).permutation(len(self.data))
        return self._order[1]

    def indices(self, epoch: int, position: int) -> Array:
        """(B,) int64: the rows of the batch of `epoch` that begins after `position` rows."""
        return self.order(epoch)[position : position + self.batch_size]

    def rows(self, epoch: int) -> Dataset:
        """The data set as `epoch` sees it, drawn once per epoch where rows are drawn anew."""
        if self._rows is None or self._rows[0] != epoch:
            self._rows = None  # an epoch's rows may be large: the old ones go before the new ones come
            self._rows = epoch, self.data.in_epoch(epoch)
        return self._rows[1]

    def __next__(self) -> Batch:
        """The next batch; the cursor moves on, into the next epoch where this one has no further batch."""
        rows, data = self.indices(self.epoch, self.position), self.rows(self.epoch)
        labels = None if data.labels is None else to_device(data.labels[rows], self.device)
        batch = Batch(data.batch(rows, self.dtype, self.device), labels, rows)
        self.position += len(rows)
        left = len(self.data) - self.position
        if left < (self.batch_size if self.drop_last else 1):
            self.epoch, self.position = self.epoch + 1, 0
        return batch

    def rest_of_epoch(self) -> Iterator[Batch]:
        """The batches up to the end of the current epoch: `for batch in batches.rest_of_epoch()`."""
        epoch = self.epoch
        while self.epoch == epoch:
            yield next(self)

    # ---- saving and resuming

    def cursor_state(self) -> dict[str, int]:
        """The cursor, and the three numbers that it makes sense with, as plain integers."""
        return {"epoch": self.epoch, "position": self.position, **self._meaning()}

    def restore(self, state: Mapping[str, int]) -> None:
        """Moves the cursor to `state`; DataError where the rows, batch size or drop_last are not those it was saved with."""
        for name, here in self._meaning().items():
            if int(state[name]) != here:
                raise DataError(f"cannot resume: {name} was {int(state[name])} when this cursor was saved and is {here} now")
        epoch, position = int(state["epoch"]), int(state["position"])
        if epoch < 0 or not 0 <= position < len(self.data) or position % self.batch_size:
            raise DataError(f"cannot resume: epoch {epoch}, position {position} is no place where a batch begins")
        self.epoch, self.position = epoch, position

    def _meaning(self) -> dict[str, int]:
        return {"rows": len(self.data), "batch_size": self.batch_size, "drop_last": int(self.drop_last)}

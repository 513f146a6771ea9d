"""log.jsonl: one JSON object a line, in the order of the steps, each of one kind.

{"kind": "train", "step": 20, "epoch": 0.128, "terms": {...}, "rate": 0.001, "seconds": 0.41, "steps_per_second": 60.2}
{"kind": "held_out", "step": 200, "rows": 1000, "figures": {...}, "standard_errors": {...}}
{"kind": "test", ...}                                                    as held_out, over the whole split, at the end

A game has a "verdict" beside its held-out figures, and where its data have known modes, "modes": what was found of them.
"terms" are means since the last such line, each over the steps that had it: a generator may move in every fifth step alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import RunError
from .files import write_atomic

NAME = "log.jsonl"


class Log:
    """Appends lines to a file; the running means of the terms are part of a checkpoint (`state`), so that no step is lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: Mapping[str, float]) -> None:
        """Takes one step's terms into the running means."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The means since the last line of kind "train"."""
        return {name: value / self.counts[name] for name, value in self.sums.items()}

    def write(self, kind: str, step: int, **fields: Any) -> None:
        """Appends one line."""
        if kind == "train":
            fields = {"terms": self.means(), **fields}
            self.sums, self.counts = {}, {}
        line = json.dumps({"kind": kind, "step": step, **fields}) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror or error}. The last checkpoint is untouched") from error

    def sync(self) -> None:
        """Flushes it to the disk: a checkpoint must never be newer than the log it belongs to."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    # ---- resuming

    def state(self) -> dict[str, Any]:
        """The running means, as a checkpoint saves them."""
        return {"sums": dict(self.sums), "counts": dict(self.counts)}

    def restore(self, state: Mapping[str, Any], step: int) -> None:
        """Goes back to a checkpoint's step: the lines after it will be written again, so they are dropped."""
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])
        kept = [json.dumps(line) + "\n" for line in read(self.path) if line["step"] <= step]
        write_atomic(self.path, "".join(kept).encode())


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a log. A last line that was cut off while it was written is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            lines.append(json.loads(line))
        except ValueError:
            break  # nothing after a broken line can be trusted
    return lines

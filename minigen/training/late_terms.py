"""Terms that stay on the device until a line of the log is written: nobody waits for a step.

The sums are those that the log would have made itself, number by number in float64, and so the same bits.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, number
from ..models.objective import Terms
from .log import Log


class LateTerms:
    """The running sums of a log, on a device."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._sums: dict[str, Array] = {}
        self._new: dict[str, int] = {}  # steps since the log was brought up to date

    def add(self, terms: Terms) -> None:
        """Takes one step's terms."""
        for name, value in terms.items():
            before = self._sums[name] if name in self._sums else self._log.sums.get(name, 0.0)
            self._sums[name] = np.add(value, before, dtype=np.float64)
            self._new[name] = self._new.get(name, 0) + 1

    def bring(self) -> list[str]:
        """Brings the log up to date, which waits for the device; returns the names of terms that are not finite."""
        for name, count in self._new.items():
            self._log.sums[name] = float(number(self._sums[name]))
            self._log.counts[name] = self._log.counts.get(name, 0) + count
        self._new = {}
        return [name for name, total in self._log.sums.items() if not math.isfinite(total)]

    def restart(self) -> None:
        """After a line of the log, which begins its sums anew."""
        self._sums = {}

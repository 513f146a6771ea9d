"""What a failed check raises: both are AssertionErrors, so a test needs no more than the call."""

from __future__ import annotations

from typing import Any


class CheckError(AssertionError):
    """A layer or a loss lacks a property. The message names it, the property, the error, and what that means."""


class ProofError(AssertionError):
    """A model's gradient is wrong, or its proof would be empty. `rows` hold the errors of the objective, as far as it came."""

    def __init__(self, message: str, rows: list[Any] | None = None) -> None:
        super().__init__(message)
        self.rows = rows or []

"""All kernel tests run in a poisoned workspace: what a kernel hands back without having written it is NaN."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minigen import backend


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    with backend.workspace(backend.Workspace(poison=True)):
        yield

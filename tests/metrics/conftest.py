"""A small ruler of four digits, trained once for all tests of metrics."""

import pytest

from minigen.data import load
from minigen.training.ruler import ruler


@pytest.fixture(scope="session")
def glyphs():
    return tuple(
        load("glyphs", split, size=16, characters="0147", rows=rows) for split, rows in (("train", 800), ("test", 300))
    )


@pytest.fixture(scope="session")
def made(glyphs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ruler") / "run"
    return folder, ruler(glyphs, out=folder, steps=120, batch=32, rate=5e-3, options={"width": 8, "features": 12})

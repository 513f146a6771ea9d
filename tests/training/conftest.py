"""A run that takes a second: a small VAE on a few glyphs, without pictures unless a test asks for them."""

import pytest

from minigen.models.vae import VAE
from minigen.training import Run, loop

SMALL = {"batch": 16, "rate": 1e-3, "options": {"hidden": 8, "latents": 3}, "data_options": {"rows": 60}}


@pytest.fixture
def pictures():
    """A test that takes it has its pictures and curves drawn."""


@pytest.fixture(autouse=True)
def _without_pictures(request, monkeypatch):
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(VAE, "pictures", lambda self, batch, key: {})
        monkeypatch.setattr(loop, "draw_curves", lambda *args, **kwargs: None)


@pytest.fixture
def make(tmp_path):
    """make(steps=..., out=...) creates a small run below tmp_path."""

    def build(model="vae", out="run", **given):
        return Run.create(model, out=tmp_path / out, **{**SMALL, **given})

    return build

"""The command line as a function, and a small finished run."""

import pytest

from minigen.cli import app

SMALL = ("--steps", "3", "--batch", "16", *(w for o in ("hidden=8", "latents=3", "data.rows=60") for w in ("--set", o)))


@pytest.fixture
def minigen(capsys):
    """minigen("list") -> exit code, stdout, stderr."""

    def call(*words):
        with pytest.raises(SystemExit) as done:
            app([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return done.value.code, out, err

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a small finished run."""
    folder = tmp_path_factory.mktemp("runs") / "vae"
    with pytest.raises(SystemExit) as done:
        app(["train", "vae", "--out", str(folder), *SMALL])
    assert done.value.code == 0
    return folder

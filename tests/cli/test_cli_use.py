"""`minigen use`: its table, its JSON, and its mistakes."""

import json

import pytest

from minigen.cli import app


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a small autoencoder."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    small = ("codes=3", "hidden=8", "data.rows=120")
    words = [
        "train",
        "autoencoder",
        "--steps",
        "4",
        "--batch",
        "16",
        "--out",
        folder,
        *(w for o in small for w in ("--set", o)),
    ]
    with pytest.raises(SystemExit):
        app([str(word) for word in words])
    return folder


@pytest.fixture
def minigen(capsys):
    """minigen("use", ...) -> exit code, stdout, stderr."""

    def call(*words):
        with pytest.raises(SystemExit) as done:
            app([str(word) for word in words])
        return (done.value.code, *capsys.readouterr())

    return call


def test_a_table_and_a_picture(minigen, trained, tmp_path):
    code, out, _ = minigen("use", "compress", trained, "--out", tmp_path / "a.png")
    assert code == 0
    assert "pca mse" in out
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_json(minigen, trained):
    code, out, _ = minigen("use", "denoise", trained, "--noise", "gaussian", "--amount", "0.2", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [set(row) for row in rows] == 3 * [{"image", "psnr_db", "mse"}]
    assert rows[0]["psnr_db"] > 13.9  # of a deviation of 0.2, half of it clipped away


def test_a_flow_interpolates_and_no_more(minigen, tmp_path):
    words = ("steps=1", "width=4", "levels=2", "data.rows=120", "data.size=16")
    given = (word for option in words for word in ("--set", option))
    run = tmp_path / "flow"
    assert minigen("train", "glow", "--steps", "1", "--batch", "16", "--out", run, *given)[0] == 0
    code, out, _ = minigen("use", "interpolate", run)
    assert code == 0
    assert "through codes, then pixels" in out
    code, _, err = minigen("use", "denoise", run)
    assert code == 1
    assert "glow in" in err
    assert "has no reconstruct: use an autoencoder or a VAE" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("use", "anomaly"), "what is normal?"),
        (("use", "arithmetic", "--between", "rain"), "a factor of glyphs"),
        (("sample",), "no distribution to draw samples from"),
    ],
)
def test_mistakes_are_one_line(minigen, trained, words, says):
    code, _, err = minigen(words[0], *words[1:2], trained, *words[2:])
    assert code == 1
    assert says in err
    assert "Traceback" not in err

"""The commands on sound and text."""

import json
import wave

import pytest

SMALL = (
    "--steps",
    "2",
    *(w for o in ("width=4", "layers=2", "stacks=1", "data.rows=9", "data.length=40") for w in ("--set", o)),
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sound_is_trained_sampled_and_evaluated(minigen, here):
    code, out, _ = minigen("train", "wavenet", *SMALL)
    assert code == 0
    assert "hertz 8000" in out
    assert "nats per sample" in out
    code, out, _ = minigen("sample", "runs/wavenet-plucked", "--length", "60")
    assert code == 0
    assert "5 samples of wavenet after 2 steps: runs/wavenet-plucked/sampled-5-seed0.wav, " in out
    with wave.open("runs/wavenet-plucked/sampled-5-seed0.wav") as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 5 * (60 + 800))
    code, out, _ = minigen("eval", "runs/wavenet-plucked", "--json")
    found = json.loads(out)
    assert (found["unit"], found["rows"]) == ("nats per sample", 9)
    assert 4 < found["figures"]["nll"]["value"] < 7
    code, _, err = minigen("eval", "runs/wavenet-plucked", "--data", "grammar")
    assert code == 1
    assert "is for sound of 8000 samples a second, and grammar has text of 18 characters" in err


def test_text_is_trained_and_printed(minigen, here):
    (here / "notes.txt").write_text("abracadabra\n" * 50)
    assert minigen("train", "char_wavenet", "--data", "text:notes.txt", "--set", "data.length=10", *SMALL[:6])[0] == 0
    code, out, _ = minigen("sample", "runs/char_wavenet-notes.txt", "-n", 2)
    assert code == 0
    text = (here / "runs" / "char_wavenet-notes.txt" / "sampled-2-seed0.txt").read_text()
    assert out.startswith(text)
    assert set(text) <= set("abrcd\n-")
    code, _, _ = minigen("sample", "runs/char_wavenet-notes.txt", "--data", "x")
    assert code == 2


def test_data_is_shown(minigen, here):
    code, out, _ = minigen("data", "plucked", "--set", "rows=3")
    assert code == 0
    assert "plucked, train: 3 rows of 1000, 5 classes, sound of 8000 samples a second\nits first 3 rows: plucked.wav, " in out
    assert {path.name for path in here.iterdir()} == {"plucked.wav", "plucked.png"}
    (here / "notes.txt").write_text("abc\n" * 200)
    code, out, _ = minigen("data", "text:notes.txt")
    assert code == 0
    assert out.startswith("abc\nabc\n")
    assert "notes-rows.txt" in out
    assert (here / "notes.txt").read_text() == "abc\n" * 200


def test_length_is_for_sequences(minigen, trained):
    code, _, err = minigen("sample", trained, "--length", "9")
    assert code == 1
    assert "vae does not draw sequences: leave --length out" in err

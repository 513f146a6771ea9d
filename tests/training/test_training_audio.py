"""Sound and text as files: what is written can be read again, spectrograms show the pitch, runs of sequences resume."""

import wave

import numpy as np
import pytest
from PIL import Image

from minigen.data.mu_law import decode
from minigen.random import Key
from minigen.training import NotFiniteRunError, Run, RunError, load_model
from minigen.training.audio import decibels, save_wav, spectrograms
from minigen.training.showing import RULE, show

HERTZ = 8000
TONES = np.stack([np.sin(2 * np.pi * f * np.arange(2000) / HERTZ) for f in (500, 2000, 3000)])


def read(path):
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def test_a_wav_holds_the_sounds_with_pauses_between(tmp_path):
    save_wav(tmp_path / "a.wav", TONES * [[1.0], [0.5], [3.0]], HERTZ)
    samples, rate = read(tmp_path / "a.wav")
    samples = samples.reshape(3, 2800)
    assert rate == HERTZ
    assert not samples[:, 2000:].any()
    assert np.abs(samples[:2, :2000] / 32767 - TONES[:2] * [[1.0], [0.5]]).max() <= 0.5 / 32767 + 1e-12
    assert samples[2].max() == 32767  # cut off, not wrapped around
    with pytest.raises(NotFiniteRunError, match="not finite"):
        save_wav(tmp_path / "b.wav", np.full((1, 3), np.nan), HERTZ)
    assert not (tmp_path / "b.wav").exists()


def test_a_spectrogram_shows_pitch_and_time():
    quiet = np.concatenate((TONES[0], 0.01 * TONES[1], np.zeros(1000)))
    shown = decibels(quiet, frame=256, hop=100)
    pitch = np.arange(129) * HERTZ / 256
    assert shown.max() == 0
    assert shown.min() == -60
    assert abs(pitch[shown[:, 3].argmax()] - 500) < 16
    assert abs(pitch[shown[:, 30].argmax()] - 2000) < 16
    assert abs(shown[:, 30].max() + 40) < 0.5  # a hundredth is -40 decibels
    assert (shown[:, -1] == -60).all()
    assert decibels(TONES[0][:10]).shape == (129, 1)
    assert (decibels(np.zeros(300)) == -60).all()


def test_spectrograms_are_tiles_with_high_pitches_above():
    grid = spectrograms(TONES)
    assert grid.shape[:3] == (1, 3, 129)
    rows = [tile.mean(1)[:, 0].argmin() for tile in grid[0]]
    assert rows[0] > rows[1] > rows[2]
    for n, shape in ((1, (1, 1)), (2, (1, 2)), (5, (1, 5)), (7, (2, 4)), (8, (2, 4)), (9, (3, 3)), (10, (2, 5))):
        grid = spectrograms(np.resize(TONES, (n, 2000)))
        assert grid.shape[:2] == shape
        assert (grid.reshape(-1, *grid.shape[2:])[n:] == 1).all()


def test_integers_become_what_they_stand_for(tmp_path):
    levels = Key(0).integers(256, (2, 300))
    assert show(tmp_path / "s.png", levels, {"hertz": 4000}) == [tmp_path / "s.wav", tmp_path / "s.png"]
    samples, rate = read(tmp_path / "s.wav")
    assert rate == 4000
    assert np.abs(samples.reshape(2, 700)[:, :300] / 32767 - decode(levels)).max() < 1e-4
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size[0] > 100

    assert show(tmp_path / "t", np.array([[0, 1, 2], [2, 2, 0]]), {"characters": "aé\n"}) == [tmp_path / "t.txt"]
    assert (tmp_path / "t.txt").read_text(encoding="utf-8") == f"aé\n{RULE}\n\n\na\n{RULE}\n"
    assert show(tmp_path / "p", np.zeros((5, 4, 4, 1)), {}) == [tmp_path / "p.png"]
    with pytest.raises(ValueError, match="neither sound nor text"):
        show(tmp_path / "x", levels, {})


# ---- runs

SMALL = {
    "batch": 4,
    "options": {"width": 4, "hidden": 5, "layers": 2, "stacks": 1},
    "data_options": {"rows": 12, "length": 32},
}


@pytest.mark.parametrize("model", ["wavenet", "char_wavenet"])
def test_a_resumed_run_is_the_uninterrupted_one(model, tmp_path):
    whole = Run.create(model, out=tmp_path / "whole", steps=6, **SMALL)
    whole.train()
    part = Run.create(model, out=tmp_path / "part", steps=6, **SMALL)
    part.train(minutes=0)
    assert 0 < part.step < 6
    again = Run.resume(tmp_path / "part")
    again.train()
    assert np.array_equal(again.model.theta, whole.model.theta)

    trained, settings, step, shape = load_model(tmp_path / "part")
    assert (step, shape) == (6, (32,))
    assert trained.traits == whole.splits.train.traits
    assert settings.options == whole.settings.options
    suffix = "wav" if model == "wavenet" else "txt"
    assert {path.name for path in (tmp_path / "whole" / "samples").glob(f"*.{suffix}")} == {
        f"samples-000000.{suffix}",
        f"samples-000006.{suffix}",
    }


@pytest.mark.parametrize(
    ("model", "data", "given", "says"),
    [
        ("wavenet", "grammar", {}, "wavenet is for sound, and grammar has text of 18 characters .*: choose --data plucked"),
        ("wavenet", "ring8", {}, "wavenet is for sound, and ring8 has images or points: choose --data plucked"),
        ("char_wavenet", "plucked", {}, "is for text, and plucked has sound of 8000 samples a second: choose --data grammar"),
        ("vae", "grammar", {}, "vae is for images or points, and grammar has text of 18 characters"),
        ("wavenet", "plucked", {"hertz": 100}, "is for sound of 100 samples a second, and plucked has sound of 8000"),
        ("wavenet", "plucked", {"classes": 3}, "plucked has 5 classes, and wavenet is for 3: use --set classes=5"),
    ],
)
def test_data_of_another_kind_is_refused_before_anything_is_written(model, data, given, says, tmp_path):
    with pytest.raises(RunError, match=says):
        Run.create(model, data=data, out=tmp_path / "run", data_options={"rows": 12}, options=given)
    assert not (tmp_path / "run").exists()

"""The file of a checkpoint: whole, or an error that says what is wrong with it."""

import numpy as np
import pytest

from minigen.random import Key
from minigen.training import CheckpointError, Run, RunError, checkpoint, files, load_model
from minigen.training.checkpoint import Checkpoint

ARRAYS = {
    "theta/a": Key(0).normal((5, 7)),
    "theta/strided": Key(1).normal((6, 8))[::2, ::-1].T,
    "model/chain": Key(2).bits((4, 3)),
    "model/count": np.array(7, np.int64),
    "model/empty": np.zeros((0, 3), np.float32),
    "model/flags": np.array([True, False]),
}
NUMBERS = {"step": 12, "key": [1, 2, 3, 4], "log": {"sums": {"loss": 0.1 + 0.2}, "counts": {"loss": 3}}}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, Checkpoint(ARRAYS, NUMBERS))
    return path


def test_everything_comes_back(path):
    loaded = checkpoint.load(path)
    assert loaded.numbers == {"format": 1, **NUMBERS}
    assert set(loaded.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert loaded.arrays[name].dtype == array.dtype
        assert loaded.arrays[name].shape == array.shape
        np.testing.assert_array_equal(loaded.arrays[name], array)


def test_equal_content_is_equal_bytes(path):
    before = path.read_bytes()
    checkpoint.save(path, Checkpoint(dict(reversed(ARRAYS.items())), NUMBERS))
    assert path.read_bytes() == before


def test_every_flipped_bit_is_found(path):
    """Wherever it lies: in the length, the header, the numbers, an array. Only white space after the header may differ."""
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    padding = set(range(len(whole[:header].rstrip()), header))
    for i in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[i] ^= 1 << (i % 8)
        path.write_bytes(broken)
        if i not in padding:
            with pytest.raises(CheckpointError, match="is damaged"):
                checkpoint.load(path)


@pytest.mark.parametrize("keep", [0, 5, 8, 100, -1, -100])
def test_a_file_that_was_cut_off_is_found(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"is damaged: .*Put back a copy of it, or train anew with another --out"):
        checkpoint.load(path)


def test_other_files_are_no_checkpoint(path, tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "nothing")
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.load(path)
    checkpoint.save(path, Checkpoint({}, {"format": 2}))
    with pytest.raises(CheckpointError, match="has format 2, this minigen reads 1"):
        checkpoint.load(path)


def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch):
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(
        RunError, match=r"No space left on device; the checkpoint.safetensors that was there before is untouched"
    ):
        checkpoint.save(path, Checkpoint({}, {}))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]  # and no temporary file


# ---- of a run


def test_a_damaged_checkpoint_stops_resume_sample_and_eval(make):
    run = make(steps=2)
    run.train()
    path = run.folder / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[-50] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum"):
        Run.resume(run.folder)
    with pytest.raises(CheckpointError, match="checksum"):
        load_model(run.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("theta/encoder.mu.W"), "the checkpoint lacks theta/encoder.mu.W"),
        (lambda a: a.update({"theta/critic.W": np.zeros(3)}), "the model has no theta/critic.W"),
        (
            lambda a: a.update({"theta/encoder.mu.b": np.zeros(4)}),
            r"theta/encoder.mu.b has shape \(4,\) there and \(3,\) here",
        ),
        (lambda a: a.pop("optimizer/adam/m.encoder.mu.W"), r"the checkpoint lacks optimizer/adam/m.encoder.mu.W"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_by_name(make, change, message):
    run = make(steps=2)
    run.train()
    path = run.folder / "checkpoint.safetensors"
    arrays, numbers = checkpoint.load(path)
    change(arrays)
    checkpoint.save(path, Checkpoint(arrays, numbers))
    with pytest.raises(CheckpointError, match=message):
        Run.resume(run.folder)


def test_what_is_no_run_is_said_to_be_none(make, tmp_path):
    with pytest.raises(RunError, match="nowhere is not the folder of a run: there is no such folder"):
        Run.resume(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"is not the folder of a run: it holds no config.json"):
        Run.resume(tmp_path)
    run = make(steps=1)
    with pytest.raises(CheckpointError, match="has no checkpoint yet: train it first"):
        load_model(run.folder)
    (run.folder / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config.json cannot be read"):
        Run.resume(run.folder)
    (run.folder / "config.json").write_text("{}")
    with pytest.raises(RunError, match=r"config.json cannot be read"):
        Run.resume(run.folder)

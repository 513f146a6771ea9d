"""What a run leaves behind, and what it says."""

import json

import numpy as np
import pytest
from PIL import Image

from minigen.backend import Workspace
from minigen.data import Batches
from minigen.models.vae import VAE
from minigen.random import Key
from minigen.training import Run, RunError, load_model, log, loop, train
from minigen.training.report import closing, summary


def lines(run, kind=None):
    return [line for line in log.read(run.log.path) if kind in (None, line["kind"])]


def test_a_run_folder_is_complete(make, pictures):
    run = make(steps=70)
    outcome = run.train()
    assert (outcome.step, outcome.why) == (70, "finished")
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"config.json", "log.jsonl", "checkpoint.safetensors", "samples", "curves.png", "lock"}  # no part
    pictures = {path.name for path in (run.folder / "samples").iterdir()}
    assert {f"{kind}-{step:06d}.png" for kind in ("samples", "reconstructions") for step in (0, 32, 64, 70)} <= pictures
    for path in run.folder.rglob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 300
    config = json.loads((run.folder / "config.json").read_text())
    assert (config["model"], config["data"], config["steps"], config["batch"], config["seed"]) == ("vae", "glyphs", 70, 16, 0)
    assert config["options"] == {"hidden": 8, "latents": 3, "beta": 1.0}
    assert config["parameters"] == run.model.vector.size


def test_the_log_holds_means_rates_and_held_out_figures(make):
    run = make(steps=40)
    outcome = run.train()
    trained = lines(run, "train")
    assert [line["step"] for line in trained] == list(range(1, 41))
    assert set(trained[0]) == {"kind", "step", "terms", "epoch", "rate", "seconds", "steps_per_second"}
    assert trained[3]["epoch"] == 1.0  # 60 rows in batches of 16 are four steps
    assert trained[0]["rate"] == 1e-3
    assert [line["step"] for line in lines(run, "held_out")] == list(range(0, 40, 2))
    (test,) = lines(run, "test")
    assert (test["step"], test["rows"]) == (40, 60)
    assert test["figures"] == outcome.figures.values
    assert [line["step"] for line in lines(run)] == sorted(line["step"] for line in lines(run))


def test_terms_are_means_since_the_last_line(tmp_path):
    one = log.Log(tmp_path / "log.jsonl")
    for value in (1.0, 2.0, 6.0):
        one.add({"loss": value})
    one.write("train", 3)
    one.add({"loss": 5.0})
    one.write("train", 4)
    assert [line["terms"]["loss"] for line in log.read(one.path)] == [3.0, 5.0]


def test_training_learns_and_equals_the_steps_written_out(make):
    run = make(steps=30, rate=1e-2)
    data = run.splits.train
    run.train()
    first, last = lines(run, "train")[0]["terms"], lines(run, "train")[-1]["terms"]
    assert sum(last.values()) < 0.7 * sum(first.values())

    key = Key(0)
    model = VAE(data.shape, key.at("model"), hidden=8, latents=3)
    model.start(1e-2, 30)
    batches = Batches(data, 16, key.at("data"))
    for step in range(30):
        model.step(next(batches).images, key.at("step", step))
    np.testing.assert_array_equal(run.model.theta, model.theta)


def test_memory_stays_flat(make, monkeypatch):
    spaces = []

    class Watched(Workspace):
        def __init__(self):
            super().__init__()
            spaces.append(self)

    monkeypatch.setattr("minigen.backend.Workspace", Watched)
    grown = []
    step = loop._Loop._step
    monkeypatch.setattr(loop._Loop, "_step", lambda self: (step(self), grown.append(spaces[0].allocated)))
    make(steps=60).train()
    assert grown[10] > 0
    assert set(grown[10:]) == {grown[10]}


def test_pictures_come_at_growing_intervals():
    assert [step for step in range(1025) if loop.is_milestone(step)] == [0, 32, 64, 128, 256, 512, 1024]


def test_epochs_become_steps(make):
    assert make(out="one", epochs=3).settings.steps == 12  # four batches an epoch, the last one smaller
    assert make(out="half", epochs=0.5).settings.steps == 2
    with pytest.raises(RunError, match="--steps or --epochs, not both"):
        make(out="both", epochs=3, steps=12)


def test_the_summary_and_the_end(make):
    run = make(steps=3)
    text = summary(run)
    for part in ("vae: hidden 8, latents 3", f"{run.model.vector.size:,}", "60 rows", "3 of 16 rows", "rate 0.001", "threads"):
        assert part in text
    text = closing(run, run.train())
    assert "Finished 3 steps" in text
    assert "negative elbo" in text
    assert "nats per image" in text
    assert str(run.folder / "samples") in text


def test_a_trained_model_is_found_by_folder_and_by_checkpoint(make, tmp_path):
    run = make(steps=3)
    run.train()
    (tmp_path / "alone.safetensors").write_bytes((run.folder / "checkpoint.safetensors").read_bytes())
    for path in (run.folder, tmp_path / "alone.safetensors"):
        model, settings, step, shape = load_model(path)
        assert (settings.model, step, shape) == ("vae", 3, (28, 28, 1))
        np.testing.assert_array_equal(model.theta, run.model.theta)


def test_a_model_and_data_of_the_readers_own(tmp_path, make, pictures):
    class Mine(VAE):
        name = "mine"

    splits = make(steps=1).splits
    run = train(Mine, data=tuple(splits), out=tmp_path / "mine", steps=4, options={"hidden": 4, "latents": 2})
    assert run.finished
    assert (run.folder / "samples" / "latent_map-000004.png").exists()
    assert Run.resume(run.folder, model=Mine, data=tuple(splits)).step == 4
    assert load_model(run.folder, Mine).step == 4
    with pytest.raises(RunError, match="unknown model 'mine'"):
        Run.resume(run.folder)


def test_a_folder_is_never_overwritten(make, tmp_path):
    make(steps=1)
    with pytest.raises(RunError, match=r"exists already: go on with it by --resume, or choose another folder with --out"):
        make(steps=1)
    (tmp_path / "empty").mkdir()
    make(steps=1, out="empty")

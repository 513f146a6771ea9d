"""A run that goes wrong says what, where and when, and loses nothing."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from minigen.data import DataError, Dataset
from minigen.layers.composite import Sequential
from minigen.layers.elementwise import ReLU
from minigen.models.model import Recipe
from minigen.models.vae import VAE
from minigen.training import NotFiniteRunError, Run, RunError, checkpoint
from minigen.training.settings import from_recipe
from minigen.training.setup import Splits, check_labels, check_rows, load_splits

armed = {"forward": False, "backward": False}


@pytest.fixture(autouse=True)
def _disarm():
    yield
    armed.update(forward=False, backward=False)


class Fragile(ReLU):
    """Puts out a NaN, or sends one back, once it is armed."""

    def forward(self, x, *, train=False, key=None):
        y, cache = super().forward(x, train=train, key=key)
        return (y * np.nan if armed["forward"] and train else y), cache

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        dx = super().backward(dy, cache, need_dx=need_dx, param_grads=param_grads)
        return dx * np.nan if armed["backward"] else dx


class Breaking(VAE):
    """Arms its fragile layer in step `at`, counted from 1."""

    name, what, at, taken = "breaking", "forward", 4, 0

    def networks(self, shape, hidden, latents):
        encoder, decoder = super().networks(shape, hidden, latents)
        hidden, *rest = decoder.layers.items()
        return encoder, Sequential(**dict([hidden, ("relu", Fragile()), *rest]))  # a second ReLU changes nothing

    def step(self, batch, key):
        self.taken += 1
        if self.taken == self.at:
            armed[self.what] = True
        return super().step(batch, key)


def saved_step(run):
    return checkpoint.load(run.folder / "checkpoint.safetensors").numbers["step"]


def test_a_planted_nan_is_found_by_objective_term_layer_and_step(make):
    run = make(Breaking, steps=9)
    with pytest.raises(NotFiniteRunError) as error:
        run.train(checkpoint_seconds=0)
    message = str(error.value)
    assert "breaking, in step 4: " in message
    assert "reconstruction = nan" in message
    assert "objective 'elbo'" in message
    assert "the first layer that put out such a value is decoder.relu (Fragile)" in message
    assert "The checkpoint of step 3 is kept" in message
    assert "--rate 0.0001 (it was 0.001)" in message
    assert "\n" not in message
    assert saved_step(run) == 3
    armed["forward"] = False
    assert Run.resume(run.folder, model=Breaking).step == 3


@pytest.mark.parametrize(
    ("checkpoint_seconds", "evaluate_every", "says"),
    [
        (0, 100, "after step 4: the array"),
        (1e9, 100, "in step 5: .* the parameter"),
        (0, 1, "after step 4: the held-out figure 'negative_elbo' is not finite; .*layer.*; the array"),
    ],
)
def test_a_nan_in_a_gradient_never_reaches_a_checkpoint(make, monkeypatch, checkpoint_seconds, evaluate_every, says):
    """The terms of step 4 are finite, its parameters no more. Found by whatever looks at them first."""
    monkeypatch.setattr(Breaking, "what", "backward")
    run = make(Breaking, steps=9)
    run.settings = dataclasses.replace(run.settings, evaluate_every=evaluate_every)
    with pytest.raises(NotFiniteRunError, match=rf"{says} (theta/)?encoder.trunk.hidden.W"):
        run.train(checkpoint_seconds=checkpoint_seconds)
    assert saved_step(run) == (3 if checkpoint_seconds == 0 else 0)


def test_a_rate_that_is_far_too_high(make):
    """Whether a training step or an evaluation meets it first."""
    for steps, when in ((9, "after step 1: the held-out figure"), (90, "in step 2: .*objective 'elbo'")):
        run = make(steps=steps, rate=1e30, out=f"run{steps}")
        with pytest.raises(NotFiniteRunError, match=rf"vae, {when}.*layer .* is \w+\..*Try a lower .*: --rate 1e\+29"):
            run.train()
        assert saved_step(run) == 0


def test_a_held_out_figure_that_is_not_finite_stops_the_run(make, monkeypatch):
    monkeypatch.setattr(VAE, "evaluate", lambda self, batch, key: {"bits": np.float32(np.inf)})
    with pytest.raises(NotFiniteRunError, match="after step 0: the held-out figure 'bits' is not finite"):
        make(steps=2).train()


def test_a_nan_in_the_data_is_found_before_the_first_step(make, tmp_path):
    images = np.full((40, 8, 8, 1), 0.5, np.float32)
    images[17, 2, 3, 0] = np.nan
    bad, good = Dataset("mine", images), Dataset("mine", images[:10], split="test")
    with pytest.raises(DataError, match=r"mine \(train\): row 17 holds nan at \(2, 3, 0\), which is not finite"):
        make(data=(bad, good))
    assert not (tmp_path / "run").exists()


def test_points_may_have_any_finite_value():
    points = np.array([[1e9, -3.0], [0.0, np.inf]])
    check_rows(Dataset("points", points[:1]))
    with pytest.raises(DataError, match="row 1 holds inf"):
        check_rows(Dataset("points", points))


def test_splits_of_different_shapes(make):
    splits = [Dataset("mine", np.zeros((40, side, side, 1), np.float32)) for side in (8, 9)]
    with pytest.raises(RunError, match=r"rows of the test split are \(9, 9, 1\), of train \(8, 8, 1\)"):
        make(data=tuple(splits))


def test_a_shape_that_the_model_cannot_take(make):
    pytest.importorskip("minigen.layers.conv2d")
    with pytest.raises(RunError, match=r"conv_vae cannot be made for rows of shape \(30, 30, 1\): .*multiples of 4"):
        make("conv_vae", options={}, data_options={"rows": 20, "size": 30})


def test_labels_are_checked_where_a_model_learns_from_them():
    settings = from_recipe("mine", Recipe("f", ("d",), 1, 1, 1.0, "00", {"classes": 3}), {})
    images = np.zeros((4, 8, 8, 1), np.float32)
    check_labels(settings, Splits(*[Dataset("mine", images, np.array([0, 1, 2, 2]))] * 2))
    with pytest.raises(RunError, match="mine learns from labels, and mine has none"):
        check_labels(settings, Splits(*[Dataset("mine", images)] * 2))
    with pytest.raises(RunError, match="mine has 4 classes, and mine is for 3: use --set classes=4"):
        check_labels(settings, Splits(*[Dataset("mine", images, np.arange(4))] * 2))


def test_a_checksum_covers_both_splits_and_their_labels():
    train, test = load_splits("glyphs", None, {"rows": 20})
    digest = Splits(train, test).digest
    assert Splits(train, test).digest == digest
    train.labels[3] += 1
    assert Splits(train, test).digest != digest


def test_a_folder_that_cannot_be_made(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make the folder .*Choose another one with --out"):
        make(out="file/run")


FULL_DISK = """
import resource, sys
from minigen.training import Run, RunError, loop
run = Run.resume(sys.argv[1], steps=30)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    run.train(checkpoint_seconds=0)
except RunError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no RLIMIT_FSIZE")
@pytest.mark.parametrize(("limit", "name"), [(20_000, "checkpoint.safetensors"), (500, "log.jsonl")])
def test_a_full_disk_costs_no_more_than_the_last_steps(make, limit, name):
    run = make(steps=20)
    run.train()
    path = run.folder / "checkpoint.safetensors"
    assert path.stat().st_size > 20_000 > run.log.path.stat().st_size > 500
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(run.folder), str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"cannot write {run.folder / name}: File too large" in done.stdout
    assert "untouched" in done.stdout
    assert path.read_bytes() == before
    resumed = Run.resume(run.folder)
    assert resumed.step == 20
    assert resumed.train().step == 30
    assert not [p for p in run.folder.iterdir() if p.name.startswith(".")]

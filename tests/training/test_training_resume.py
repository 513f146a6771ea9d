"""A killed and resumed run is the uninterrupted one, bit for bit: parameters, moments, cursor and log."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

from minigen import models, optim
from minigen.averaging import Average
from minigen.models.vae import VAE
from minigen.random import Key
from minigen.training import Run, RunError, checkpoint, log

SCRIPT = """
import sys
from pathlib import Path
from minigen.models.vae import VAE
from minigen.training import Run, loop
VAE.pictures = lambda self, batch, key: {}
loop.draw_curves = lambda *args, **kwargs: None
folder = Path(sys.argv[1])
small = dict(steps=250, batch=16, rate=1e-3, options=dict(hidden=8, latents=3), data_options=dict(rows=60))
run = Run.resume(folder) if (folder / "config.json").exists() else Run.create("vae", out=folder, **small)
print("ready", flush=True)
run.train(checkpoint_seconds=0.05)
"""


def content(folder):
    """All that must be equal: the checkpoint's bytes, and the log without its timings."""
    timings = {"seconds", "steps_per_second"}
    lines = [{k: v for k, v in line.items() if k not in timings} for line in log.read(folder / "log.jsonl")]
    return (folder / "checkpoint.safetensors").read_bytes(), lines


@contextmanager
def launched(folder):
    """A process that trains the run in `folder`, from the moment when its first step is near; waited for at the end."""
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        yield process


def test_killed_at_random_moments_and_resumed(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with launched(whole) as process:
        started = time.monotonic()
    takes = time.monotonic() - started
    assert process.returncode == 0

    rng = np.random.default_rng()  # a random moment, that of no seed: every moment must do
    kills = 0
    for _ in range(2):
        with launched(cut) as process:
            time.sleep(takes * rng.uniform(0.05, 0.45))
            process.send_signal(signal.SIGKILL)
        kills += process.returncode == -signal.SIGKILL
    with launched(cut) as process:
        pass
    assert process.returncode == 0
    assert kills > 0
    assert content(cut) == content(whole)


class Stopping(VAE):
    """Sends a signal to its own process in its fifth step."""

    name = "stopping"
    signal = signal.SIGINT
    calls = 0

    def step(self, batch, key):
        self.calls += 1
        if self.calls == 5:
            os.kill(os.getpid(), self.signal)
        return super().step(batch, key)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_saves_and_stops(make, monkeypatch, name):
    monkeypatch.setattr(Stopping, "signal", getattr(signal, name))
    before = signal.getsignal(getattr(signal, name))
    run = make(Stopping, steps=12)
    outcome = run.train()
    assert (outcome.step, outcome.why, outcome.figures) == (5, name, None)
    assert signal.getsignal(getattr(signal, name)) is before
    assert checkpoint.load(run.folder / "checkpoint.safetensors").numbers["step"] == 5
    monkeypatch.setattr(Stopping, "calls", 5)
    resumed = Run.resume(run.folder, model=Stopping)
    assert resumed.train().why == "finished"

    whole = make(Stopping, steps=12, out="whole")
    whole.train()
    assert content(resumed.folder) == content(whole.folder)


def test_a_second_ctrl_c_stops_at_once(make, monkeypatch):
    run = make(Stopping, steps=12)
    monkeypatch.setattr(Stopping, "step", lambda self, batch, key: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)])
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert checkpoint.load(run.folder / "checkpoint.safetensors").numbers["step"] == 0


def test_minutes_stop_cleanly_between_two_lines_of_the_log(make, monkeypatch):
    whole = make(steps=402, out="whole")
    assert whole.settings.log_every == 2
    whole.train()
    run = make(steps=402)
    for _ in range(3):
        outcome = run.train(minutes=0)
        assert outcome.why == "minutes"
        run = Run.resume(run.folder)
    assert run.step == 3
    assert set(run.log.counts.values()) == {1}  # one step since the last line: its terms are not lost
    run.train()
    assert content(run.folder) == content(whole.folder)


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(make):
    run = make(steps=5)
    run.log.write("held_out", 0, figures={}, rows=1)
    resumed = Run.resume(run.folder)
    assert (resumed.step, resumed.saved_step) == (0, None)
    resumed.train()
    whole = make(steps=5, out="whole")
    whole.train()
    assert content(resumed.folder) == content(whole.folder)


def test_a_finished_run_has_nothing_to_do(make):
    run = make(steps=3)
    figures = run.train().figures
    before = content(run.folder)
    assert Run.resume(run.folder).train() == (3, "finished", figures)
    assert content(run.folder) == before


# ---- changed settings


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rate": 1e-2}, "rate: 0.001 in the run, 0.01 asked for"),
        ({"seed": 1, "batch": 8}, "batch: 16 in the run, 8 asked for"),
        ({"seed": 1, "batch": 8}, "seed: 0 in the run, 1 asked for"),
        ({"options": {"latents": 4}}, "latents: 3 in the run, 4 asked for"),
        ({"data": "glyphs_letters"}, "data: glyphs in the run, glyphs_letters asked for"),
        ({"model": "conv_vae"}, "model: vae in the run, conv_vae asked for"),
    ],
)
def test_other_settings_are_refused_with_the_difference(make, asked, message):
    run = make(steps=3)
    run.train()
    with pytest.raises(RunError, match=message):
        Run.resume(run.folder, **asked)


def test_equal_settings_are_accepted(make):
    run = make(steps=3)
    run.train()
    asked = {"rate": 1e-3, "seed": 0, "batch": 16, "data": "glyphs", "options": {"latents": 3}, "steps": 3, "device": "cpu"}
    assert Run.resume(run.folder, model="vae", **asked).step == 3


def test_an_edited_config_is_refused(make):
    run = make(steps=3)
    run.train()
    path = run.folder / "config.json"
    path.write_text(path.read_text().replace('"rate": 0.001', '"rate": 0.5'))
    with pytest.raises(RunError, match=r"rate: 0.001 in the run, 0.5 asked for"):
        Run.resume(run.folder)


def test_other_data_are_refused(make):
    run = make(steps=3)
    run.train()
    train, test = run.splits
    train.images[7, 5, 5] ^= 1
    with pytest.raises(RunError, match=r"the data glyphs is not what .* was trained on"):
        Run.resume(run.folder, data=(train, test))


def test_more_steps_go_further_where_the_rates_stay_the_same(make):
    long = make(steps=9, out="long")
    long.train()
    run = make(steps=4)
    run.train()
    resumed = Run.resume(run.folder, steps=9)
    assert "the run goes on to 9 steps (4 before)" in resumed.notes[0]
    assert resumed.train().step == 9
    ours, theirs = (checkpoint.load(r.folder / "checkpoint.safetensors") for r in (run, long))
    for name, array in theirs.arrays.items():
        np.testing.assert_array_equal(ours.arrays[name], array, err_msg=name)
    assert Run.resume(run.folder).settings.steps == 9
    with pytest.raises(RunError, match="is at step 9 already, and 5 were asked for"):
        Run.resume(run.folder, steps=5)


class Cooling(VAE):
    name = "cooling"

    def start(self, rate, steps):
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps)))


def test_more_steps_are_refused_where_the_schedule_depends_on_them(make, monkeypatch):
    monkeypatch.setitem(models._MODELS, "cooling", "vae:VAE")
    run = make(Cooling, steps=4)
    run.train()
    with pytest.raises(RunError, match="steps: 4 in the run, 9 asked for, and the schedule of 'adam' depends on them"):
        Run.resume(run.folder, model=Cooling, steps=9)
    assert Run.resume(run.folder, model=Cooling).finished


# ---- what a checkpoint holds


class Rich(VAE):
    """With all kinds of state: of the model, of a layer, an average, two optimisers."""

    name = "rich"

    def start(self, rate, steps):
        self.optimize(
            one=optim.Adam(self, self.spans("encoder"), rate), two=optim.SGD(self, self.spans("decoder"), rate, momentum=0.9)
        )
        self.averages = {"slow": Average(self, self.spans("decoder"))}
        self.state = {"chain": np.zeros((2, 3), np.float32), "turns": np.zeros((), np.int64)}
        self.decoder.state = {"mean": np.zeros(3, np.float32)}

    def step(self, batch, key):
        (elbo,) = self.objectives
        noise = elbo.draw(self, batch, key)
        self.zero_grads()
        terms, _ = elbo(self, batch, noise)
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.averages["slow"].update()
        self.state["chain"] = self.state["chain"] + key.at("chain").normal((2, 3))
        self.state["turns"] = self.state["turns"] + 1
        self.decoder.state["mean"] = self.decoder.state["mean"] + np.float32(terms["kl"])
        return terms


def test_every_kind_of_state_resumes(make):
    whole = make(Rich, steps=8, out="whole", rate=1e-4)
    whole.train()
    run = make(Rich, steps=8, rate=1e-4)
    for _ in range(4):
        run.train(minutes=0)
        run = Run.resume(run.folder, model=Rich)
    run.train()
    assert content(run.folder) == content(whole.folder)
    arrays = checkpoint.load(run.folder / "checkpoint.safetensors").arrays
    kinds = {name.rpartition("/")[0].partition("/")[0] for name in arrays}
    assert kinds == {"theta", "layer", "model", "optimizer", "average"}
    assert arrays["model/turns"] == 8
    assert arrays["model/turns"].shape == ()
    assert set(run.model.state) == {"chain", "turns"}


def test_the_key_of_a_step_depends_on_its_number_alone(make):
    seen = []

    class Listening(VAE):
        name = "listening"

        def step(self, batch, key):
            seen.append(key)
            return super().step(batch, key)

    make(Listening, steps=3, seed=5).train()
    assert seen == [Key(5).at("step", i) for i in range(3)]


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    """The other process is a script that holds the lock as a run does, and is then killed."""
    folder = tmp_path / "run"
    small = {"steps": 4, "batch": 16, "options": {"hidden": 8, "latents": 3}, "data_options": {"rows": 60}}
    run = Run.create("vae", out=folder, **small)
    script = "import sys, time; from pathlib import Path; from minigen.training.lock import held\n"
    script += "with held(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        for refused in (run.train, lambda: Run.resume(folder)):
            with pytest.raises(RunError, match="is being trained at this moment: wait for that"):
                refused()
        assert not (folder / "log.jsonl").exists()
        other.kill()
    assert run.train().why == "finished"
    assert Run.resume(folder).finished

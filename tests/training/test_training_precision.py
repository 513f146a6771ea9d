"""`--precision tf32`: of every step, figure and picture of a run, stated beside the figures, and kept when the run goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minigen.check.device_array import standing_for_cupy
from minigen.kernels import PRECISIONS, chosen_precision, precision, rungs
from minigen.kernels.cuda import on_cpu
from minigen.models.vae import VAE
from minigen.random import Key
from minigen.training import Run, RunError, checkpoint, evaluate, load_model, log, loop, setup
from minigen.training.catalogue import draw_samples, evaluate_run
from minigen.training.report import closing, figures_table, summary
from minigen.training.run import read_config, settings_of

needs_compiler = pytest.mark.skipif(on_cpu.compiler() is None, reason="CUDA kernels run on the CPU through g++: install it")
WITHIN = {"tf32": 2**-9, "bf16": 2**-6}  # relative, of the terms and figures of a few steps: twice a factor's own error


@pytest.fixture
def cuda():
    with standing_for_cupy():
        yield


def numbers(run, *kinds):
    """What the log says of these kinds of line, one row a line."""
    found = [line.get("terms") or line["figures"] for line in log.read(run.log.path) if line["kind"] in kinds]
    return np.array([list(values.values()) for values in found])


def trained(make, name, *, eager=False, steps=6):
    run = make(steps=steps, out=f"{name}-{eager}", device="cuda", precision=name)
    outcome = run.train(eager=eager)
    return run, outcome


def apart(a, b, name):
    """That numbers are not the same, and within the error of this precision."""
    away = np.abs(a / b - 1)
    assert 0 < away.max() < WITHIN[name]


@needs_compiler
@pytest.mark.parametrize("name", ["tf32", "bf16"])
def test_every_step_and_figure_of_a_run_has_its_precision(cuda, make, name):
    plain, _ = trained(make, "float32", eager=True)
    eager, _ = trained(make, name, eager=True)
    captured, outcome = trained(make, name)
    assert chosen_precision() == "float32"  # outside the run nothing has changed

    # The way without a graph, from its first step on; the graph does the same, bit for bit.
    ours, theirs = numbers(eager, "train"), numbers(plain, "train")
    assert (ours != theirs).any(axis=1).all()
    apart(ours, theirs, name)
    assert (numbers(captured, "train") == ours).all()
    np.testing.assert_array_equal(captured.model.theta.get(), eager.model.theta.get())

    # Evaluation: before the first step the parameters are the same, so what differs is the precision of the figures alone.
    first = [numbers(run, "held_out")[:1] for run in (eager, plain)]
    apart(*first, name)
    for run in (eager, captured):
        rows, key, test = run.rows_of_test(), run.key.at("evaluation"), run.splits.test
        with precision(name):
            again = evaluate(run.model, test, rows, key, device="cuda")
        assert again.precision == name
        assert list(again.values.values()) == numbers(run, "test")[0].tolist()
        assert evaluate(run.model, test, rows, key, device="cuda").values != again.values
    assert outcome.figures.precision == name


@needs_compiler
def test_pictures_and_modes_have_the_runs_precision(cuda, make, monkeypatch):
    seen = set()

    def answers(value, name):
        return lambda *_, **__: seen.add((name, chosen_precision())) or value

    monkeypatch.setattr(VAE, "pictures", answers({}, "pictures"))
    monkeypatch.setattr(VAE, "health", answers({"real": 0.0}, "health"))
    monkeypatch.setattr(loop.LiveModes, "count", answers((None, {}), "modes"))
    monkeypatch.setattr(loop, "health", lambda **_: None)
    monkeypatch.setattr(loop, "verdict", lambda *_: "balanced")
    trained(make, "tf32", steps=1)
    assert seen == {(name, "tf32") for name in ("pictures", "health", "modes")}


@needs_compiler
def test_it_is_said_where_figures_are(cuda, make, monkeypatch):
    titles = []
    monkeypatch.setattr(loop, "draw_curves", lambda *_, title, **__: titles.append(title))
    for name, stated in (("float32", ""), ("tf32", " in tf32")):
        run = make(steps=2, out=name, device="cuda", precision=name)
        assert f"device      cuda, products in {name}, each step captured as one graph" in summary(run)
        text = closing(run, run.train())
        assert (
            f"Finished 2 steps{stated}.\n60 rows of the test split of glyphs, means and their standard errors{stated}:" in text
        )
        assert titles[-1].endswith(f"step 2{stated}")
        assert read_config(run.folder)["precision"] == name
        assert Run.resume(run.folder).train().figures.precision == name  # read from the log
    assert "precision" not in summary(make(steps=2, out="cpu"))
    assert " in " not in figures_table(make(steps=2, out="cpu too").train().figures, "nats", "the test split")


# ---- what is done with a trained model


@needs_compiler
def test_samples_and_figures_are_float32_unless_asked(cuda, make, tmp_path):
    run, _ = trained(make, "tf32", steps=2)
    loaded = load_model(run.folder, device="cuda")
    assert loaded.settings.precision == "tf32"  # that it was trained in

    plain, rounded = (evaluate_run(run.folder, None, None, "cuda", name) for name in ("float32", "tf32"))
    here = evaluate_run(run.folder, None, None)
    assert [e.as_json()["precision"] for e in (here, plain, rounded)] == ["float32", "float32", "tf32"]
    assert {e.as_json()["trained_in"] for e in (here, plain, rounded)} == {"tf32"}
    assert rounded.figures.values == run.train().figures.values
    of = [np.array(list(e.figures.values.values())) for e in (rounded, plain, here)]
    apart(of[0], of[1], "tf32")
    np.testing.assert_allclose(of[1], of[2], rtol=1e-6)

    said = draw_samples(run.folder, 2, 0, tmp_path / "a", device="cuda", precision="tf32")
    assert said.startswith("2 samples in tf32 of vae after 2 steps in tf32: ")
    assert draw_samples(run.folder, 2, 0, tmp_path / "b").startswith("2 samples of vae after 2 steps in tf32: ")
    seen = []
    plain_sample = VAE.sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VAE, "sample", lambda *args: seen.append(chosen_precision()) or plain_sample(*args))
        for name in PRECISIONS:
            draw_samples(run.folder, 2, 0, tmp_path / "c", device="cuda", precision=name)
    assert seen == list(PRECISIONS)


def test_figures_of_the_cpu_are_float32_whatever_is_chosen(make):
    run = make(steps=1)
    with precision("tf32"):
        assert evaluate(run.model, run.splits.test, np.arange(4), Key(0)).precision == "float32"


# ---- going on


@needs_compiler
def test_a_run_goes_on_in_its_precision(cuda, make):
    whole, _ = trained(make, "tf32")
    half = make(steps=6, out="half", device="cuda", precision="tf32")
    half.train(minutes=0)
    assert 0 < half.step < 6
    rest = Run.resume(half.folder)
    assert (rest.settings.precision, rest.notes) == ("tf32", [])
    rest.train()
    for kinds in (("train",), ("held_out", "test")):
        assert (numbers(rest, *kinds) == numbers(whole, *kinds)).all()
    np.testing.assert_array_equal(rest.model.theta.get(), whole.model.theta.get())
    assert Run.resume(half.folder, precision="tf32").finished

    with pytest.raises(RunError, match=r"cannot go on with other settings \(precision: tf32 in the run, float32 asked for\)"):
        Run.resume(half.folder, precision="float32")
    for asked in ({}, {"precision": "float32"}):
        with pytest.raises(RunError, match="is a run in tf32, and the CPU computes in float32: go on with --device cuda, or"):
            Run.resume(half.folder, device="cpu", **asked)


@needs_compiler
def test_a_run_in_float32_stays_one(cuda, make):
    run = make(steps=3)
    run.train()
    assert Run.resume(run.folder, precision="float32").finished
    with pytest.raises(RunError, match="precision: float32 in the run, tf32 asked for"):
        Run.resume(run.folder, device="cuda", precision="tf32")
    config = run.folder / "config.json"
    config.write_text(config.read_text().replace('"precision": "float32"', '"precision": "bf16"'))
    with pytest.raises(RunError, match="precision: float32 in the run, bf16 asked for"):
        Run.resume(run.folder, device="cuda")


def test_an_older_run_is_one_in_float32(make):
    """Its config and its checkpoint do not know of precisions."""
    run = make(steps=3)
    run.train()
    config, path = run.folder / "config.json", run.folder / checkpoint.NAME
    values, saved = json.loads(config.read_text()), checkpoint.load(path)
    del values["precision"], saved.numbers["settings"]["precision"]
    config.write_text(json.dumps(values))
    checkpoint.save(path, saved)
    assert settings_of(values) == run.settings
    assert Run.resume(run.folder, precision="float32").finished
    assert json.loads(config.read_text())["precision"] == "float32"
    assert load_model(path).settings.precision == "float32"


# ---- what is refused


def test_what_the_cpu_does_not_have_is_refused_before_anything_is_read(make, monkeypatch, tmp_path):
    monkeypatch.setattr(setup, "load_splits", lambda *_: pytest.fail("data were read"))
    message = "tf32 is a precision of GPUs, and the CPU computes in float32: add --device cuda, or leave --precision out"
    for begin in (
        lambda: make(precision="tf32"),
        lambda: evaluate_run(tmp_path, None, None, precision="tf32"),
        lambda: draw_samples(tmp_path, 1, 0, None, precision="tf32"),
    ):
        with pytest.raises(RunError, match=message):
            begin()
    for begin in (lambda: make(precision="fp16"), lambda: evaluate_run(tmp_path, None, None, precision="fp16")):
        with pytest.raises(RunError, match="unknown precision 'fp16': choose float32, tf32 or bf16"):
            begin()
    assert list(tmp_path.iterdir()) == []


def test_definitions_have_no_other_precision(cuda, make):
    """They are NumPy's and CuPy's products, which know nothing of it: the figures would say what is not so."""
    with rungs("definition"), pytest.raises(RunError, match=r"definitions .* compute in float32, not in tf32"):
        make(device="cuda", precision="tf32")

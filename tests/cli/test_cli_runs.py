"""Training, sampling and evaluating from the command line."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from minigen.check.device_array import standing_for_cupy
from minigen.data import Dataset
from minigen.kernels.cuda import on_cpu
from minigen.random import Key
from minigen.training import setup
from minigen.training.catalogue import samples
from minigen.training.run import load_model

SMALL = ("--steps", "3", "--batch", "16", *(w for o in ("hidden=8", "latents=3", "data.rows=60") for w in ("--set", o)))

# ---- train


def test_train(minigen, tmp_path):
    code, out, err = minigen("train", "vae", "--out", tmp_path / "run", *SMALL)
    assert code == 0
    for part in ("vae: hidden 8, latents 3", "glyphs: 60 rows to learn from", "3 of 16 rows", "Finished 3 steps", "+-"):
        assert part in out
    assert "nats per image" in out
    # No terminal, no progress; a kernel may be compiled for the first time here.
    assert [line for line in err.splitlines() if "compiling kernels, once" not in line] == []
    assert (tmp_path / "run" / "samples" / "samples-000003.png").exists()


def test_the_default_folder(minigen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert minigen("train", "vae", *SMALL)[0] == 0
    assert (tmp_path / "runs" / "vae-glyphs" / "config.json").exists()
    code, out, err = minigen("train", "vae", *SMALL)
    assert code == 1
    assert err == "minigen: runs/vae-glyphs exists already: go on with it by --resume, or choose another folder with --out\n"
    code, out, _ = minigen("train", "vae", "--resume", "--steps", "5")
    assert code == 0
    assert "goes on     after step 3" in out
    assert "the run goes on to 5 steps (3 before)" in out
    assert "Finished 5 steps" in out


def test_minutes_stop_and_say_how_to_go_on(minigen, tmp_path):
    code, out, _ = minigen("train", "vae", "--out", tmp_path / "run", "--minutes", "0", *SMALL)
    assert code == 0
    assert "Stopped after step 1 of 3 (the time is over), and saved" in out
    assert f"minigen train vae --resume --out {tmp_path / 'run'}" in out
    assert minigen("train", "vae", "--resume", "--out", tmp_path / "run")[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals to send to a process")
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_from_outside_saves_and_stops(minigen, tmp_path, number, exit_code):
    words = ["train", "vae", "--out", str(tmp_path / "run"), *SMALL, "--steps", "100000"]
    with subprocess.Popen([sys.executable, "-m", "minigen", *words], stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "run" / "checkpoint.safetensors").exists():  # it trains from now on
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(number)
        out = process.stdout.read()
    assert process.returncode == exit_code
    assert f"of 100,000 ({number.name}), and saved. Go on with\n  minigen train vae --resume" in out
    code, out, _ = minigen("train", "vae", "--resume", "--minutes", "0", "--out", tmp_path / "run")
    assert code == 0
    assert "goes on" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "vea"], "unknown model 'vea': did you mean 'vae'?"),
        (["train", "vae", "--data", "mnits"], "unknown data set 'mnits'. Did you mean 'mnist'?"),
        (["train", "vae", "--set", "latent=2"], "vae has no option 'latent'. Did you mean 'latents'?"),
        (["train", "vae", "--set", "data.shape=2"], "glyphs: unknown option 'shape'"),
        (["train", "vae", "--device", "tpu"], "unknown device 'tpu': choose cpu or cuda"),
        (["train", "vae", "--precision", "fp16"], "unknown precision 'fp16': choose float32, tf32 or bf16"),
        (["train", "vae", "--precision", "tf32"], "the CPU computes in float32: add --device cuda, or leave --precision out"),
        (["sample", "nowhere", "--precision", "bf16"], "bf16 is a precision of GPUs, and the CPU computes in float32"),
        (["eval", "nowhere", "--precision", "tf32"], "tf32 is a precision of GPUs, and the CPU computes in float32"),
        (["reproduce", "vae", "--precision", "tf32"], "tf32 is a precision of GPUs, and the CPU computes in float32"),
        (["train", "vae", "--rate", "0"], "the learning rate must be a positive number"),
        (["train", "vae", "--data", "folder:/nowhere/at/all"], "there is no folder /nowhere/at/all"),
        (["train", "vae", "--data-dir", "/nowhere/at/all", "--data", "mnist"], "there is no folder /nowhere/at/all"),
        (["train", "vae", "--resume", "--out", "nowhere"], "nowhere is not the folder of a run"),
        (["sample", "nowhere"], "there is no checkpoint nowhere"),
        (["eval", "nowhere"], "there is no checkpoint nowhere"),
        (["check", "vea"], "unknown model 'vea': did you mean 'vae'?"),
        (["data", "mnits"], "unknown data set 'mnits'"),
        (["data", "glyphs", "--split", "tset"], "glyphs: unknown split 'tset'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(minigen, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = minigen(*words)
    assert code == 1
    assert out == ""
    assert err.startswith("minigen: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_minigen_data_is_respected(minigen, monkeypatch, tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(40):
        Image.fromarray(np.full((20, 24), 6 * i, np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path / "photos")
    sizes = ("--set", "data.size=16", "--set", "data.colour=no", "--set", "data.test_fraction=0.5")
    words = ("--data", "folder:photos", "--steps", "2", "--set", "hidden=4", *sizes, "--out", tmp_path / "run")
    code, out, err = minigen("train", "vae", *words)
    assert code == 0, err
    assert "16 x 16 x 1" in out
    code, out, err = minigen("eval", tmp_path / "run")
    assert code == 0, err


def test_a_nan_in_the_data_names_the_row(minigen, monkeypatch, tmp_path):
    def load(name, split, **options):
        images = np.full((30, 8, 8, 1), 0.5, np.float32)
        images[21, 0, 4, 0] = np.nan
        return Dataset(name, images, split=split)

    monkeypatch.setattr(setup, "load_data", load)
    code, _, err = minigen("train", "vae", "--out", tmp_path / "run")
    assert code == 1
    assert "glyphs (train): row 21 holds nan at (0, 4, 0), which is not finite" in err


def test_a_rate_that_is_too_high_is_said_to_be(minigen, tmp_path):
    code, _, err = minigen("train", "vae", "--out", tmp_path / "run", "--rate", "1e30", *SMALL)
    assert code == 1
    assert "Try a lower learning rate: --rate 1e+29 (it was 1e+30)" in err


def test_cuda_without_a_gpu(minigen, monkeypatch, tmp_path):
    def missing():
        raise RuntimeError("device 'cuda' needs an NVIDIA GPU and its driver, and none was found: use device 'cpu'")

    monkeypatch.setattr(setup, "cupy", missing)
    code, _, err = minigen("train", "vae", "--device", "cuda", "--out", tmp_path / "run", *SMALL)
    assert (code, err) == (
        1,
        "minigen: device 'cuda' needs an NVIDIA GPU and its driver, and none was found: use device 'cpu'\n",
    )


def test_resume_refuses_other_settings(minigen, trained):
    code, _, err = minigen("train", "vae", "--resume", "--out", trained, "--rate", "0.5", "--set", "latents=4")
    assert code == 1
    assert "rate: 0.002 in the run, 0.5 asked for; latents: 3 in the run, 4 asked for" in err


# ---- a precision, on the array that stands for a GPU's


@pytest.mark.skipif(on_cpu.compiler() is None, reason="CUDA kernels run on the CPU through g++: install it")
def test_a_precision_is_said_in_every_line_of_figures(minigen, tmp_path):
    folder, on = tmp_path / "run", ("--device", "cuda", "--precision", "tf32")
    with standing_for_cupy():
        code, out, err = minigen("train", "vae", "--out", folder, *on, *SMALL)
        assert code == 0, err
        assert "products in tf32, each step captured as one graph" in out
        assert "Finished 3 steps in tf32." in out
        assert "means and their standard errors in tf32:" in out
        assert json.loads((folder / "config.json").read_text())["precision"] == "tf32"

        code, out, _ = minigen("train", "vae", "--out", folder, "--resume", "--steps", "4")  # it need not be said again
        assert code == 0
        assert "Finished 4 steps in tf32." in out
        code, _, err = minigen("train", "vae", "--out", folder, "--resume", "--device", "cpu")
        assert code == 1
        said = "is a run in tf32, and the CPU computes in float32: go on with --device cuda, or start anew with --out"
        assert err == f"minigen: {folder} {said}\n"

        for words, figures in ((on, "tf32"), ((), "float32")):
            found = json.loads(minigen("eval", folder, *words, "--json")[1])
            assert (found["trained_in"], found["precision"]) == ("tf32", figures)
        _, out, _ = minigen("eval", folder, *on)
        assert out.startswith("vae after 4 steps in tf32\n")
        assert "standard errors in tf32:" in out
        _, out, _ = minigen("eval", folder)
        assert out.startswith("vae after 4 steps in tf32\n")
        assert "standard errors:" in out
        assert "2 samples in tf32 of vae after 4 steps in tf32: " in minigen("sample", folder, "-n", "2", *on)[1]
        assert "2 samples of vae after 4 steps in tf32: " in minigen("sample", folder, "-n", "2")[1]


# ---- sample, eval


def test_sample(minigen, trained, tmp_path):
    code, out, _ = minigen("sample", trained, "--n", "10", "--seed", "3")
    assert code == 0
    path = trained / "sampled-10-seed3.png"
    assert str(path) in out
    assert "10 samples of vae after 3 steps" in out
    with Image.open(path) as image:
        assert image.size[0] > 600
    assert (
        minigen("sample", trained / "checkpoint.safetensors", "--n", "10", "--seed", "3", "--out", tmp_path / "a.png")[0] == 0
    )
    assert (tmp_path / "a.png").read_bytes() == path.read_bytes()
    assert minigen("sample", trained, "--n", "10", "--seed", "4", "--out", tmp_path / "b.png")[0] == 0
    assert (tmp_path / "b.png").read_bytes() != path.read_bytes()
    assert minigen("sample", trained, "--n", "0")[0] == 2


def test_samples_of_classes_and_what_samples_can_be_told(minigen, trained, tmp_path):
    few = ("--steps", "1", "--batch", "16", "--set", "hidden=8")
    by_class, flow = tmp_path / "by_class", tmp_path / "flow"
    assert minigen("train", "conditional_vae", *few, "--set", "data.rows=60", "--out", by_class)[0] == 0
    assert minigen("train", "realnvp", *few, "--set", "depth=2", "--out", flow)[0] == 0

    model = load_model(by_class).model
    drawn = samples(model, 70, Key(0), classes=np.repeat([7, 2], 35))  # two blocks
    z = [model.latent(64, Key(0).at("block", i)) for i in (0, 1)]
    labels = np.repeat([7, 2], 35)
    np.testing.assert_array_equal(drawn[:64], model.decode(z[0], labels[:64]))
    np.testing.assert_allclose(drawn[64:], model.decode(z[1][:6], labels[64:]), rtol=1e-5)
    assert minigen("sample", by_class, "-n", "6", "--class", "7,2")[0] == 0

    model = load_model(flow).model
    cool = samples(model, 64, Key(0), temperature=0.5)
    np.testing.assert_allclose(cool, model.decode(0.5 * model.latent(64, Key(0).at("block", 0))), rtol=1e-6)
    assert minigen("sample", flow, "-n", "6", "--set", "temperature=0.5")[0] == 0

    for words, said in (
        ((by_class, "--class", "11"), "conditional_vae has classes 0 .. 9, and was asked for 11 .. 11"),
        ((by_class, "--class", "seven"), "--class seven: write numbers, such as 3 or 3,5"),
        ((trained, "--class", "3"), "this vae was trained without labels, and draws no class by itself"),
        ((trained, "--set", "temperature=2"), "samples of vae cannot be told 'temperature': they can be told nothing"),
        ((flow, "--set", "heat=2"), "samples of realnvp cannot be told 'heat': they can be told temperature"),
        ((flow, "--set", "temperature=cold"), "--set temperature=cold: this option is a number"),
    ):
        code, _, err = minigen("sample", *words)
        assert code == 1
        assert said in err


def test_a_sample_does_not_depend_on_how_many_are_drawn(trained):
    model = load_model(trained).model
    np.testing.assert_array_equal(samples(model, 100, Key(0))[:7], samples(model, 7, Key(0)))
    assert len(np.unique(samples(model, 130, Key(0)), axis=0)) == 130


def test_eval(minigen, trained):
    code, out, _ = minigen("eval", trained)
    assert code == 0
    assert "vae after 3 steps" in out
    assert "60 rows of the test split of glyphs" in out
    found = json.loads(minigen("eval", trained, "--json")[1])
    assert set(found) == {"model", "data", "step", "trained_in", "rows", "unit", "precision", "figures"}
    assert (found["model"], found["step"], found["rows"], found["unit"]) == ("vae", 3, 60, "nats per image")
    last = json.loads((trained / "log.jsonl").read_text().splitlines()[-1])
    assert {name: figure["value"] for name, figure in found["figures"].items()} == last["figures"]
    assert found["figures"]["negative_elbo"]["standard_error"] > 0


def test_eval_on_other_data(minigen, trained):
    found = json.loads(minigen("eval", trained, "--data", "glyphs_letters", "--json")[1])
    assert (found["data"], found["rows"]) == ("glyphs_letters", 2000)
    code, _, err = minigen("eval", trained, "--data", "glyphs_colour")
    assert code == 1
    assert "was trained on rows of shape (28, 28, 1), and those of glyphs_colour have shape (28, 28, 3)" in err

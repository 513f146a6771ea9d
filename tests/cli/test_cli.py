"""The command line: help, lists, proofs and data; what is loaded for them, what is read, and the exit code."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from minigen import __version__, check, data, models
from minigen.check import ProofError, Row
from minigen.models.model import told
from minigen.random import Key

# ---- what is loaded, and help


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["list"], ["list", "--json"], ["data"], ["--version"]])
def test_answers_that_load_no_heavy_library(words):
    code = f"""
import sys
from minigen.cli import app
try:
    app({words!r})
except SystemExit as done:
    assert not done.code
heavy = {{"numba", "scipy", "matplotlib", "PIL", "pooch", "tqdm", "safetensors", "cupy"}} & set(sys.modules)
print("loaded:", *heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "minigen", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"minigen {__version__}\n"


@pytest.mark.parametrize("command", ["train", "sample", "eval", "check", "data"])
def test_help_has_examples(minigen, command):
    code, out, _ = minigen(command, "--help")
    assert code == 0
    assert f"\n  minigen {command} " in out


def test_no_command_and_wrong_usage(minigen):
    assert minigen()[0] == 2
    assert minigen("train")[0] == 2
    code, _, err = minigen("train", "vae", "--steps", "many")
    assert (code, "--steps" in err) == (2, True)


# ---- list


def test_list(minigen):
    code, out, _ = minigen("list")
    assert code == 0
    assert all(name in out for name in models.names())
    assert "minigen train NAME" in out


def test_list_json_is_stable(minigen):
    rows = json.loads(minigen("list", "--json")[1])
    assert [row["name"] for row in rows] == models.names()
    assert all(set(row) == {"name", "family", "objectives", "data", "lesson"} for row in rows)
    (vae,) = (row for row in rows if row["name"] == "vae")
    assert vae == {"name": "vae", "family": "vae", "objectives": ["elbo"], "data": ["glyphs", "mnist"], "lesson": "03"}


@pytest.mark.parametrize("name", models.names())
def test_the_recipe_names_the_objectives_that_the_model_has(name):
    cls = models.find(name)
    shape = next(row["shape"] for row in data.describe() if row["name"] == cls.recipe.data[0])
    model = cls(shape, Key(0), **told(cls.recipe.options, {"hertz": 8000, "characters": "ab"}))
    assert cls.recipe.objectives == tuple(objective.name for objective in model.objectives)


# ---- check

ROWS = [
    Row("vae", "elbo", parameter, method, error)
    for parameter in ("encoder.W", "encoder.b")
    for method, error in (("complex step", 1e-15), ("central difference", 2e-9))
]


def test_check_prints_a_line_for_each_parameter_and_the_verdict(minigen, monkeypatch):
    monkeypatch.setattr(check, "check_model", lambda name, device: ROWS)
    code, out, err = minigen("check", "vae")
    assert (code, err) == (0, "")
    (line,) = (line for line in out.splitlines() if "encoder.W" in line)
    assert line.split() == ["elbo", "encoder.W", "1.0e-15", "2.0e-09"]
    assert "proved: 2 gradients" in out


def test_check_json_is_stable(minigen, monkeypatch):
    monkeypatch.setattr(
        check, "check_model", lambda name, device: [*ROWS, Row("vae", "elbo", "decoder.W", "complex step", float("nan"))]
    )
    code, out, _ = minigen("check", "vae", "--json")
    rows = json.loads(out)
    assert code == 0
    assert rows[0] == {
        "model": "vae",
        "objective": "elbo",
        "parameter": "encoder.W",
        "method": "complex step",
        "rel_error": 1e-15,
    }
    assert rows[-1]["rel_error"] is None


@pytest.mark.parametrize("as_json", [False, True])
def test_a_wrong_gradient_is_exit_code_1(minigen, monkeypatch, as_json):
    def wrong(name, device):
        raise ProofError(f"{name}, objective 'elbo': the hand-written gradient is not that of the loss", ROWS)

    monkeypatch.setattr(check, "check_model", wrong)
    code, out, err = minigen("check", "vae", *["--json"] * as_json)
    assert code == 1
    assert "minigen: vae is not proved: vae, objective 'elbo': the hand-written gradient is not that of the loss" in err
    assert "proved: " not in out
    assert "encoder.W" in out


def test_check_proves_the_vae(minigen):
    code, out, err = minigen("check", "vae", "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert {row["parameter"] for row in rows} >= {"encoder.mu.W", "decoder.out.b"}
    assert all(row["rel_error"] < (1e-9 if row["method"] == "complex step" else 1e-4) for row in rows)


# ---- data


def test_data_lists(minigen):
    code, out, _ = minigen("data")
    assert code == 0
    assert "glyphs_colour" in out
    assert "20,000 + 2,000" in out
    assert {row["name"] for row in json.loads(minigen("data", "--json")[1])} >= {"glyphs", "mnist", "folder"}


def test_data_draws(minigen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = minigen("data", "glyphs_colour", "--set", "rows=20", "--set", "size=32")
    assert code == 0
    assert "20 rows of 32 x 32 x 3, 10 classes" in out
    with Image.open("glyphs_colour.png") as image:
        assert image.mode == "RGB"
    code, out, _ = minigen("data", "ring8", "--out", "points.png")
    assert code == 0
    assert "ring8, train: 100,000 rows of 2" in out
    with Image.open("points.png") as image:
        assert image.mode == "L"

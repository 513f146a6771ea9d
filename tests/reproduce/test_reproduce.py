"""Reproductions on built-in data and small models: every measure, slices, seeds, and the page that is built of the results."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minigen import models
from minigen.check.device_array import standing_for_cupy
from minigen.kernels.cuda import on_cpu
from minigen.metrics import importance as importance_module
from minigen.metrics.figure import Figure
from minigen.reproduce import RECIPES, curves, measures, results, running
from minigen.reproduce.reproduction import Published, Reproduction
from minigen.reproduce.running import Place, reproduce
from minigen.training import log
from minigen.training.errors import RunError
from minigen.training.settings import from_recipe

ROWS = {"rows": 300}
GLYPHS = {**ROWS, "size": 16}
POINTS = {"hidden": 8}
SMALL: dict[str, Reproduction] = {
    "held_out": Reproduction(
        "autoencoder", "glyphs", (3, 3, 3), measures.held_out("per_pixel", "error", "squares", "exact"),
        options={"codes": 4}, data_options=GLYPHS, curve="per_pixel",
    ),
    "importance": Reproduction(
        "vae", "glyphs", (3, 3, 3), measures.importance, options={"hidden": 8, "latents": 2},
        data_options={**GLYPHS, "binarise": "sampled"},
    ),
    "importance_given_a_class": Reproduction(
        "conditional_vae", "glyphs", (3, 3, 3), measures.importance, options={"hidden": 8, "latents": 2},
        data_options={**GLYPHS, "binarise": "sampled"},
    ),
    "excess": Reproduction(
        "realnvp", "grid25", (3, 3, 3), measures.excess, Published(0.7, "elsewhere"), options={"depth": 2, "hidden": 8}
    ),
    "coverage": Reproduction("gan", "ring8", (3, 3, 3), measures.coverage, Published(8, "elsewhere", "higher"), options=POINTS),
    "energy": Reproduction("flow_matching", "gaussians8", (3, 3, 3), measures.energy, options={"width": 8, "depth": 1}),
    "exact_partition": Reproduction(
        "rbm", "glyphs", (3, 3, 3), measures.exact_partition, options={"hidden": 4},
        data_options={**GLYPHS, "binarise": "threshold"},
    ),
    "exact_likelihood": Reproduction(
        "pixelcnn", "glyphs", (2, 2, 2), measures.exact_likelihood, options={"width": 4, "layers": 1}, data_options=GLYPHS
    ),
    "disentangled": Reproduction(
        "beta_vae", "glyph_factors", (3, 3, 3), measures.disentangled, options={"hidden": 8, "latents": 4}, data_options=ROWS
    ),
    "images_of": Reproduction(
        "conditional_gan", "glyphs", (1, 1, 1), measures.images_of, options={"width": 8, "latents": 4}, data_options=ROWS
    ),
    "stacked": Reproduction(
        "dcgan", "stacked_glyphs", (1, 1, 1), measures.stacked, options={"width": 8, "latents": 4}, data_options=ROWS
    ),
    "agreement": Reproduction(
        "conditional_gan", "glyphs", (1, 1, 1), measures.agreement, options={"width": 8, "latents": 4}, data_options=ROWS
    ),
    "above_the_grammar": Reproduction(
        "char_wavenet", "grammar", (2, 2, 2), measures.above_the_grammar, options={"width": 8, "hidden": 8, "layers": 2}
    ),
    "classifier": Reproduction(
        "classifier", "glyphs", (2, 2, 2), measures.accuracy, options={"width": 4, "features": 8}, data_options=ROWS
    ),
}  # fmt: skip


@pytest.fixture
def small(monkeypatch, tmp_path):
    """reproduce(name) among SMALL, in a folder of its own, judging little."""
    monkeypatch.setattr(running, "RECIPES", SMALL)
    monkeypatch.setattr(measures, "FEW", 120)
    monkeypatch.setattr(importance_module, "BLOCK", 50)
    place = Place(tmp_path / "runs", tmp_path / "results", tmp_path / "pictures")

    def call(name, **options):
        lines = []
        found = reproduce(name, place=place, say=lines.append, **options)
        return found, "\n".join(lines), place

    return call


@pytest.mark.parametrize("name", SMALL)
def test_every_measure_gives_figures(small, name):
    found, lines, place = small(name)
    assert found == json.loads((place.results / f"{name}.json").read_text())
    figures = [Figure.of_json(values) for values in found["figures"]]
    for figure in figures:
        assert math.isfinite(figure.value)
        assert figure.count > 0
        assert figure.name in lines
        if figure.interval is not None and "endlessly" not in figure.protocol:  # there the interval is of another number
            assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert found["updates"] == SMALL[name].steps[0]
    assert (place.pictures / f"{name}.png").exists() or name in ("classifier", "above_the_grammar")
    assert found["command"] == f"minigen reproduce {name} --budget quick"


def test_an_untrained_model_is_judged_as_it_should(small):
    """Known answers: an accuracy near chance; a uniform-looking grid is above its entropy; a VAE of nothing near 256 bits."""
    accuracy, _, _ = small("classifier")
    assert accuracy["figures"][0]["value"] < 60
    excess, _, _ = small("excess")
    assert 0.5 < excess["figures"][0]["value"] < 20
    assert excess["gap"] == excess["figures"][0]["value"] - 0.7
    vae, _, _ = small("importance")
    assert 100 < vae["figures"][0]["value"] < 256 * math.log(2) * 1.1


def timeless(result):
    return {key: value for key, value in result.items() if key not in ("train_seconds", "command", "seeds", "by_seed")}


def test_a_run_in_slices_is_the_run_in_one(small):
    whole, _, place = small("held_out")
    shutil.rmtree(place.runs)
    stopped, lines, _ = small("held_out", minutes=0)
    assert stopped is None
    assert "the same command goes on" in lines
    again, _, _ = small("held_out")
    assert timeless(again) == timeless(whole)


def test_what_was_judged_is_not_judged_again(small, monkeypatch):
    small("held_out")
    monkeypatch.setitem(SMALL, "held_out", dataclasses.replace(SMALL["held_out"], measure=None))  # would fail if called
    found, lines, _ = small("held_out")
    assert found is not None
    assert "judging" not in lines


def test_a_run_is_judged_as_it_stands(small):
    small("held_out", minutes=0)
    found, _, _ = small("held_out", now=True)
    assert found["updates"] < found["steps_asked"] == 3
    assert found["command"].endswith("--now")
    page = results.page({"autoencoder": found}, None)
    assert f"Judged as it stood after {found['updates']} of 3 updates" in page


def test_seeds_have_an_interval_of_their_own(small):
    found, _, _ = small("excess", seeds=3)
    values = np.array(found["by_seed"])
    assert len(set(found["by_seed"])) == 3
    low, high = found["figures"][0]["interval"]
    np.testing.assert_allclose((low + high) / 2, values.mean(), rtol=1e-12)
    np.testing.assert_allclose((high - low) / 2, 4.302653 * values.std(ddof=1) / 3**0.5, rtol=1e-6)


def test_the_curve_is_what_the_run_logged_and_is_drawn(small):
    found, _, place = small("held_out")
    lines = log.read(place.runs / "held_out-quick-seed0" / log.NAME)
    logged = {line["step"]: line["figures"]["per_pixel"] for line in lines if line["kind"] == "held_out"}
    assert found["curve"] == {"figure": "per_pixel", "updates": list(logged), "values": list(logged.values())}
    assert curves.draw({"vae": found | {"curve": None}}, place.pictures) is None
    long = {"figure": "nll", "updates": [0, 50, 1500, 4000], "values": [9.0, 4.0, 3.0, 2.5]}
    picture = curves.draw({"vae": found | {"curve": long, "published": {"value": 2.0}}}, place.pictures)
    assert plt.imread(picture).shape[1] == 310
    named = f"](docs/results/{curves.NAME})"
    assert named in results.page({"vae": made(2.5, curve=long)}, place.pictures)
    assert named not in results.page({"vae": made(2.5)}, place.pictures)


@pytest.mark.skipif(on_cpu.compiler() is None, reason="CUDA kernels run on the CPU through g++: install it")
def test_a_figure_of_a_model_trained_in_tf32_says_so(small, monkeypatch):
    """It is a figure of another run than that of a model trained in float32, and judged by the same ruler."""
    asked = []
    judge = SimpleNamespace(published=lambda: {"name": "a ruler"})
    monkeypatch.setattr(running, "ruler", lambda *_, **given: asked.append(given) or judge)
    recipe = SMALL["held_out"]
    measure = lambda of: of.ruler() and recipe.measure(of)
    monkeypatch.setitem(SMALL, "held_out", dataclasses.replace(recipe, measure=measure))
    with standing_for_cupy():
        plain, _, place = small("held_out", device="cuda")
        found, lines, _ = small("held_out", device="cuda", precision="tf32")
        again, _, _ = small("held_out", device="cuda", precision="tf32")
    assert again == found
    assert {path.name for path in place.runs.iterdir()} == {"held_out-quick-seed0", "held_out-quick-tf32-seed0"}
    assert asked[0] == asked[1]
    assert asked[0]["out"] == place.runs / "classifier-quick-seed0"
    assert found["curve"]["values"] != plain["curve"]["values"]
    stated = "; trained in tf32, judged in float32"
    assert found["figures"][0]["protocol"] == plain["figures"][0]["protocol"] + stated
    assert stated in lines
    assert plain["command"] == "minigen reproduce held_out --budget quick --device cuda"
    assert found["command"] == "minigen reproduce held_out --budget quick --device cuda --precision tf32"
    assert "quick: 3 updates in tf32, 1 seed" in results.row("held_out", found)
    assert stated in results.details(found)[0]
    assert "quick: 3 updates, 1 seed" in results.row("held_out", plain)
    older = plain | {"settings": {k: v for k, v in plain["settings"].items() if k != "precision"}}
    assert results.row("held_out", older) == results.row("held_out", plain)


def test_the_curve_of_a_run_in_tf32_says_so(small, monkeypatch):
    found, _, place = small("held_out")
    titles = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_title", lambda _, title, **__: titles.append(title))
    curves.draw({"vae": found, "ae": found | {"settings": {"precision": "tf32"}}}, place.pictures)
    assert titles == ["vae", "ae in tf32"]


def test_bad_input_is_refused(small):
    with pytest.raises(RunError, match="there is no reproduction 'vea': there are"):
        small("vea")
    with pytest.raises(RunError, match="unknown budget 'huge'"):
        small("vae", budget="huge")
    with pytest.raises(RunError, match="at least one"):
        small("held_out", seeds=0)


# ---- the recipes that are there


def test_every_model_has_a_recipe():
    assert {recipe.model for recipe in RECIPES.values()} == set(models.names())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_its_model(name):
    recipe = RECIPES[name]
    known = models.find(recipe.model).recipe
    assert set(recipe.options) <= set(known.options)
    assert recipe.data in known.data
    assert recipe.steps[0] < recipe.steps[1] <= recipe.steps[2]
    settings = {**recipe.settings("cpu", 3, None)}
    settings.pop("data_dir")
    assert from_recipe(recipe.model, known, settings).steps == recipe.steps[1]


# ---- the page


def made(value, interval=None, published=(2.0, "P", "lower"), **changes):
    figure = Figure("nll", value, "nats", "exact", 10, "ten rows", interval)
    base = {
        "name": "vae", "data": "glyphs", "figures": [figure.as_json()], "note": "", "seeds": [0], "by_seed": [value],
        "updates": 10, "steps_asked": 10, "train_seconds": [60.0], "budget": "quick", "command": "minigen reproduce vae",
        "settings": {},
        "published": dict(zip(("value", "source", "better"), published, strict=True)), "gap": value - published[0],
    }  # fmt: skip
    return {**base, **changes}


def test_a_miss_is_bold_and_a_hit_is_not():
    assert "| **+0.50** |" in results.row("vae", made(2.5, (2.25, 2.75)))
    assert "| -0.50 |" in results.row("vae", made(1.5, (1.25, 1.75)))
    assert "| **-0.50** |" in results.row("vae", made(1.5, (1.25, 1.75), (2.0, "P", "higher")))


def test_a_figure_has_the_digits_of_its_interval():
    row = results.row("vae", made(2.5123, (2.4123, 2.6123)))
    assert "2.51 ± 0.10 nats" in row
    assert "2.51 [2.41, 4.00] nats" in results.row("vae", made(2.512345, (2.4123, 4.0)))


def test_a_count_has_no_decimals_and_its_gap_has_one():
    row = results.row("gan", made(7.0, None, (6.3, "P", "higher")))
    assert "| 7 nats |" in row
    assert "| +0.7 |" in row


def test_what_has_not_run_is_said():
    page = results.page({}, None)
    for name in RECIPES:
        assert f"| `{name}` | | | not run |" in page


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match="is no folder"):
        results.load_all(tmp_path / "nothing")

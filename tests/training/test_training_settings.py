"""Settings: the recipe's defaults, what is given instead, and errors that name what there is."""

import dataclasses
import json

import pytest

from minigen.models.model import Recipe
from minigen.training import RunError
from minigen.training.settings import Settings, differences, from_recipe, parse_data_options, parse_options

RECIPE = Recipe(
    family="test",
    data=("glyphs", "mnist"),
    batch=32,
    steps=1000,
    rate=1e-3,
    lesson="00",
    options={"hidden": 400, "beta": 1.0, "tied": False, "norm": "batch", "widths": (8, 16), "limit": None},
    by_data={"mnist": {"steps": 50, "options": {"hidden": 7}}},
)


def parsed(*words):
    return parse_options(words, RECIPE, "model")[0]


def test_values_take_the_type_of_the_default():
    assert parsed("hidden=20", "beta=2", "tied=yes", "norm=layer", "limit=3", "widths=4,8") == {
        "hidden": 20,
        "beta": 2.0,
        "tied": True,
        "norm": "layer",
        "limit": 3,
        "widths": [4, 8],
    }
    assert type(parsed("beta=2")["beta"]) is float
    assert parsed("tied=False") == {"tied": False}
    assert parsed(" hidden = 5 ") == {"hidden": 5}
    assert parsed("norm=a=b") == {"norm": "a=b"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "hiden=3",
            r"model has no option 'hiden'. Did you mean 'hidden'\? Its options and their defaults: hidden \(400\), beta",
        ),
        ("colour=3", r"model has no option 'colour'. Its options .*Those of the data are written data.NAME"),
        ("hidden=3.5", r"--set hidden=3.5: this option is a whole number \(default 400\)"),
        ("hidden=", r"this option is a whole number"),
        ("beta=big", r"--set beta=big: this option is a number \(default 1.0\)"),
        ("beta=nan", r"this option must be finite"),
        ("tied=maybe", r"this option is yes or no"),
        ("hidden", r"--set hidden: write it as KEY=VALUE, such as --set hidden=400"),
        ("=3", r"write it as KEY=VALUE"),
    ],
)
def test_mistakes_are_answered_with_what_there_is(word, message):
    with pytest.raises(RunError, match=message):
        parsed(word)


def test_options_of_the_data():
    assert parse_options(["data.size=32", "data.colour=yes", "data.characters=abc"], RECIPE, "model") == (
        {},
        {"size": 32, "colour": True, "characters": "abc"},
    )
    assert parse_data_options(["size=32", "data.test_fraction=0.2"]) == {"size": 32, "test_fraction": 0.2}


def test_the_recipe_has_what_is_not_given():
    settings = from_recipe("model", RECIPE, {"rate": None, "batch": 8, "options": {"beta": 3.0}})
    assert (settings.data, settings.steps, settings.batch, settings.rate, settings.seed) == ("glyphs", 1000, 8, 1e-3, 0)
    assert settings.options == {**RECIPE.options, "beta": 3.0}
    assert (settings.log_every, settings.evaluate_every) == (5, 50)
    assert (settings.device, settings.precision) == ("cpu", "float32")


def test_a_recipe_may_differ_on_a_data_set():
    settings = from_recipe("model", RECIPE, {"data": "mnist"})
    assert (settings.steps, settings.batch, settings.options["hidden"], settings.options["beta"]) == (50, 32, 7, 1.0)
    settings = from_recipe("model", RECIPE, {"data": "mnist", "steps": 60, "options": {"hidden": 9}})
    assert (settings.steps, settings.options["hidden"]) == (60, 9)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "steps is 0: it must be at least 1"),
        ("batch", -1, "batch is -1: it must be at least 1"),
        ("rate", 0.0, "rate is 0: the learning rate must be a positive number"),
        ("rate", float("nan"), "rate is nan"),
        ("seed", -1, "seed is -1"),
        ("device", "gpu", "unknown device 'gpu': choose cpu or cuda"),
        ("precision", "half", "unknown precision 'half': choose float32, tf32 or bf16"),
    ],
)
def test_impossible_settings(field, value, message):
    with pytest.raises(RunError, match=message):
        dataclasses.replace(from_recipe("model", RECIPE, {}), **{field: value})


def test_settings_survive_json():
    settings = from_recipe("model", RECIPE, {"options": {"widths": [4, 8]}, "rate": 0.1 + 0.2, "precision": "tf32"})
    assert settings.precision == "tf32"
    again = Settings(**json.loads(json.dumps(settings.as_json())))
    assert again == settings
    assert differences(settings, again.as_json()) == []


def test_differences_name_both_values():
    settings = from_recipe("model", RECIPE, {})
    asked = {"rate": 0.5, "batch": None, "options": {"beta": 1.0, "hidden": 3}, "data_options": {"size": 32}}
    assert differences(settings, asked) == [
        "rate: 0.001 in the run, 0.5 asked for",
        "hidden: 400 in the run, 3 asked for",
        "size: None in the run, 32 asked for",
    ]

"""Data by name, and what importing it costs."""

import json
import subprocess
import sys

import pytest

from minigen.data import DataError, Entry, describe, load, names, register


def test_names_and_rows_agree_and_are_plain():
    rows = describe()
    assert tuple(row["name"] for row in rows) == names()
    assert {"glyphs", "glyphs_colour", "glyphs_letters", "mnist", "folder"} <= set(names())
    assert json.loads(json.dumps(rows))[0]["built_in"] is True
    for row in rows:
        assert all(row[column] for column in ("name", "about", "shape", "rows", "source", "licence"))
        assert {"train", "test"} <= set(row["rows"])


@pytest.mark.parametrize("row", [row for row in describe() if row["built_in"]], ids=lambda row: row["name"])
def test_built_in_data_is_what_its_row_says(row):
    data = load(row["name"], "test")
    assert data.name == row["name"]
    assert data.shape == row["shape"]
    assert len(data) == row["rows"]["test"]


@pytest.mark.parametrize(
    ("name", "split", "options", "message"),
    [
        ("mnits", "train", {}, "unknown data set 'mnits'. Did you mean 'mnist'. There are: .*glyphs.*mnist"),
        ("imagenet", "train", {}, "unknown data set 'imagenet'. There are: "),
        ("glyphs", "tset", {}, "glyphs: unknown split 'tset'. Did you mean 'test'. There are: train, test."),
        ("glyphs", "train", {"color": True}, "glyphs: unknown option 'color'. Did you mean 'colour'"),
        ("mnist:/tmp", "train", {}, "a path follows some names alone, as in folder:/path/to/images, text:/path/to/a/file"),
        ("folder:", "train", {}, "a path follows some names alone, as in folder:/path/to/images, text:/path/to/a/file"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(name, split, options, message):
    with pytest.raises(DataError, match=message):
        load(name, split, **options)


def test_options_reach_the_loader():
    assert load("glyphs", "test", rows=3, size=32, colour=True).shape == (32, 32, 3)
    assert load("glyphs", "test", rows=3, characters="xy").classes == ("x", "y")


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'glyphs' is registered twice"):
        register(Entry("glyphs", "", (), {}, "", "", True, load))


def test_importing_is_light():
    heavy = {"matplotlib", "numba", "scipy", "pooch", "PIL", "requests"}
    code = f"import sys, minigen.data; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"

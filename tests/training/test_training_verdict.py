"""A run of a game says whether it is healthy; a run of another model does not."""

import pytest

from minigen.data import load
from minigen.random import Key
from minigen.training import Run, log
from minigen.training import loop as training_loop
from minigen.training.live_modes import LiveModes
from minigen.training.report import closing

GAME = {"batch": 16, "steps": 6, "options": {"hidden": 8, "latents": 3, "minibatch": 0}}


@pytest.fixture
def game(tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "draw_curves", lambda *args, **kwargs: None)
    return Run.create("gan", data="ring8", out=tmp_path / "run", data_options={"rows": 60}, **GAME)


def test_a_game_ends_with_a_verdict_and_its_evidence(game):
    outcome = game.train()
    said = [line.get("verdict") for line in log.read(game.log.path) if line["kind"] in ("held_out", "test")]
    assert said[0] is None, "at step 0 nobody has played yet"
    assert all("ranks a real row above a sample" in text and "losses real" in text for text in said[1:])
    assert f"\nThe game: {said[-1]}.\n" in closing(game, outcome)


def test_points_are_drawn_and_learned_as_they_are(game):
    game.train()
    assert (game.folder / "samples" / "samples-000006.png").exists()
    assert game.model.shape == (2,)


def test_a_model_without_an_opponent_gets_no_verdict(make):
    run = make(steps=2)
    outcome = run.train()
    assert not any("verdict" in line for line in log.read(run.log.path))
    assert "The game" not in closing(run, outcome)


def test_known_modes_are_counted_while_it_plays(game):
    game.train()
    counted = [line.get("modes") for line in log.read(game.log.path) if line["kind"] in ("held_out", "test")]
    assert counted[0] is None
    assert (counted[-1]["samples"], counted[-1]["of"]) == (2500, 8)
    assert 0 <= counted[-1]["quality"] <= 1
    said = next(line["verdict"] for line in reversed(log.read(game.log.path)) if "verdict" in line)
    assert f"{counted[-1]['modes']} of 8 modes" in said


def test_stacked_digits_are_counted_by_the_ruler_that_was_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert LiveModes("stacked_glyphs").ruler is None
    glyphs = tuple(load("glyphs", split, rows=60) for split in ("train", "test"))
    Run.create(
        "classifier", data=glyphs, out="runs/ruler-glyphs", steps=1, batch=8, options={"width": 2, "features": 4}
    ).train()
    live = LiveModes("stacked_glyphs")

    class Digits:
        def sample(self, n, key):
            return load("stacked_glyphs", rows=n, seed=int(key.integers(99, 1)[0])).batch(range(n))

    modes, counted = live.count(Digits(), Key(0))
    assert counted["modes"]["samples"] == 2600
    assert (modes.of, modes.found) == (1000, counted["modes"]["modes"])
    assert LiveModes("mnist").count(Digits(), Key(0)) == (None, {})

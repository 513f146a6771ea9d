"""Scaling: both sides are one network at any size, and what is computed from the rows. Half of it needs no PyTorch."""

from __future__ import annotations

import pytest

from benchmarks import scaling, scaling_pairs
from benchmarks.guard import Race


def test_a_ratio_per_image():
    rows = [{"axis": "batch", "model": "vae", "at": n, "ours_ms": n + 64.0, "peer_ms": float(n)} for n in (1, 64, 512)]
    assert scaling.per_image(rows) == {"vae": {"ours": round(576 / 512 / 2, 3), "peer": 1.0}}
    rows[1]["ours_ms"] = None
    assert scaling.per_image(rows)["vae"]["ours"] is None


def test_the_faster_format_counts():
    race = Race({"ours": 0.002, "pytorch": 0.004, "pytorch-channels-last": 0.003}, (1.0, 1.0), True)
    expected = {"ours_ms": 2.0, "peer_ms": 3.0, "ratio": 0.667, "peer": "pytorch-channels-last"}
    assert scaling.times(race) == expected
    race.quiet = False
    assert scaling.times(race)["ratio"] is None


def test_our_side_learns():
    step = scaling_pairs.ours(4, 12, 8)
    losses = [step() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_the_figure_is_drawn_with_gaps(tmp_path):
    row = {"axis": "width", "model": "network", "at": 16, "ours_ms": 1.0, "peer_ms": 2.0, "ours_mib": 3.0, "peer_mib": 4.0}
    scaling.draw([row, {**row, "at": 32, "ours_ms": None, "peer_ms": None}], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(("size", "width"), [(8, 4), (13, 6), (28, 8)])
def test_both_sides_are_one_network(size, width):
    """The first losses are compared within; the second ones follow the first updates."""
    pytest.importorskip("torch", reason="the opponent is PyTorch, which is installed with the extra 'dev' only")
    calls = scaling.of_the_network(3, size, width)
    losses = [float(call()) for call in calls.values()]
    assert max(losses) - min(losses) < 1e-4 * losses[0]

"""RESULTS.md holds a row for every model, and no number that is not in a committed result file."""

from __future__ import annotations

from pathlib import Path

from minigen.reproduce import results

ROOT = Path(__file__).parents[2]


def test_the_page_is_built_of_the_committed_results():
    found = results.load_all(ROOT / "benchmarks" / "results")
    assert (ROOT / "RESULTS.md").read_text() == results.page(found, ROOT / "docs" / "results"), "run minigen report"


def test_every_model_has_been_run():
    assert "not run" not in (ROOT / "RESULTS.md").read_text()

"""The README's figures are those of the committed results."""

import json
from pathlib import Path

import pytest

from benchmarks import report


def test_the_table_of_the_readme_is_the_committed_results() -> None:
    readme = report.README.read_text()
    assert report.BEGIN in readme
    assert report.with_table(readme) == readme, "run python -m benchmarks.report"


@pytest.mark.parametrize("path", sorted(report.RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_every_result_names_its_command(path: Path) -> None:
    assert json.loads(path.read_text())["command"].startswith("python -m benchmarks.")

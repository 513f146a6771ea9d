"""Every lesson runs from top to bottom, asserts what it claims, stays short, and is where the library says it is."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
FRAMEWORKS = {"torch", "jax", "tensorflow", "autograd", "theano", "mxnet", "paddle"}
CODE_LINES = 180

# Runs the lesson named on the command line, then says which frameworks are there.
RUN = f"""
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
print("frameworks:", {FRAMEWORKS} & set(sys.modules))
"""

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def code_lines(path: Path) -> int:
    """Lines that hold code: no comments, no blank lines, no docstrings."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    with path.open() as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type not in skipped:
                lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def test_there_are_lessons() -> None:
    assert {"00_gradients_by_hand", "03_vae"} <= {lesson.stem for lesson in LESSONS}


@each_lesson
def test_runs(lesson: Path, tmp_path: Path) -> None:
    settings = {"MINIGEN_LESSON_STEPS": "10", "MINIGEN_LESSON_OUT": str(tmp_path), "MPLBACKEND": "Agg"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, str(lesson)],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "frameworks: set()"
    assert (tmp_path / f"{lesson.stem}.png").stat().st_size > 10_000
    assert re.search(r"\d\.\d", run.stdout), "a lesson ends with a number"


@each_lesson
def test_is_a_percent_script_of_text_and_code(lesson: Path) -> None:
    cells = re.split(r"^# %%", lesson.read_text(), flags=re.MULTILINE)
    assert cells[0] == ""
    assert cells[1].startswith(" [markdown]\n# # Lesson ")
    for cell in cells[1:]:
        kind, _, body = cell.partition("\n")
        assert kind in ("", " [markdown]")
        if kind:
            assert all(line.startswith("#") or not line for line in body.splitlines()), cell
        else:
            assert re.search(r"^[^#\s]", body, re.MULTILINE), "a code cell without code"


@each_lesson
def test_is_short_and_asserts(lesson: Path) -> None:
    assert code_lines(lesson) <= CODE_LINES
    asserts = [node for node in ast.walk(ast.parse(lesson.read_text())) if isinstance(node, ast.Assert)]
    assert len(asserts) >= 8


@each_lesson
def test_files_it_names_exist(lesson: Path) -> None:
    named = re.findall(r"`((?:minigen|kernels|lessons)/[\w./]+\.py)`", lesson.read_text())
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


def test_lessons_that_the_library_names_exist() -> None:
    """A lesson that exists is called by its name everywhere; the layers and the README name none that is yet to come."""
    by_number = {lesson.name[:2]: lesson.name for lesson in LESSONS}
    for source in [*(ROOT / "minigen").rglob("*.py"), *(ROOT / "kernels").rglob("*.py"), ROOT / "README.md"]:
        written = source.name == "README.md" or source.parent.name == "layers"
        for name, number in re.findall(r"lessons/((\d\d)_\w+\.py)", source.read_text()):
            assert by_number.get(number, "missing" if written else name) == name, f"{source}: lessons/{name}"


def test_a_failing_assertion_fails_the_run() -> None:
    """The run above would notice: a lesson whose library is wrong ends with an error."""
    broken = (
        "import runpy, sys; from minigen.layers.linear import Linear; true = Linear.forward\n"
        "Linear.forward = lambda self, x, **o: (true(self, x, **o)[0] + 1e-9, true(self, x, **o)[1])\n"
        "runpy.run_path(sys.argv[1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", broken, str(LESSONS[0])],
        cwd=ROOT,
        env={**os.environ, "MINIGEN_LESSON_STEPS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode != 0
    assert "AssertionError" in run.stderr

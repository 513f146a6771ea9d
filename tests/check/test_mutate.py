"""The mutator is run over everything: a survivor must be listed with its reason, and a listed one must survive."""

import ast
import tomllib
from pathlib import Path

import pytest

from minigen.check.mutate import main, run
from minigen.check.mutations import mutants
from minigen.check.targets import targets

LIST = Path(__file__).with_name("survivors.toml")


def listed():
    groups = tomllib.loads(LIST.read_text())["survivors"]
    assert all(len(group["reason"].split()) > 2 for group in groups)
    names = [mutant for group in groups for mutant in group["mutants"]]
    assert len(set(names)) == len(names)
    return set(names)


def test_survivors_are_the_listed_ones():
    found = run(processes=2)
    survivors = {one.id for one in found if not one.killed_by}
    known, existing = listed(), {one.id for one in found}
    fresh = sorted(survivors - known)
    assert not fresh, "no property notices these mistakes; write a case that does, or list them with a reason:\n" + "\n".join(
        fresh
    )
    gone = sorted(known - existing)
    assert not gone, "these mutants are listed in survivors.toml and exist no longer:\n" + "\n".join(gone)
    killed = sorted(known - survivors)
    assert not killed, "these mutants are listed as survivors and are killed now; take them off the list:\n" + "\n".join(killed)
    assert len(found) > 2000


def test_every_backward_of_every_case_is_a_target():
    names = {str(target) for target in targets()}
    for name in ("linear.Linear", "conv2d.Convolution", "batch_norm.BatchNorm", "softmax.Softmax", "composite.Composite"):
        for method in ("backward", "jvp", "backward_jvp"):
            assert f"layers.{name}.{method}" in names
    assert {"layers.elementwise.sigmoid", "layers.standardise.project", "losses.likelihood.gaussian_dot"} <= names


def mistakes(source):
    (function,) = ast.parse(source).body
    return [ast.unparse(mutant.function.body[-1]) for mutant in mutants(function)]


def test_mistakes_of_one_line():
    assert mistakes("def f(a, b):\n    return 2 * a + b") == [
        "return -(2 * a + b)",
        "return 2 * a",
        "return b",
        "return 2 * a - b",
        "return 2 + b",
        "return a + b",
        "return 2 / a + b",
        "return 1 * a + b",
    ]
    assert mistakes("def f(a, b):\n    a += b") == ["pass", "a = b", "a -= b"]
    assert mistakes("def f(a):\n    return g(a, axis=-1, keep=True)") == [
        *("return -g(a, axis=-1, keep=True)", "return g(a, keep=True)", "return g(a, axis=-1)"),
        *("return g(a, axis=1, keep=True)", "return g(a, axis=-1, keep=False)"),
    ]


def test_messages_are_left_alone():
    assert mistakes('def f(a):\n    """Text."""\n    if a > 1:\n        raise ValueError(f"{a + 1}")') == []


def test_command_line(capsys):
    assert main(["linear", "--processes", "1"]) == len([name for name in listed() if name.startswith("layers.linear.")])
    out = capsys.readouterr().out
    assert "layers.linear.Linear.backward" in out
    assert "mutants" in out


def test_a_class_is_as_good_a_name_as_its_file():
    assert targets(["Linear"]) == targets(["linear"]) != []


@pytest.mark.parametrize("name", ["nothing", "minigen/layers/linear.py", "GLU"])
def test_a_name_with_nothing_to_break_is_an_error(name, capsys):
    with pytest.raises(ValueError, match=r"layer_cases\.py\. There is .*linear"):
        run([name], processes=1)
    with pytest.raises(SystemExit) as stopped:
        main([name])
    assert stopped.value.code == 2
    assert "nothing to break" in capsys.readouterr().err

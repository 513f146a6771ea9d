"""Launches of a captured step are counted without running one."""

import pytest

from benchmarks import launches


@pytest.mark.parametrize(("name", "ours", "library"), [("vae", 35, 1), ("dcgan", 119, 12)])
def test_a_step_has_no_more_launches_than_it_had(name, ours, library):
    """Bias and activation ride along with every product, and a normalisation leaves the array library nothing."""
    counted, others, share = launches_of(name)
    assert "epilogue_finish" not in counted
    assert counted.total() <= ours
    assert others <= library
    assert share < 0.001


def launches_of(name):
    with launches.running_cuda():
        return launches.launches(name)


def test_the_table(capsys):
    launches.main(["vae"])
    head, row, *kernels = capsys.readouterr().out.splitlines()
    assert head.split() == ["step", "ours", "library", "share"]
    assert row.split()[0] == "vae"
    assert sum(int(line.split()[0]) for line in kernels) == int(row.split()[1])

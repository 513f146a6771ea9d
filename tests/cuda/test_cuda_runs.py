"""`minigen train --device cuda`: the CPU's curve, and the same bits again, captured and eager.

On a GPU (pytest -m gpu), and in fewer steps on the array that stands for CuPy's.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import pytest

from minigen import backend
from minigen.check.device_array import standing_for_cupy
from minigen.training import Run, loop


class Case(NamedTuple):
    """Data, a size at which the CPU stands in for a GPU (there it is the recipe's), and the steps whose terms are compared."""

    data: str
    small: dict[str, int]
    alike: int = 40


CASES = {
    "vae": Case("glyphs", {"hidden": 16, "latents": 4}),
    "ddpm": Case("ring8", {"width": 16}),
    "gan": Case("ring8", {"hidden": 16, "latents": 4}),
    # Its steps part what is nearly equal: two rungs of the CPU are 2e-7 apart after 3 steps, 2e-4 after 6, 1e-2 after 40.
    "dcgan": Case("glyphs", {"width": 2, "latents": 4}, alike=2),
}
# Of a term from the CPU's, relative to it where it is above 1. Random words are the same and normal numbers differ by 4e-6 at
# the most; products are added up in another order, which parts the CPU's own rungs by 2e-7 in the steps compared. The rest is
# for what Adam makes of it: where a gradient is rounding alone, its sign is, and the step is as long as any.
APART = 1e-4


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.gpu)], ids=["stand-in", "gpu"])
def there(request, monkeypatch):
    """Whether device "cuda" is a GPU."""
    monkeypatch.setattr(loop, "draw_curves", lambda *args, **kwargs: None)
    with nullcontext() if request.param else standing_for_cupy():
        yield request.param


def trained(name, out, there, device, eager=False):
    """The terms of every step, and the parameters at the end."""
    case = CASES[name]
    size = {"steps": 40, "batch": 32} if there else {"steps": 4, "batch": 8, "options": case.small}
    rows = {"rows": 600 if there else 40}
    run = Run.create(name, data=case.data, data_options=rows, device=device, out=out, **size)
    run.model.pictures = lambda batch, key: {}
    run.train(eager=eager)
    lines = map(json.loads, run.log.path.read_text().splitlines())
    terms = np.array([list(line["terms"].values()) for line in lines if line["kind"] == "train"])
    assert len(terms) == size["steps"]
    return terms, backend.to_device(run.model.theta, "cpu")


@pytest.mark.parametrize("name", CASES)
def test_a_run_has_the_cpus_curve_and_the_same_bits_again(there, name, tmp_path):
    curve, _ = trained(name, tmp_path / "cpu", there, "cpu")
    terms, theta = trained(name, tmp_path / "first", there, "cuda")
    assert terms.shape == curve.shape
    assert (np.abs(terms - curve) <= APART * np.maximum(1, np.abs(curve)))[: CASES[name].alike].all()
    for eager in (False, True):
        same_terms, same_theta = trained(name, tmp_path / f"again, {eager}", there, "cuda", eager)
        assert np.array_equal(same_terms, terms)
        assert np.array_equal(same_theta, theta)

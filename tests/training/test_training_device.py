"""`--device cuda` end to end, on the array that stands for CuPy's: the same curve, and checkpoints that move."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from minigen import models
from minigen.check.device_array import DEVICE, DeviceArray, standing_for_cupy, to_host
from minigen.check.proof import check_model
from minigen.kernels.cuda import on_cpu
from minigen.random import Key
from minigen.training import Run, RunError, evaluate, load_model, setup
from minigen.training.catalogue import draw_samples, evaluate_run
from minigen.training.evaluation import batch_of

needs_compiler = pytest.mark.skipif(on_cpu.compiler() is None, reason="CUDA kernels run on the CPU through g++: install it")


def curve(run):
    lines = map(json.loads, run.log.path.read_text().splitlines())
    return np.array([list(line["terms"].values()) for line in lines if line["kind"] == "train"])


@needs_compiler
def test_a_run_on_the_device_has_the_cpus_curve(make):
    here = make(steps=6)
    here.train()
    with standing_for_cupy():
        there = make(steps=6, out="there", device="cuda")
        assert type(there.model.theta) is DeviceArray
        assert type(next(there.batches).images) is DeviceArray
        there.batches.restore({**there.batches.cursor_state(), "epoch": 0, "position": 0})
        there.train()
        again = make(steps=6, out="again", device="cuda")
        again.train()
        assert evaluate_run(there.folder, None, None, "cuda").figures.rows == len(there.splits.test)
        assert "2 samples" in draw_samples(there.folder, 2, 0, None, device="cuda")
    assert curve(there).shape == curve(here).shape
    np.testing.assert_allclose(curve(there), curve(here), rtol=1e-5)
    assert (curve(again) == curve(there)).all()
    a, b = (load_model(run.folder).model.theta for run in (again, there))
    assert type(a) is np.ndarray
    assert (a == b).all()


@needs_compiler
@pytest.mark.parametrize(("first", "then"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_goes_on_on_the_other_device(make, first, then):
    whole = make(steps=6, out="whole")
    whole.train()
    with standing_for_cupy():
        half = make(steps=6, out="half", device=first)
        half.train(minutes=0)
        assert 0 < half.step < 6
        rest = Run.resume(half.folder, device=then)
        assert f"on {then} now, on {first} before: the same to rounding, not bit for bit" in rest.notes
        rest.train()
        assert json.loads((half.folder / "config.json").read_text())["device"] == then
        assert Run.resume(half.folder).settings.device == then
    assert (rest.step, rest.settings.device) == (6, then)
    np.testing.assert_allclose(curve(rest), curve(whole), rtol=1e-5)


def test_without_a_gpu_nothing_is_begun(make, monkeypatch, tmp_path):
    def missing():
        raise RuntimeError("device 'cuda' needs CuPy")

    def read(*_, **__):
        raise AssertionError("data were read")

    run = make(steps=2)
    run.train()
    monkeypatch.setattr(setup, "cupy", missing)
    monkeypatch.setattr(setup, "load_splits", read)
    for begin in (
        lambda: make(steps=2, out="other", device="cuda"),
        lambda: Run.resume(run.folder, device="cuda"),
        lambda: load_model(run.folder, device="cuda"),
    ):
        with pytest.raises(RunError, match="device 'cuda' needs CuPy"):
            begin()
    assert not (tmp_path / "other").exists()
    with pytest.raises(RunError, match="unknown device 'tpu': choose cpu or cuda"):
        load_model(run.folder, device="tpu")


# In CI the smallest of each family; minigen check --device cuda proves all of them.
@pytest.mark.parametrize("name", ["conditional_vae", "rbm"])
def test_a_proof_on_the_device(name):
    rows = check_model(name, device=DEVICE, rows=2)
    assert rows
    assert all(math.isfinite(row.rel_error) for row in rows)


def small(name, **given):
    cls = models.find(name)
    options = {key: value for key, value in {"hidden": 8, **given}.items() if key in cls.recipe.options}
    wanted = setup.Settings(name, "", 2, 4, 1e-3, 0, "cpu", {**cls.recipe.options, **options}, {}, 1, 1)
    data = "ring8" if "ring8" in cls.recipe.data else "glyphs"
    splits = setup.load_splits(data, None, {"rows": 20})
    return setup.build(cls, wanted, splits.train.shape), splits


@pytest.mark.parametrize("name", ["realnvp", "flow_matching", "ebm"])
def test_figures_of_a_model_on_the_device(name):
    """Each has parts that are worked out on the host; the values are the CPU's."""
    model, splits = small(name)
    found = []
    for device in ("cpu", DEVICE):
        twin = model.to(device)
        assert all((type(v) is DeviceArray) == (device == DEVICE) for v in twin.state.values())
        found.append(evaluate(twin, splits.test, np.arange(6), Key(3), device=device).values)
    if name == "realnvp":  # a map of its density is drawn on the host
        assert twin.pictures(batch_of(splits.test, np.arange(4), DEVICE), Key(1))
    assert found[0].keys() == found[1].keys()
    np.testing.assert_allclose(list(found[1].values()), list(found[0].values()), rtol=2e-4)


@pytest.mark.parametrize("name", ["autoencoder", "vae", "vae_gan", "conv_realnvp"])
def test_pictures_of_a_model_on_the_device(pictures, name):
    """A line between two codes and a map of the latents begin as numbers of the host; the pictures are the CPU's."""
    model, splits = small(name, latents=2, width=2)
    rows = np.arange(16)
    here = model.pictures(batch_of(splits.test, rows, "cpu"), Key(1))
    there = model.to(DEVICE).pictures(batch_of(splits.test, rows, DEVICE), Key(1))
    assert here.keys() == there.keys() > {"interpolation"}
    assert ("latent_map" in here) == (name == "vae")
    for picture, values in here.items():
        np.testing.assert_allclose(to_host(there[picture]), values, atol=1e-4, err_msg=picture)

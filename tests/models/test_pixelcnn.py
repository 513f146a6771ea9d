"""PixelCNN and gated PixelCNN: gradients, causality and reach by derivative, exact probabilities, streams."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import Batch, Dataset, load
from minigen.layers.masked_conv2d import raster
from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.labelled import Labelled
from minigen.models.pixelcnn import PixelCNN
from minigen.models.pixels import Levels
from minigen.random import Key
from minigen.training import Run, RunError, evaluate, load_model

SIZE = 8


def plain(shape=(SIZE, SIZE, 1), **options):
    return PixelCNN(shape, Key(0), np.float64, **{"width": 8, "layers": 2, **options})


def gated(shape=(SIZE, SIZE, 1), **options):
    return GatedPixelCNN(shape, Key(0), np.float64, **{"width": 4, "layers": 6, **options})


def images(n, levels=2, shape=(SIZE, SIZE, 1)):
    return Levels(levels).nearest(Key(1).uniform((n, *shape), np.float64))


VARIANTS = {
    "plain": lambda: plain(),
    "residual": lambda: plain(blocks="residual"),
    "grey": lambda: plain(levels=5),
    "gated": lambda: gated(layers=3, kernel=5),
    "conditional": lambda: gated(layers=2, classes=3),
    "grey and conditional": lambda: gated(layers=2, classes=3, levels=3),
}
each = pytest.mark.parametrize("make", VARIANTS.values(), ids=VARIANTS)


def batch_for(model, n):
    x = images(n, model.levels.K, model.shape)
    return Labelled(x, np.arange(n) % model.classes) if model.classes else x


@each
def test_every_gradient_is_proved(make):
    model = make()
    rows = prove(model, batch_for(model, 3), Key(2))
    assert max(row.rel_error for row in rows if row.method == "complex step") <= 1e-9


# ---- what a pixel's logits depend on


def sees(model, i, j):
    """The pixels on which the logits of (i, j) depend, by the derivative at several images: (H, W) booleans."""
    x = Key(3).normal((6, *model.shape), np.float64)
    y, cache = model.net.forward(x)
    dy = np.zeros_like(y)
    dy[:, i, j] = Key(4).normal(dy[:, i, j].shape, np.float64)
    return np.abs(model.net.backward(dy, cache, param_grads=False)).sum((0, 3)) > 0


def earlier(i, j):
    return np.arange(SIZE * SIZE).reshape(SIZE, SIZE) < i * SIZE + j


@pytest.mark.parametrize("at", [(0, 0), (0, 5), (4, 1), (7, 0), (7, 7)])
def test_the_gated_network_sees_all_pixels_before_and_no_other(at):
    assert (sees(gated(), *at) == earlier(*at)).all()


def test_a_class_is_seen_at_every_pixel_and_changes_no_causality():
    model = gated(width=16, layers=2, classes=3)
    x = images(2)
    y = [model.net.forward((x, np.full(2, label)))[0] for label in range(3)]
    assert (np.abs(y[0] - y[1]) > 0).all()
    assert (np.abs(y[1] - y[2]) > 0).all()


@pytest.mark.parametrize("blocks", ["plain", "residual"])
@pytest.mark.parametrize("at", [(0, 0), (4, 1), (7, 0), (7, 7)])
def test_the_plain_network_sees_what_paths_of_masks_reach(at, blocks):
    """One tap of A, then up to six of B, in any order that ends with A: all those, none later, and not all of the past."""
    reached = {at}
    for _ in range(6):
        reached |= {(i + r, j + s) for (i, j), (r, s) in product(reached, raster("B", 3))}
    reached = {(i + r, j + s) for (i, j), (r, s) in product(reached, raster("A", 7))}
    expected = np.zeros((SIZE, SIZE), bool)
    for i, j in reached:
        if 0 <= i < SIZE and 0 <= j < SIZE:
            expected[i, j] = True
    seen = sees(plain(width=16, layers=6, blocks=blocks), *at)
    assert (seen == expected).all()
    assert not (seen & ~earlier(*at)).any()


def test_the_plain_network_has_a_blind_spot_and_the_gated_one_has_none():
    blind = earlier(4, 1) & ~sees(plain(width=16, layers=6), 4, 1)
    assert np.argwhere(blind).tolist() == [[1, 7], [2, 6], [2, 7], [3, 5], [3, 6], [3, 7]]  # a wedge up and to the right
    assert not (earlier(4, 1) & ~sees(gated(), 4, 1)).any()


# ---- probabilities


@each
def test_the_probabilities_of_all_images_sum_to_one(make):
    small = {"plain": (2, 3, 1), "grey": (2, 2, 1)}
    model = make()
    shape = small["grey" if model.levels.K > 2 else "plain"]
    model.shape = shape
    every = np.array(list(product(range(model.levels.K), repeat=shape[0] * shape[1])), np.float64)
    x = (every / (model.levels.K - 1)).reshape(-1, *shape)
    for label in range(max(1, model.classes)):
        batch = Labelled(x, np.full(len(x), label)) if model.classes else x
        assert np.exp(model.log_likelihood(batch)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("make", [plain, gated, lambda shape: gated(shape, levels=3)], ids=["plain", "gated", "grey"])
def test_samples_come_as_often_as_their_probability_says(make):
    """2 x 2 pixels: chi squared of 20,000 samples over all images."""
    model = make((2, 2, 1))
    model.theta += 0.7 * Key(5).normal(model.theta.shape, np.float64)
    K, n = model.levels.K, 20_000
    drawn = Counter(map(tuple, np.rint(model.sample(n, Key(6)).reshape(n, 4) * (K - 1)).astype(int).tolist()))
    every = list(product(range(K), repeat=4))
    p = np.exp(model.log_likelihood((np.array(every) / (K - 1)).reshape(-1, 2, 2, 1)))
    expected, seen = n * p, np.array([drawn[one] for one in every])
    chi2, freedom = ((seen - expected) ** 2 / expected).sum(), len(every) - 1
    assert p.max() > 2 * p.min()
    assert chi2 < freedom + 5 * np.sqrt(2 * freedom)


@each
def test_evaluate_is_the_exact_likelihood(make):
    model = make()
    batch = batch_for(model, 5)
    assert model.evaluate(batch, Key(0)) == {"nll": pytest.approx(-model.log_likelihood(batch).mean(), rel=1e-12)}


# ---- sampling


@each
def test_the_logits_met_while_sampling_are_those_of_the_sample(make):
    model = make()
    drawn, met = model.draw(6, Key(7))
    labels = np.arange(6) % model.classes if model.classes else None
    parallel, _ = model.net.forward((drawn, labels) if model.classes else drawn)
    assert len(np.unique(drawn)) == model.levels.K
    assert np.abs(met - parallel).max() <= 1e-13


@pytest.mark.parametrize("make", [plain, gated])
def test_the_memory_of_a_stream_does_not_grow(make, monkeypatch):
    """What is held at the end of every row, once the taps reach no further up: the same number of bytes."""
    memories, model = [], make((16, 6, 1))
    for net in {id(net): net for net in (model.net, *vars(model.net).values())}.values():
        if hasattr(net, "stream"):
            monkeypatch.setattr(net, "stream", lambda *at, make=net.stream: memories.append(make(*at)) or memories[-1])
    predict = model.predictor(3, None)
    held = []
    for i, j in np.ndindex(16, 6):
        predict(images(3, 2, (16, 6, 1)), i, j)
        held.append(sum(map(size, memories)))
    assert held[4 * 6 :] == [held[-1]] * (12 * 6)
    assert held[-1] > 0


def size(memory):
    """The bytes of all arrays in a memory."""
    if isinstance(memory, np.ndarray):
        return memory.nbytes
    parts = memory.values() if isinstance(memory, dict) else memory if isinstance(memory, list) else None
    if parts is None:
        parts = vars(memory).values() if hasattr(memory, "__dict__") else ()
    return sum(map(size, parts))


@pytest.mark.parametrize("make", [plain, gated])
def test_a_completion_keeps_what_is_given_and_continues_it(make):
    model = make()
    x = images(4)
    completed, met = model.draw(4, Key(8), given=x, rows=3)
    assert (completed[:, :3] == x[:, :3]).all()
    assert (completed[:, 3:] != x[:, 3:]).any()
    assert np.abs(met - model.net.forward(completed)[0]).max() <= 1e-13
    assert (model.complete(x, 3, Key(8)) == completed).all()


def test_a_model_with_classes_samples_them_in_turn_or_as_asked():
    model = gated(layers=2, classes=3)
    same = model.draw(6, Key(9), labels=np.array([0, 1, 2, 0, 1, 2]))[0]
    assert (model.sample(6, Key(9)) == same).all()
    assert (model.draw(6, Key(9), labels=np.array([2, 2, 2, 2, 2, 2]))[0] != same).any()


# ---- levels, data, runs


def test_pixels_become_the_nearest_level():
    grey = np.arange(256, dtype=np.float32) / np.float32(255)
    assert (Levels(2).nearest(grey) == (np.arange(256) > 127)).all()
    assert (Levels(256).nearest(grey) == grey).all()
    for K in (2, 3, 7, 256):
        once = Levels(K).nearest(grey)
        assert len(np.unique(once)) == K
        assert (Levels(K).nearest(once) == once).all()


def test_what_it_cannot_model_is_refused():
    with pytest.raises(ValueError, match=r"pixelcnn models grey images, \(H, W, 1\), and these are \(8, 8, 3\)"):
        plain((8, 8, 3))
    with pytest.raises(ValueError, match="levels=1: a pixel has 2 to 256 levels"):
        gated(levels=1)
    with pytest.raises(ValueError, match="blocks='dense': blocks are 'plain' or 'residual'"):
        plain(blocks="dense")
    for wrong in ((), (2, 0)):
        with pytest.raises(ValueError, match="they are used in turn, so at least one, and each at least 1"):
            gated(dilations=wrong)
    with pytest.raises(ValueError, match="learns from labels, and these rows have none"):
        gated(classes=2).batch_of(Batch(images(3), None, np.arange(3)))


def test_a_run_learns_glyphs_draws_them_and_comes_back(tmp_path):
    data = tuple(load("glyphs", split, size=16, characters="17", rows=rows) for split, rows in (("train", 300), ("test", 64)))
    options = {"width": 8, "layers": 3, "classes": 10}
    run = Run.create(GatedPixelCNN, data=data, out=tmp_path / "run", steps=40, batch=16, rate=1e-2, options=options)
    figures = run.train(progress=False).figures
    assert figures.values["nll"] < 0.5 * 16 * 16 * np.log(2)
    model, _, step, _ = load_model(tmp_path / "run")
    assert step == 40
    assert evaluate(model, data[1], np.arange(64), Key(0)).values["nll"] == pytest.approx(figures.values["nll"])
    assert {path.name.partition("-")[0] for path in (tmp_path / "run" / "samples").glob("*.png")} == {"samples", "completions"}
    bare = tuple(Dataset("photos", split.images) for split in data)
    with pytest.raises(RunError, match="gated_pixelcnn learns from labels, and photos has none"):
        Run.create(GatedPixelCNN, data=bare, out=tmp_path / "other", options=options)


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path):
    given = {"batch": 4, "options": {"width": 4, "layers": 2}, "data_options": {"rows": 40, "size": 16}}
    Run.create(GatedPixelCNN, data="glyphs", out=tmp_path / "whole", steps=5, **given).train(progress=False)
    Run.create(GatedPixelCNN, data="glyphs", out=tmp_path / "half", steps=5, **given).train(minutes=0, progress=False)
    resumed = Run.resume(tmp_path / "half")
    assert 0 < resumed.step < 5
    resumed.train(progress=False)
    whole, half = (load_model(tmp_path / name).model for name in ("whole", "half"))
    assert np.array_equal(whole.theta, half.theta)

"""The classifier: its gradient, what it learns, and what it says to data without labels."""

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import Batch, Batches, Dataset, load
from minigen.models.classifier import Classifier
from minigen.random import Key
from minigen.training import Run, RunError, evaluate, load_model

SMALL = {"width": 8, "features": 32}


@pytest.fixture(scope="module")
def glyphs():
    return load("glyphs", size=16, characters="0147", rows=800), load("glyphs", "test", size=16, characters="0147", rows=200)


def first(data, rows, dtype=np.float32):
    return next(Batches(data, rows, Key(1), dtype=dtype))


def test_every_gradient_is_proved(glyphs):
    model = Classifier(glyphs[0].shape, Key(0), np.float64, width=3, features=6)
    rows = prove(model, model.batch_of(first(glyphs[0], 5, np.float64)), Key(2))
    assert {row.objective for row in rows} == {"cross_entropy"}
    assert max(row.rel_error for row in rows if row.method == "complex step") <= 1e-9


def test_it_learns_glyphs_and_a_run_gives_it_back(glyphs, tmp_path):
    run = Run.create(Classifier, data=glyphs, out=tmp_path / "run", steps=120, batch=32, rate=5e-3, options=SMALL)
    figures = run.train(progress=False).figures
    assert figures.values["accuracy"] > 0.9
    model, _, step, shape = load_model(tmp_path / "run")
    assert (step, shape) == (120, (16, 16, 1))
    x = glyphs[1].batch(np.arange(200))
    assert (model.predict(x) == glyphs[1].labels).mean() == pytest.approx(figures.values["accuracy"])
    assert next((tmp_path / "run" / "samples").glob("hardest_first-*.png"))


def test_what_it_says_of_an_image_does_not_depend_on_the_others(glyphs):
    model = Classifier(glyphs[0].shape, Key(0), np.float64, **SMALL)
    x = glyphs[0].batch(np.arange(600), np.float64)
    p = model.probabilities(x)
    assert p.shape == (600, 10)
    assert model.features(x).shape == (600, 32)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(p[300:310], model.probabilities(x[300:310]), rtol=1e-9)
    assert model.predict(x[:0]).shape == (0,)


def test_accuracy_counts_the_rows_that_are_right(glyphs):
    model = Classifier(glyphs[0].shape, Key(0), **SMALL)
    x = glyphs[1].batch(np.arange(200))
    data = Dataset("guessed", x, np.where(np.arange(200) < 150, model.predict(x), (model.predict(x) + 1) % 10))
    assert evaluate(model, data, np.arange(200), Key(0)).values["accuracy"] == pytest.approx(0.75)


def test_data_without_labels_is_refused_before_the_run(glyphs, tmp_path):
    bare = tuple(Dataset("photos", data.images) for data in glyphs)
    with pytest.raises(RunError, match="classifier learns from labels, and photos has none"):
        Run.create(Classifier, data=bare, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    model = Classifier(glyphs[0].shape, Key(0), **SMALL)
    with pytest.raises(ValueError, match="learns from labels, and these rows have none"):
        model.batch_of(Batch(bare[0].batch(np.arange(3)), None, np.arange(3)))


def test_more_classes_than_it_is_for_are_refused(glyphs, tmp_path):
    with pytest.raises(RunError, match=r"glyphs has 4 classes, and classifier is for 3: use --set classes=4"):
        Run.create(Classifier, data=glyphs, out=tmp_path / "run", options={"classes": 3})
    model = Classifier(glyphs[0].shape, Key(0), classes=3, **SMALL)
    with pytest.raises(ValueError, match=r"made for classes 0 \.\. 2, and a label here is 3"):
        model.batch_of(first(glyphs[0], 50))


def test_images_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(ValueError, match=r"multiples of 4; got \(30, 28, 1\)"):
        Classifier((30, 28, 1), Key(0))

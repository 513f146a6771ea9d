"""The conditional GAN: its gradients, that labels reach both players, and that G does as it is asked."""

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import Batch, Batches, Dataset, load
from minigen.metrics.health import health
from minigen.models.conditional_gan import ConditionalGAN
from minigen.random import Key
from minigen.training import Run, RunError

WAYS = pytest.mark.parametrize("projection", [True, False], ids=["projection", "channel"])


@pytest.fixture(scope="module")
def glyphs():
    return load("glyphs", size=16, rows=64)


def make(shape=(16, 16, 1), dtype=np.float64, **options):
    return ConditionalGAN(shape, Key(0), dtype, **{"latents": 5, "width": 3, **options})


def batch_for(model, data, rows=4):
    return model.batch_of(next(Batches(data, rows, Key(1), dtype=model.dtype)))


@pytest.mark.parametrize(
    ("projection", "game"),
    [(True, "non_saturating"), (False, "non_saturating"), (True, "hinge"), (True, "wasserstein"), (False, "least_squares")],
)
def test_every_gradient_is_proved(glyphs, projection, game):
    model = make(projection=projection, game=game)
    rows = prove(model, batch_for(model, glyphs), Key(2))
    assert {row.objective for row in rows} == {"discriminator", "generator"}
    assert max(row.rel_error for row in rows if row.method == "complex step") <= 1e-9
    assert any(row.parameter == "generator.label.E" for row in rows)


def test_the_projection_is_an_inner_product_with_the_features(glyphs):
    model = make()
    D, (x, y) = model.discriminator, batch_for(model, glyphs)
    h = D.trunk.forward(x)[0]
    expected = [[h[i] @ D.out.params["W"][:, 0] + D.out.params["b"][0] + h[i] @ D.label.params["E"][y[i]]] for i in range(4)]
    np.testing.assert_allclose(D.forward((x, y))[0], expected, rtol=1e-12)


@WAYS
def test_both_players_see_the_label(glyphs, projection):
    model = make(projection=projection)
    x, y = batch_for(model, glyphs)
    other = (y + 1) % 10
    z = model.latent(4, Key(3))
    for net, argument in ((model.generator, z), (model.discriminator, x)):
        told, otherwise = (net.forward((argument, labels))[0] for labels in (y, other))
        assert np.abs(told - otherwise).max(axis=tuple(range(1, told.ndim))).min() > 1e-4


@WAYS
def test_a_turn_moves_one_player_and_holds_the_other(glyphs, projection):
    model = make(projection=projection)
    model.start(1e-3, 10)
    batch = batch_for(model, glyphs)
    before = model.vector.views(model.theta.copy())
    model.optimizers["g"].step = lambda: None
    terms = model.step(batch, Key(4))
    assert set(terms) == {"real", "fake", "generator"}
    after = model.vector.views(model.theta)
    moved = {name for name in after if not np.array_equal(after[name], before[name])}
    assert moved == {name for name in after if name.startswith("discriminator.")}


@WAYS
def test_g_does_as_it_is_asked(projection):
    """Class 0 is dark, class 1 bright; after a short game so are the samples."""
    labels = np.arange(400) % 2
    images = np.clip(np.where(labels, 0.8, 0.2)[:, None, None, None] + 0.1 * Key(5).normal((400, 8, 8, 1)), 0, 1)
    model = make((8, 8, 1), np.float32, classes=2, projection=projection)
    model.start(1e-3, 60)
    for i, batch in zip(range(60), Batches(Dataset("shades", images, labels), 32, Key(6)), strict=False):
        model.step(model.batch_of(batch), Key(7).at(i))
    asked = np.arange(100) % 2
    got = model.sample_class(asked, Key(8)).mean((1, 2, 3))
    assert ((got > 0.5) == asked).mean() >= 0.95


def test_samples_come_in_the_order_of_the_classes(glyphs):
    model = make()
    images = model.sample(20, Key(9))
    np.testing.assert_array_equal(images, model.sample_class(np.repeat(np.arange(10), 2), Key(9)))
    assert images.min() >= 0
    assert images.max() <= 1
    pictures = model.pictures(None, Key(9))
    assert {name: grid.shape for name, grid in pictures.items()} == {
        "samples": (10, 8, 16, 16, 1),
        "between": (10, 8, 16, 16, 1),
    }
    np.testing.assert_allclose(pictures["samples"][3], model.sample_at(model.latent(8, Key(9)), 3))


def test_the_verdict_compares_real_rows_with_fakes_of_their_classes(glyphs):
    model, key = make(), Key(7)
    batch = batch_for(model, glyphs, rows=24)
    given = model.health(batch, key)
    np.testing.assert_allclose(given["fake"], 2 * model.sample_class(batch.labels, key) - 1, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(given["fake_logits"], model.discriminator.forward((given["fake"], batch.labels))[0])
    found = health(**given)
    assert 0 <= found.told_apart <= 1
    assert found.diversity > 0


def test_the_way_between_two_classes_begins_and_ends_there():
    model = make()
    z = model.latent(1, Key(10))
    way = model.between(2, 7, z[0], 5)
    np.testing.assert_allclose(way[0], model.sample_at(z, 2)[0], rtol=1e-12)
    np.testing.assert_allclose(way[-1], model.sample_at(z, 7)[0], rtol=1e-12)
    e = model.embed(np.array([2, 7]))
    np.testing.assert_allclose(way[2], model.generate_at(z, e.mean(0, keepdims=True))[0], rtol=1e-12)


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"has classes 0 \.\. 9, and was asked for 10 \.\. 10"):
        make().sample_class([10], Key(0))


def test_data_without_labels_is_refused(glyphs, tmp_path):
    bare = Dataset("photos", glyphs.images)
    with pytest.raises(RunError, match="conditional_gan learns from labels, and photos has none"):
        Run.create(ConditionalGAN, data=(bare, bare), out=tmp_path / "run")
    with pytest.raises(ValueError, match="learns from labels, and these rows have none"):
        make().batch_of(Batch(bare.batch(np.arange(3)), None, np.arange(3)))


@pytest.mark.parametrize("name", ["dcgan", "conditional_gan"])
def test_colour_images_of_32_pixels(name, tmp_path):
    options = {"size": 32, "rows": 32}
    run = Run.create(name, data="glyphs_colour", data_options=options, out=tmp_path / "run", steps=2, batch=16)
    run.train(progress=False)
    assert run.model.sample(3, Key(0)).shape == (3, 32, 32, 3)
    assert next((tmp_path / "run" / "samples").glob("samples-000002.png"))

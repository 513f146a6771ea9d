"""The autoencoders: proved gradients, what they compute, what they learn, and what they are used for."""

import numpy as np
import pytest

from minigen import models
from minigen.check import prove
from minigen.data import Batches, DataError, Dataset, Redrawn, load
from minigen.metrics.pca import PCA, principal_angles
from minigen.models.autoencoder import Autoencoder
from minigen.models.conv_autoencoder import ConvAutoencoder
from minigen.models.denoising_autoencoder import CORRUPTIONS, DenoisingAutoencoder
from minigen.models.latent import code_of, direction, moved
from minigen.models.vae import VAE
from minigen.random import Key
from minigen.training import RunError, train, uses
from minigen.training.uses import use_run, use_table

key = Key(3)
SMALL = {
    "dense": (Autoencoder, (5, 4, 1), {"codes": 3}),
    "deep": (Autoencoder, (5, 4, 1), {"codes": 3, "hidden": 6}),
    "linear": (Autoencoder, (5, 4, 1), {"codes": 3, "linear": True}),
    "grey": (ConvAutoencoder, (8, 8, 1), {"codes": 4, "hidden": 3}),
    "colour": (ConvAutoencoder, (8, 12, 3), {"codes": 4, "hidden": 3}),
    **{noise: (DenoisingAutoencoder, (5, 4, 1), {"codes": 3, "hidden": 6, "noise": noise}) for noise in CORRUPTIONS},
}


def make(name, dtype=np.float64):
    cls, shape, options = SMALL[name]
    return cls(shape, key.at("model"), dtype, **options), key.at("x").uniform((5, *shape), dtype)


@pytest.mark.parametrize("name", SMALL)
def test_every_gradient_is_proved(name):
    model, x = make(name)
    rows = prove(model, x, key.at("proof"))
    assert max(row.rel_error for row in rows if row.method == "complex step") < 1e-12


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_is_the_summed_squared_error_against_the_clean_image(name):
    model, x = make(name)
    (objective,) = model.objectives
    noise = objective.draw(model, x, key.at("noise"))
    terms, _ = objective(model, x, noise)
    by_hand = ((model.reconstruct(noise.corrupted) - x) ** 2).sum() / len(x)
    assert terms["squared_error"] == pytest.approx(by_hand, rel=1e-12)
    assert model.encode(x).shape == (5, model.codes)
    assert model.interpolate(x[0], x[1], 7).shape == (7, *x.shape[1:])
    np.testing.assert_allclose(model.interpolate(x[0], x[1], 3)[[0, 2]], model.reconstruct(x[:2]), rtol=1e-12)


def test_names_recipes_and_data():
    for name in ("autoencoder", "conv_autoencoder", "denoising_autoencoder"):
        cls = models.find(name)
        recipe = cls.recipe
        model = cls((28, 28, 1), key, **recipe.options)
        assert tuple(objective.name for objective in model.objectives) == recipe.objectives
        assert recipe.data[0] == "glyphs"
    assert "glyphs_colour" in ConvAutoencoder.recipe.data


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="multiples of 4"):
        ConvAutoencoder((28, 30, 1), key)
    with pytest.raises(ValueError, match="choose masking, gaussian, salt_and_pepper"):
        DenoisingAutoencoder((4, 4, 1), key, noise="rain")
    with pytest.raises(ValueError, match="a probability"):
        DenoisingAutoencoder((4, 4, 1), key, amount=1.5)


# ---- noise


def test_noises_have_their_distributions():
    x = np.full((50, 40, 40, 1), 0.25, np.float32)
    masked = CORRUPTIONS["masking"](x, 0.3, key.at("m"))
    assert set(np.unique(masked)) == {0, np.float32(0.25)}
    assert (masked == 0).mean() == pytest.approx(0.3, abs=0.01)
    grainy = CORRUPTIONS["gaussian"](x, 0.3, key.at("g")) - x
    assert grainy.mean() == pytest.approx(0, abs=0.005)
    assert grainy.std() == pytest.approx(0.3, rel=0.01)
    salted = CORRUPTIONS["salt_and_pepper"](x, 0.3, key.at("s"))
    assert [(salted == v).mean() for v in (0, 1, 0.25)] == pytest.approx([0.15, 0.15, 0.7], abs=0.01)
    for noise in CORRUPTIONS.values():
        assert noise(x, 0.3, key).dtype == np.float32
        assert (noise(x, 0.3, key) == noise(x, 0.3, key)).all()
        np.testing.assert_allclose(noise(x, 0.0, key), x)


# ---- what is learned


def separated(n=400, P=20):
    """Rows in P dimensions, centred anywhere, whose variances fall fast."""
    basis = np.linalg.qr(key.at("basis").normal((P, P), np.float64))[0]
    z = key.at("z").normal((n, P), np.float64) * np.array([1.0, 0.8, 0.6] + [0.1] * (P - 3))
    return 0.5 + z @ basis.T


def test_a_linear_autoencoder_finds_the_subspace_of_pca():
    """Baldi and Hornik 1989: the global minimum, and the only one, is the space of the leading principal components."""
    x = separated()
    model = Autoencoder((20,), key.at("linear"), np.float64, codes=3, linear=True)
    model.start(0.02, 1500)
    for i in range(1500):
        model.step(x, key.at(i))
    pca = PCA.fit(x, 3)
    assert principal_angles(pca.components, model.decoder["linear1"].params["W"]).max() < 1e-3
    ours, best = (((f(x) - x) ** 2).sum(1).mean() for f in (model.reconstruct, pca.reconstruct))
    assert best <= ours < best * (1 + 1e-4)


@pytest.mark.parametrize("chosen", [[0, 1, 2], [0, 1, 3]])
def test_principal_components_are_stationary_and_the_wrong_ones_a_saddle(chosen):
    x = separated()
    pca = PCA.fit(x, 4)
    Q = pca.components[chosen]
    model = Autoencoder((20,), key, np.float64, codes=3, linear=True)
    values = {
        "encoder.linear1.W": Q.T,
        "encoder.linear1.b": -Q @ pca.mean,
        "decoder.linear1.W": Q,
        "decoder.linear1.b": pca.mean,
    }
    for name, view in model.vector.views(model.theta).items():
        view[...] = values[name]
    (objective,) = model.objectives
    noise = objective.draw(model, x, key)
    loss = objective(model, x, noise)[0]["squared_error"]
    assert np.abs(model.grad).max() < 1e-12
    # Turn the last component towards the one that was left out: down from a saddle, up from the minimum.
    other = pca.components[({0, 1, 2, 3} - set(chosen)).pop()]
    turned = np.vstack((Q[:2], np.cos(0.1) * Q[2] + np.sin(0.1) * other))
    model.decoder["linear1"].params["W"][...] = turned
    model.encoder["linear1"].params["W"][...] = turned.T
    model.encoder["linear1"].params["b"][...] = -turned @ pca.mean
    model.vector.raised([slice(0, len(model.theta))])
    change = objective(model, x, noise)[0]["squared_error"] - loss
    assert change > 0 if chosen == [0, 1, 2] else change < 0


def test_it_learns_a_few_glyphs_and_a_denoiser_removes_noise():
    data = load("glyphs", rows=64)
    x = data.batch(np.arange(64))
    for cls, options in ((Autoencoder, {"codes": 32}), (DenoisingAutoencoder, {"codes": 32, "hidden": 64})):
        model = cls(data.shape, key.at("model"), **options)
        model.start(5e-3, 200)
        before = model.evaluate(x, key.at("evaluate"))
        for i in range(200):
            model.step(x, key.at(i))
        after = model.evaluate(x, key.at("evaluate"))
        if cls is Autoencoder:
            assert after["squared_error"] < 0.2 * before["squared_error"]
            assert after["per_pixel"] == pytest.approx(((model.reconstruct(x) - x) ** 2).mean(), rel=1e-5)
        else:
            assert after["denoised_psnr"] > after["noisy_psnr"] + 2
            assert after["noisy_psnr"] == before["noisy_psnr"]
        pictures = model.pictures(Batches(data, 16, key).__next__(), key)
        rows = 4 if cls is Autoencoder else 6
        assert pictures["reconstructions"].shape == (rows, 8, 28, 28, 1)
        assert pictures["interpolation"].shape == (8, 8, 28, 28, 1)


def test_codes_can_be_calculated_with():
    x = key.at("x").uniform((6, 4, 4, 1))
    for model in (Autoencoder((4, 4, 1), key, codes=3), VAE((4, 4, 1), key, hidden=5, latents=3)):
        along = direction(model, x[:3], x[3:])
        np.testing.assert_allclose(along, code_of(model, x[:3]).mean(0) - code_of(model, x[3:]).mean(0))
        images = moved(model, x, along, np.array([0.0, 1.0]))
        assert images.shape == (6, 2, 4, 4, 1)
        np.testing.assert_allclose(images[:, 0], model.reconstruct(x), atol=1e-6)
        np.testing.assert_allclose(images[:, 1], model.decode(code_of(model, x) + along), atol=1e-6)
    with pytest.raises(ValueError, match="both sides"):
        direction(model, x[:0], x)


# ---- data by class, and the uses


def test_data_by_class():
    data = load("glyphs", rows=200, only="3,5")
    assert set(data.labels.tolist()) == {3, 5}
    assert set(data.factors["character"].tolist()) == {3, 5}
    whole = load("glyphs", rows=200)
    assert (data.images == whole.images[whole.of_class("3", "5")]).all()
    assert len(load("glyphs", rows=200, only=3)) == whole.of_class("3").sum()  # a number, as the command line makes of 3
    anew = Redrawn("anew", whole.images, whole.labels, classes=whole.classes, draw=lambda epoch: whole.images + np.uint8(epoch))
    kept = anew.at(anew.of_class("3"))
    assert (kept.in_epoch(2).images == kept.images + np.uint8(2)).all()
    assert len(kept.in_epoch(2)) == len(kept) == whole.of_class("3").sum()
    with pytest.raises(DataError, match="no class 'x'"):
        load("glyphs", rows=20, only="x")
    with pytest.raises(DataError, match="no classes"):
        Dataset("plain", np.zeros((3, 2))).of_class("3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A short run on one digit."""
    out = tmp_path_factory.mktemp("runs") / "three"
    options = {"codes": 4, "hidden": 32}
    train("autoencoder", steps=200, batch=32, rate=5e-3, options=options, data_options={"rows": 800, "only": 3}, out=out)
    return out


@pytest.mark.parametrize("what", ["anomaly", "compress", "denoise", "interpolate"])
def test_uses_give_figures_and_a_picture(folder, what):
    found = use_run(what, folder)
    assert found.file == folder / f"{what}.png"
    assert found.file.stat().st_size > 1000
    assert all(np.isfinite(value) for row in found.rows for value in row.values() if isinstance(value, float))
    assert found.rows == use_run(what, folder).rows
    assert str(found.file) in use_table(found)


def test_anomaly_ranks_what_it_was_not_trained_on(folder, monkeypatch):
    scores = [row["auroc_percent"] for row in use_run("anomaly", folder).rows]
    assert min(scores) > 75
    few = {"glyphs_letters": {"rows": 40}}
    monkeypatch.setattr(uses, "load", lambda name, split, **options: load(name, split, **options, **few.get(name, {})))
    other = use_run("anomaly", folder, data="glyphs_letters")
    assert other.rows[0]["score"].startswith("autoencoder")


def test_arithmetic_between_halves_of_a_factor_and_mistakes(folder):
    assert use_run("arithmetic", folder, between="size").rows[0]["auroc_percent_along_it"] > 60
    for between, says in (("rain", "a factor of glyphs"), ("3:8", "one side has no images")):
        with pytest.raises(RunError, match=says):
            use_run("arithmetic", folder, between=between)
    with pytest.raises(RunError, match="unknown noise 'rain'"):
        use_run("denoise", folder, noise="rain")

"""GANs: every game's gradients proved, whom each turn moves, points and images, and how the minimax gradient vanishes."""

import numpy as np
import pytest

from minigen.check import prove
from minigen.data.densities import density
from minigen.losses.adversarial import GAMES
from minigen.metrics.health import health
from minigen.models.dcgan import DCGAN
from minigen.models.gan import GAN, GeneratorLoss
from minigen.models.unrolled_gan import UnrolledGAN, UnrolledGeneratorLoss
from minigen.random import Key

KEY = Key(0)
POINTS = 3 * KEY.at("points").normal((7, 2), np.float64)
IMAGES = 2 * KEY.at("images").uniform((4, 8, 8, 1), np.float64) - 1


def points_gan(cls=GAN, dtype=np.float64, size=1.0, **options):
    """A small one; `size` multiplies its parameters, and so its logits."""
    model = cls((2,), KEY.at("model"), dtype, latents=3, hidden=6, **options)
    model.theta *= size
    return model


# ---- proofs


@pytest.mark.parametrize("game", GAMES)
def test_every_game_is_proved_at_logits_on_both_sides_of_its_kinks(game):
    model = points_gan(game=game, size=2.0)
    model.discriminator.out.params["b"][...] = 0.4
    real, fake = model.discriminator.forward(POINTS)[0], model.health(POINTS, KEY.at("fake"))["fake_logits"]
    if game == "hinge":
        assert 0 < (real < 1).sum() < len(real), real
        assert (fake > -1).any()
    prove(model, POINTS, KEY.at("proof"))


@pytest.mark.parametrize("options", [{"smoothing": 0.1}, {"matching": True}, {"minibatch": 3}], ids=lambda o: next(iter(o)))
def test_the_options_are_proved(options):
    prove(points_gan(**options), POINTS, KEY.at("proof"))
    prove(GAN((4, 4, 1), KEY, np.float64, latents=3, hidden=5, **options), IMAGES[:, :4, :4], KEY.at("proof"))


@pytest.mark.parametrize("options", [{}, {"matching": True}, {"minibatch": 2}], ids=str)
def test_dcgan_is_proved_with_its_batch_normalisations(options):
    prove(DCGAN((8, 8, 1), KEY.at("model"), np.float64, latents=5, width=3, **options), IMAGES, KEY.at("proof"))


@pytest.mark.parametrize("game", ["non_saturating", "minimax", "least_squares"])
@pytest.mark.parametrize("steps", [1, 3])
def test_unrolling_is_proved(game, steps):
    prove(points_gan(UnrolledGAN, game=game, unroll=steps), POINTS, KEY.at("proof"), objectives=["generator"])


def test_unrolling_is_proved_through_minibatch_discrimination_and_batch_normalisation():
    prove(points_gan(UnrolledGAN, unroll=2, minibatch=2), POINTS, KEY.at("proof"))

    class Unrolled(DCGAN):
        def play(self, name, smoothing=0.0, matching=False):
            super().play(name)
            self.objectives = (self.objectives[0], UnrolledGeneratorLoss(self.objectives[0].game, 2, 0.1))

    prove(Unrolled((8, 8, 1), KEY, np.float64, latents=4, width=2), IMAGES, KEY.at("proof"))


def moved_unrolled(**options):
    model = points_gan(UnrolledGAN, **options)
    model.start(1e-3, 3)
    for i in range(3):
        model.step(POINTS, KEY.at("moved", i))
    return model


@pytest.mark.parametrize("steps", [1, 3])
def test_unrolling_is_proved_from_the_moments_of_an_adam_that_has_moved(steps):
    prove(moved_unrolled(unroll=steps, unroll_rate=0.01), POINTS, KEY.at("proof"), objectives=["generator"])


def test_an_imagined_step_is_the_one_that_adam_would_take():
    """L_G of one imagined step at D's rate is the plain generator's loss after D's own Adam has taken it."""
    model = moved_unrolled(unroll=1, unroll_rate=1e-3)
    d_loss, ahead = model.objectives
    noise = d_loss.draw(model, POINTS, KEY.at("noise"))
    expected, _ = ahead(model, POINTS, noise, backward=False)
    before, _ = GeneratorLoss(d_loss.game)(model, POINTS, noise, backward=False)
    model.zero_grads()
    d_loss(model, POINTS, noise)
    model.optimizers["d"].step()
    after, _ = GeneratorLoss(d_loss.game)(model, POINTS, noise, backward=False)
    assert after["generator"] == pytest.approx(expected["generator"], rel=1e-10)
    assert abs(after["generator"] - before["generator"]) > 1e-5


def gradient(model, objective):
    noise = objective.draw(model, POINTS, KEY.at("draw"))
    model.zero_grads()
    terms, _ = objective(model, POINTS, noise)
    return terms["generator"], model.grad.copy()


def test_unrolled_by_no_step_it_is_the_plain_loss_and_by_some_it_is_not():
    model = points_gan()
    rules = model.objectives[0].game
    loss, grad = gradient(model, GeneratorLoss(rules))
    same_loss, same = gradient(model, UnrolledGeneratorLoss(rules, 0, 0.5))
    assert same_loss == loss
    np.testing.assert_allclose(same, grad, rtol=1e-13, atol=1e-16)
    _, ahead = gradient(model, UnrolledGeneratorLoss(rules, 3, 0.5))
    assert np.linalg.norm(ahead - grad) > 0.05 * np.linalg.norm(grad)


# ---- what the parts do


def test_feature_matching_is_zero_where_the_features_agree():
    model = points_gan(matching=True)
    matching = model.objectives[1]
    noise = matching.draw(model, POINTS, KEY)
    fake, _ = model.generator.forward(noise.z)
    terms, _ = matching(model, fake, noise)
    assert terms["matching"] < 1e-28
    assert np.abs(model.grad).max() < 1e-13


@pytest.mark.parametrize("cls", [GAN, UnrolledGAN])
def test_each_turn_moves_its_own_network(cls):
    model = points_gan(cls, np.float32)
    model.start(1e-2, 10)
    moved = []
    for player in model.optimizers.values():
        take = player.step

        def step(take=take):
            before = model.theta.copy()
            take()
            nets = ("generator", "discriminator")
            moved.append([n for n in nets if any((before[s] != model.theta[s]).any() for s in model.spans(n))])

        player.step = step
    terms = model.step(POINTS.astype(np.float32), KEY.at("step"))
    assert moved == [["discriminator"], ["generator"]]
    assert set(terms) == {"real", "fake", "generator"}


def test_two_rates():
    model = points_gan(rate_ratio=0.25)
    model.start(1e-3, 10)
    assert [model.optimizers[name].current_rate for name in ("d", "g")] == [1e-3, 0.25e-3]


def test_images_are_scaled_to_the_range_of_tanh_and_points_are_not():
    class Rows:
        images = np.array([[0.0, 1.0]], np.float32)

    image_gan = GAN((4, 4, 1), KEY, latents=3, hidden=4)
    assert image_gan.batch_of(Rows).tolist() == [[-1, 1]]
    assert points_gan().batch_of(Rows).tolist() == [[0, 1]]
    sample = image_gan.sample(5, KEY)
    assert sample.shape == (5, 4, 4, 1)
    assert 0 < sample.min() < sample.max() < 1
    assert points_gan(size=9.0).sample(50, KEY).std() > 1


def test_dcgan_wants_sides_that_can_be_halved_twice():
    with pytest.raises(ValueError, match=r"multiples of 4; got \(10, 8, 1\)"):
        DCGAN((10, 8, 1), KEY)


def test_what_the_verdict_needs_is_there():
    model, points = points_gan(), density("ring8").sample(60, KEY)
    found = health(**model.health(points, KEY.at("health")))
    assert 0 <= found.told_apart <= 1
    assert found.diversity > 0


def test_the_minimax_gradient_vanishes_as_d_learns_and_the_non_saturating_one_does_not():
    """G is held fixed, far from the data; D is trained. The share of the minimax gradient in the other is about D(fake)."""
    model = points_gan()
    model.start(1e-2, 300)
    batch = np.tile(np.array((4.0, 0.0)), (64, 1)) + 0.1 * KEY.at("near").normal((64, 2), np.float64)
    d_loss, g_losses = model.objectives[0], {name: GeneratorLoss(GAMES[name]) for name in ("minimax", "non_saturating")}
    norms = {name: [] for name in g_losses}
    noise = d_loss.draw(model, batch, KEY.at("fixed"))
    for i in range(301):
        if i % 100 == 0:
            for name, loss in g_losses.items():
                model.zero_grads()
                loss(model, batch, noise)
                norms[name].append(np.linalg.norm(model.grad))
        model.discriminator.zero_grads()
        d_loss(model, batch, noise)
        model.optimizers["d"].step()
    assert norms["minimax"][-1] < 0.05 * norms["minimax"][0]
    assert norms["non_saturating"][-1] > 0.5 * norms["non_saturating"][0]

"""VAE/GAN: three gradients proved, which network hears of what, and that its reconstructions are those of their images."""

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import Batches, load
from minigen.losses.adversarial import GAMES
from minigen.metrics.health import health
from minigen.models.vae_gan import VAEGAN, DecoderLoss, EncoderLoss, JudgeLoss, half_squares
from minigen.models.vae_gan_networks import FeatureDiscriminator
from minigen.random import Key

KEY = Key(51)
X = 2 * KEY.at("x").uniform((5, 8, 8, 1), np.float64) - 1
NETS = ("encoder", "generator", "discriminator")


def make(dtype=np.float64, **options):
    return VAEGAN((8, 8, 1), KEY.at("model"), dtype, **{"latents": 3, "width": 3, **options})


@pytest.mark.parametrize("options", [{}, {"gamma": 2.0, "game": "least_squares"}, {"game": "minimax"}], ids=str)
def test_every_gradient_is_proved(options):
    rows = prove(make(**options), X, KEY.at("proof"))
    assert {row.objective for row in rows} == set(NETS)
    assert all(row.parameter.startswith(row.objective + ".") for row in rows)
    assert max(row.rel_error for row in rows if row.method == "complex step") < 1e-11


def test_colour_is_proved():
    x = 2 * KEY.at("colour").uniform((4, 8, 12, 3), np.float64) - 1
    prove(VAEGAN((8, 12, 3), KEY, np.float64, latents=2, width=2), x, KEY.at("proof"))


# ---- the objectives


def gradients(model, noise, x=X):
    """The terms, and the gradient that each objective leaves, by network."""
    terms, found = {}, {}
    for objective in model.objectives:
        model.zero_grads()
        terms |= objective(model, x, noise)[0]
        (span,) = model.spans(objective.name)
        found[objective.name] = model.grad[span].copy()
    return terms, found


@pytest.fixture
def model():
    model = make()
    model.theta += 0.1 * KEY.at("stir").normal(model.theta.shape, np.float64)
    return model


def test_the_terms_are_what_they_say(model):
    noise = model.objectives[0].draw(model, X, KEY.at("noise"))
    terms, _ = gradients(model, noise)
    mu, logvar = model.encoder.forward(X, train=True)[0]
    made = [model.generator.forward(z, train=True)[0] for z in (mu + np.exp(logvar / 2) * noise.eps, noise.z_p)]
    (h_real, l_real), (h, l), (_, l_p) = (model.discriminator.forward(x, train=True)[0] for x in (X, *made))
    np.testing.assert_allclose(l, h @ model.discriminator.out.params["W"] + model.discriminator.out.params["b"])
    by_hand = {
        "kl": 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(1).mean(),
        "like": 0.5 * ((h - h_real) ** 2).sum(1).mean(),  # of N(h(x~), 1) at h(x), without its constant
        "weighted_like": 1e-3 * 0.5 * ((h - h_real) ** 2).sum(1).mean(),
        "fool_rebuilt": np.log1p(np.exp(-l)).mean(),
        "fool_drawn": np.log1p(np.exp(-l_p)).mean(),
        "real": np.log1p(np.exp(-l_real)).mean(),
        "rebuilt": np.log1p(np.exp(l)).mean(),
        "drawn": np.log1p(np.exp(l_p)).mean(),
    }
    assert terms.keys() == by_hand.keys()
    for name, value in by_hand.items():
        assert terms[name] == pytest.approx(value, rel=1e-10), name


def test_the_latents_are_those_of_q_and_of_the_prior(model):
    noise = model.objectives[0].draw(model, np.zeros((5000, 8, 8, 1)), KEY.at("many"))
    for drawn in (noise.eps, noise.z_p):
        np.testing.assert_allclose(np.cov(drawn.T), np.eye(3), atol=0.08)
    assert np.abs((noise.eps[:, :, None] * noise.z_p[:, None]).mean(0)).max() < 0.07  # and independent of each other


# Who hears of what: a change, and the networks whose gradients it changes. z_p changes no moment of a normalisation that the
# encoder looks through, since x, x~ and x_p are seen in calls of their own.
HEARS = {
    "gamma": {"generator"},
    "game": {"generator", "discriminator"},
    "z_p": {"generator", "discriminator"},
    "eps": {"encoder", "generator", "discriminator"},
}


@pytest.mark.parametrize("cause", HEARS)
def test_each_network_hears_of_its_own_losses_alone(model, cause):
    noise = model.objectives[0].draw(model, X, KEY.at("noise"))
    _, before = gradients(model, noise)
    gamma, rules = 1e-3, GAMES["non_saturating"]
    if cause == "gamma":
        gamma = 0.5
    elif cause == "game":
        rules = GAMES["least_squares"]
    else:
        other = EncoderLoss().draw(model, X, KEY.at("other"))
        noise = noise._replace(**{cause: getattr(other, cause)})
    model.objectives = (EncoderLoss(), DecoderLoss(rules, gamma), JudgeLoss(rules))
    _, after = gradients(model, noise)
    assert {net for net in NETS if not np.array_equal(before[net], after[net])} == HEARS[cause]


def test_the_encoder_does_not_hear_the_verdict(model):
    """Another last layer of D is another verdict on the same features: the encoder's gradient stays as it is."""
    noise = model.objectives[0].draw(model, X, KEY.at("noise"))
    _, before = gradients(model, noise)
    model.discriminator.out.params["W"][...] *= -3
    _, after = gradients(model, noise)
    np.testing.assert_array_equal(after["encoder"], before["encoder"])
    for net in ("generator", "discriminator"):
        assert np.linalg.norm(after[net] - before[net]) > 0.1 * np.linalg.norm(before[net])


def test_the_likeness_is_zero_where_the_features_agree():
    h = KEY.at("h").normal((4, 7), np.float64)
    value, dh = half_squares(h, h)
    assert value == 0
    assert not dh.any()
    assert half_squares(h + 2, h)[0] == pytest.approx(0.5 * 7 * 4)


# ---- the step


def test_a_step_moves_every_network_by_its_own_gradient_at_the_old_place_of_the_others():
    model, twin = make(), make()
    model.start(1e-2, 10)
    noise = model.objectives[0].draw(model, X, KEY.at("step"))
    _, expected = gradients(twin, noise)
    moved = []
    for optimizer in model.optimizers.values():
        take = optimizer.step

        def step(take=take):
            before = model.theta.copy()
            take()
            moved.append([net for net in NETS if any((before[s] != model.theta[s]).any() for s in model.spans(net))])

        optimizer.step = step
    terms = model.step(X, KEY.at("step"))
    assert moved == [[net] for net in NETS]
    assert set(terms) == {"kl", "like", "weighted_like", "fool_rebuilt", "fool_drawn", "real", "rebuilt", "drawn"}
    for net in NETS:
        (span,) = model.spans(net)
        np.testing.assert_allclose(model.grad[span], expected[net], rtol=1e-12, atol=1e-15)


def test_a_step_moves_the_running_moments_once_for_each_call():
    """The discriminator's normalisation has seen real rows, rebuilt and drawn ones; the generator's two batches."""
    model = make()
    model.start(1e-3, 10)
    before = {path: dict(node.state) for net in NETS for path, node in model.nets[net].walk(net) if node.state}
    model.step(X, KEY.at("step"))
    after = {path: node.state for net in NETS for path, node in model.nets[net].walk(net) if node.state}
    assert before.keys() == after.keys()
    for path, state in before.items():
        assert any(not np.array_equal(value, after[path][name]) for name, value in state.items()), path


def test_the_features_are_shown_and_the_logits_are_a_linear_function_of_them():
    net = make().discriminator
    assert isinstance(net, FeatureDiscriminator)
    h, l = net.forward(X)[0]
    assert h.shape == (5, 2 * 2 * 6)
    assert l.shape == (5, 1)


def test_it_learns_glyphs():
    data = load("glyphs", size=16, rows=512)
    model = VAEGAN(data.shape, KEY.at("glyphs"), latents=8, width=8, gamma=0.1)
    model.start(1e-3, 250)
    batches = Batches(data, 32, KEY.at("batches"))
    for i in range(250):
        model.step(model.batch_of(next(batches)), KEY.at("step", i))
    x = data.batch(np.arange(100))
    rebuilt = model.reconstruct(x)
    errors = ((rebuilt[:, None] - x[None]) ** 2).mean((2, 3, 4))  # (100, 100): each against each
    assert (errors.argmin(1) == np.arange(100)).mean() > 0.25  # nearest to its own image, of a hundred: by chance 0.01
    figures = model.evaluate(2 * x - 1, KEY.at("evaluate"))
    assert figures["squared_error"] == pytest.approx(errors.diagonal().mean(), rel=1e-4)
    assert figures["squared_error"] < 0.85 * ((x - x.mean(0)) ** 2).mean()
    assert 0 <= health(**model.health(2 * x - 1, KEY.at("health"))).told_apart <= 1


def test_images_and_mistakes():
    model, x = make(), KEY.at("images").uniform((16, 8, 8, 1), np.float64)

    class Rows:
        images = x

    np.testing.assert_allclose(model.batch_of(Rows), 2 * x - 1)
    samples = model.sample(5, KEY)
    assert samples.shape == (5, 8, 8, 1)
    assert 0 < samples.min() < samples.max() < 1
    np.testing.assert_allclose(model.interpolate(x[0], x[1], 3)[[0, 2]], model.reconstruct(x[:2]), rtol=1e-12)
    pictures = model.pictures(Rows, KEY)
    assert {name: grid.shape[:2] for name, grid in pictures.items()} == {
        "samples": (8, 8),
        "reconstructions": (4, 8),
        "interpolation": (8, 8),
    }
    with pytest.raises(ValueError, match="gamma=0 is no weight of the likeness"):
        make(gamma=0.0)
    with pytest.raises(ValueError, match=r"vae_gan halves images twice.*got \(10, 8, 1\)"):
        VAEGAN((10, 8, 1), KEY)
    with pytest.raises(ValueError, match="unknown game 'chess'"):
        make(game="chess")

"""Wasserstein GANs: gradients proved, the bound on the critic's slope, the order of updates, what the distance measures."""

import numpy as np
import pytest

from minigen.backend import workspace
from minigen.check import prove
from minigen.data.batches import Batch
from minigen.metrics.health import health, verdict
from minigen.models.wgan import WGAN
from minigen.models.wgan_gp import WGANGP
from minigen.random import Key
from minigen.training import Run, log
from minigen.training import loop as training_loop

KEY = Key(0)
POINTS = 3 * KEY.at("points").normal((7, 2), np.float64)
IMAGES = 2 * KEY.at("images").uniform((4, 8, 8, 3), np.float64) - 1
BOTH = pytest.mark.parametrize("cls", [WGAN, WGANGP])


def small(cls, dtype=np.float64, **options):
    return cls((2,), KEY.at("model"), dtype, **{"latents": 3, "hidden": 6, **options})


# ---- proofs


@BOTH
def test_points_are_proved(cls):
    rows = prove(small(cls), POINTS, KEY.at("proof"))
    assert {row.objective for row in rows} == {"critic", "generator"}


@BOTH
def test_colour_images_are_proved(cls):
    prove(cls((8, 8, 3), KEY.at("model"), np.float64, latents=4, width=3), IMAGES, KEY.at("proof"))


def test_the_objective_declares_the_constant_that_cancels():
    model = small(WGANGP)
    assert set(model.objectives[0].dead) == {"discriminator.out.b"}


# ---- the penalty of the critic


def test_one_weight_mixes_a_whole_image():
    model = WGANGP((8, 8, 3), KEY, np.float64, latents=4, width=2)
    critic = model.objectives[0]
    noise = critic.draw(model, IMAGES, KEY.at("noise"))
    assert noise.t.shape == (4, 1, 1, 1)
    assert len(np.unique(noise.t)) == 4
    seen = {}
    net, forward = model.discriminator, model.discriminator.forward
    net.forward = lambda x, **options: (seen.setdefault(len(seen), x), forward(x, **options))[1]
    fake = model.generator.forward(noise.z, train=True)[0]
    critic(model, IMAGES, noise, backward=False)
    both, mixed = seen[0], seen[1]
    np.testing.assert_array_equal(both, np.concatenate((IMAGES, fake)))
    np.testing.assert_allclose(mixed - fake, noise.t * (IMAGES - fake), rtol=1e-12, atol=1e-14)


def test_the_weights_are_uniform():
    model = small(WGANGP, np.float32)
    t = model.objectives[0].draw(model, np.zeros((4000, 2), np.float32), KEY).t
    assert t.dtype == np.float32
    assert np.abs(np.sort(t[:, 0]) - (np.arange(4000) + 0.5) / 4000).max() < 0.03  # Kolmogorov and Smirnov's, p < 0.002


def test_of_a_linear_critic_the_loss_is_known():
    """With one layer f = <w, x>: <w, mean fake - mean real> + penalty (|w| - 1)^2, whatever the mixing weights."""
    model = small(WGANGP, penalty=10.0)
    D = model.discriminator
    linear = type(D.out)(2, 1).initialise(KEY.at("w"), np.float64)
    w = linear.params["W"]
    w *= 2
    model.discriminator = model.nets["discriminator"] = linear
    noise = model.objectives[0].draw(model, POINTS, KEY.at("noise"))
    terms, _ = model.objectives[0](model, POINTS, noise)
    fake = model.generator.forward(noise.z, train=True)[0]
    size, apart = np.sqrt((w**2).sum()), fake.mean(0) - POINTS.mean(0)
    assert terms["penalty"] == pytest.approx(10 * (size - 1) ** 2, rel=1e-13)
    assert terms["real"] + terms["fake"] == pytest.approx(apart @ w[:, 0], rel=1e-12)
    np.testing.assert_allclose(linear.grads["W"][:, 0], apart + 20 * (size - 1) * w[:, 0] / size, rtol=1e-12)


def test_a_flat_critic_learns_on():
    """Where its slope is zero at every mixed row, the penalty is constant and the loss still moves it."""
    model = small(WGANGP)
    model.discriminator.out.params["W"][...] = 0
    noise = model.objectives[0].draw(model, POINTS, KEY.at("noise"))
    with np.errstate(all="raise"):
        terms, _ = model.objectives[0](model, POINTS, noise)
    assert terms["penalty"] == 10
    assert np.isfinite(model.grad).all()
    assert model.discriminator.out.grads["W"].any()


# ---- clipping


def test_clipping_keeps_every_parameter_of_the_critic_and_none_of_g():
    model = small(WGAN, np.float32, clip=0.05, critic_steps=2)
    model.start(1e-2, 10)
    for i in range(4):
        model.step(POINTS.astype(np.float32), KEY.at(i))
    sizes = {net: max(np.abs(model.theta[s]).max() for s in model.spans(net)) for net in ("discriminator", "generator")}
    assert sizes["discriminator"] == np.float32(0.05)
    assert sizes["generator"] > 0.2


# ---- the order of updates


@BOTH
def test_g_moves_after_every_nth_update_of_the_critic(cls):
    model = small(cls, np.float32, critic_steps=3)
    model.start(1e-3, 12)
    moved = []
    for i in range(6):
        before = model.theta.copy()
        terms = model.step(POINTS.astype(np.float32), KEY.at(i))
        nets = ("discriminator", "generator")
        moved.append([n for n in nets if any((before[s] != model.theta[s]).any() for s in model.spans(n))])
        assert ("generator" in terms) == (i % 3 == 2)
    assert moved == 2 * [["discriminator"], ["discriminator"], ["discriminator", "generator"]]


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "draw_curves", lambda *args, **kwargs: None)
    monkeypatch.setattr(WGANGP, "pictures", lambda self, batch, key: {})

    def create(out, **options):
        options = {"hidden": 8, "latents": 3, "critic_steps": 3, "decay": True, **options}
        settings = {"batch": 16, "steps": 11, "options": options, "data_options": {"rows": 60}}
        return Run.create("wgan_gp", data="ring8", out=tmp_path / out, **settings)

    return create


def content(folder):
    timings = {"seconds", "steps_per_second"}
    lines = [{k: v for k, v in line.items() if k not in timings} for line in log.read(folder / "log.jsonl")]
    return (folder / "checkpoint.safetensors").read_bytes(), lines


def test_a_run_resumes_between_the_critics_updates_bit_for_bit(make):
    whole, run = make("whole"), make("cut")
    whole.train()
    for _ in range(8):  # stops after every step
        run.train(minutes=0)
        run = Run.resume(run.folder)
    run.train()
    assert content(run.folder) == content(whole.folder)


def test_the_log_has_each_term_where_it_was_paid(make):
    run = make("run")
    run.train()
    lines = [line for line in log.read(run.folder / "log.jsonl") if line["kind"] == "train"]
    assert [line["step"] for line in lines if "generator" in line["terms"]] == [3, 6, 9]
    assert all({"real", "fake", "penalty"} <= line["terms"].keys() for line in lines)
    said = next(line for line in log.read(run.folder / "log.jsonl") if line["kind"] == "test")
    assert "the critic puts real rows" in said["verdict"]
    assert said["figures"]["distance"] == pytest.approx(-said["figures"]["real"] - said["figures"]["fake"], rel=1e-6)


# ---- what is measured


def test_the_distance_of_two_gaussians_is_that_of_their_means():
    """W(N(0, I), N(m, I)) = |m|: every point is carried by m. The critic alone learns, against a G that is the identity.

    A penalty is a soft bound: a slope s earns s W and pays penalty (s - 1)^2, so the best one is 1 + W / 2 penalty.
    """
    m = np.array((1.5, -2.0), np.float32)  # |m| = 2.5
    model = small(WGANGP, np.float32, latents=2, hidden=32, penalty=10.0)
    model.start(3e-3, 300)
    critic = model.objectives[0]

    def batch(key, n):
        return key.at("x").normal((n, 2)) + m

    def forwards(noise):
        return {"generator": (noise.z, None)}

    with workspace():
        for i in range(300):
            rows = batch(KEY.at("train", i), 128)
            noise = critic.draw(model, rows, KEY.at("noise", i))
            model.discriminator.zero_grads()
            critic(model, rows, noise, forwards=forwards(noise))
            model.optimizers["d"].step()
    rows = batch(KEY.at("test"), 5000)
    noise = critic.draw(model, rows, KEY.at("test"))
    terms, _ = critic(model, rows, noise, backward=False, forwards=forwards(noise))
    assert -terms["real"] - terms["fake"] == pytest.approx(2.5 * (1 + 2.5 / 20), rel=0.06)


def test_points_are_scaled_there_and_back():
    model = small(WGANGP, np.float32, scale=4.0)
    rows = np.array(((8.0, -4.0),), np.float32)
    assert model.batch_of(Batch(rows, None, np.arange(1))).tolist() == [[2, -1]]
    z = model.latent(3, KEY)
    np.testing.assert_allclose(model.generate(z), 4 * model.generator.forward(z)[0])


def test_samples_are_the_averaged_generators_and_training_goes_on_with_the_other():
    plain, averaged = (small(WGANGP, np.float32, average=average, critic_steps=2) for average in (0.0, 0.5))
    past = []
    for model in (plain, averaged):
        model.start(1e-3, 20)
    for i in range(8):
        for model in (plain, averaged):
            model.step(KEY.at(i).normal((16, 2)), KEY.at("step", i))
        if not plain.optimizers["d"].t % plain.critic_steps:
            past.append(plain.theta.copy())
    assert np.array_equal(plain.theta, averaged.theta)
    expected = small(WGANGP, np.float32).theta
    for t, theta in enumerate(past):
        expected += (1 - min(0.5, (1 + t) / (10 + t))) * (theta - expected)
    z = plain.latent(5, KEY)
    (span,) = plain.spans("generator")
    plain.theta[span] = expected[span]
    np.testing.assert_allclose(averaged.generate(z), plain.generate(z), rtol=1e-5)
    assert len(past) == 4


def test_the_verdict_on_a_critic_that_is_never_wrong_is_no_saturation():
    rows, samples = KEY.at("rows").normal((99, 2)), KEY.at("samples").normal((99, 2))
    heights = np.full((99, 1), 700.0), np.full((99, 1), 300.0)
    losses = {"real": [-500.0, -650, -700], "fake": [450.0, 350, 300], "penalty": [1.0, 1, 1], "generator": [-300.0]}
    of_d, of_f = (verdict(health(rows, samples, *heights, critic=critic), losses) for critic in (False, True))
    assert of_d.word == "discriminator saturated"
    assert of_f.word == "balanced"
    assert "puts real rows 400 above samples" in of_f.why
    assert "distance 400, rising from 50; penalty 1" in of_f.why
    far = health(rows, samples + 9, np.zeros((99, 1)), np.zeros((99, 1)), critic=True)
    assert verdict(far, {}).word == "critic too weak"
    knows = health(rows, samples + 9, *heights, critic=True)
    assert verdict(knows, {}).word == "not there yet"


# ---- bad input


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (WGANGP, {"critic_steps": 0}, "critic_steps=0: the critic needs at least one"),
        (WGANGP, {"penalty": 0.0}, "give a positive weight"),
        (WGANGP, {"penalty": -1.0}, "penalty=-1"),
        (WGANGP, {"scale": 0.0}, "scale=0"),
        (WGANGP, {"average": 1.0}, "average=1: the decay of an average is below 1"),
        (WGANGP, {"final_rate": 1.5}, "final_rate=1.5: the share of the rate"),
        (WGANGP, {"final_rate": 0.5}, "final_rate=0.5 needs decay"),
        (WGAN, {"clip": 0.0}, "clip=0"),
    ],
)
def test_wrong_options_are_refused(cls, options, message):
    with pytest.raises(ValueError, match=message):
        small(cls, **options)


def test_an_average_is_for_points():
    with pytest.raises(ValueError, match=r"wgan_gp: average=0\.9 is for points: the batch normalisation of images"):
        WGANGP((8, 8, 1), KEY, average=0.9)


def test_rates_fall_to_the_final_rate():
    model = small(WGANGP, decay=True, final_rate=0.25, critic_steps=3, rate_ratio=2.0)
    model.start(1e-3, 30)
    for name, first, updates in (("d", 1e-3, 30), ("g", 2e-3, 10)):
        rate = model.optimizers[name].rate
        assert [rate(t) for t in (0, updates / 2, updates)] == pytest.approx([first, 0.625 * first, 0.25 * first])


def test_images_must_be_halved_twice():
    with pytest.raises(ValueError, match=r"wgan_gp halves images twice.*got \(10, 8, 1\)"):
        WGANGP((10, 8, 1), KEY)

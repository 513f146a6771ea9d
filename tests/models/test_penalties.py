"""Penalties on a network's slope: exact values, flat networks, R1 in every GAN, through normalisation and attention."""

import numpy as np
import pytest

from minigen import layers as L
from minigen.check import prove
from minigen.layers.composite import Residual
from minigen.layers.elementwise import Elementwise
from minigen.models.conditional_gan import ConditionalGAN
from minigen.models.dcgan import DCGAN
from minigen.models.gan import GAN
from minigen.models.labelled import Labelled
from minigen.models.penalties import gradient_penalty, r1
from minigen.models.unrolled_gan import UnrolledGAN
from minigen.random import Key

KEY = Key(0)
POINTS = 3 * KEY.at("points").normal((7, 2), np.float64)
IMAGES = 2 * KEY.at("images").uniform((4, 8, 8, 1), np.float64) - 1


def linear_critic(shape=(4, 3, 2), dtype=np.float64):
    return L.Sequential(flat=L.Flatten(), out=L.Linear(int(np.prod(shape)), 1)).initialise(KEY, dtype)


def penalised(D, x, penalty, **options):
    """The penalty, its gradients by path, and dx."""
    logits, cache = D.forward(x, train=True)
    D.zero_grads()
    value, dx = penalty.of(D, logits, cache, need_dx=True, **options)
    return value, {path: g.copy() for path, g in D.vector.views(D.vector.grad).items()}, dx


# ---- exact values


def test_of_a_linear_critic_all_is_known():
    """g = w at every row: (|w| - 1)^2, its gradient 2 (|w| - 1) w / |w|; for R1 |w|^2 / 2 and w. The norm is over all axes."""
    D, x = linear_critic(), KEY.at("x").normal((5, 4, 3, 2), np.float64)
    w = D["out"].params["W"]
    w *= 3
    size = np.sqrt((w**2).sum())
    for penalty, value, gradient in (
        (gradient_penalty(10.0), 10 * (size - 1) ** 2, 20 * (size - 1) * w / size),
        (r1(0.7), 0.35 * size**2, 0.7 * w),
    ):
        found, grads, dx = penalised(D, x, penalty)
        assert found == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(grads["out.W"], gradient, rtol=1e-13)
        assert not grads["out.b"].any()
        assert not dx.any()


def test_of_a_quadratic_critic_the_input_gradient_is_known():
    """f = |x|^2 / 2 has g = x: R1 is gamma mean |x|^2 / 2, its gradient of x is gamma x / N."""

    class Square(Elementwise):
        def f(self, x):
            return x * x / 2

        def slope(self, x):
            return x

        def curve(self, x):
            return 1.0

    D = L.Sequential(square=Square(), sum=L.Linear(2, 1)).initialise(KEY, np.float64)
    D["sum"].params["W"][...] = 1
    value, _, dx = penalised(D, POINTS, r1(4.0))
    assert value == pytest.approx(2 * (POINTS**2).sum(1).mean(), rel=1e-14)
    np.testing.assert_allclose(dx, 4 * POINTS / 7, rtol=1e-13)


# ---- where the norm has no derivative


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_flat_critic_pays_and_nothing_is_divided_by_zero(dtype):
    D, x = linear_critic(dtype=dtype), KEY.at("x").normal((5, 4, 3, 2), dtype)
    D["out"].params["W"][...] = 0
    with np.errstate(all="raise"):
        value, grads, dx = penalised(D, x, gradient_penalty(10.0))
    assert value == 10
    assert value.dtype == np.float64
    assert not grads["out.W"].any()
    assert not dx.any()


def test_one_flat_row_among_others_leaves_their_gradient_as_it_is():
    D = L.Sequential(a=L.Linear(2, 5), relu=L.ReLU(), out=L.Linear(5, 1)).initialise(KEY, np.float64)
    D["a"].params["b"][...] = 1
    D["a"].params["W"][...] = np.abs(D["a"].params["W"])
    dead = np.full((1, 2), -99.0)  # every unit is off there
    x = np.abs(POINTS)
    with np.errstate(all="raise"):
        value, grads, _ = penalised(D, np.concatenate((x, dead)), gradient_penalty(1.0))
    alone, expected, _ = penalised(D, x, gradient_penalty(1.0))
    assert value == pytest.approx((7 * alone + 1) / 8, rel=1e-14)
    for path, g in grads.items():
        np.testing.assert_allclose(g, expected[path] * 7 / 8, rtol=1e-13, atol=1e-16, err_msg=path)


def test_near_zero_the_direction_survives_in_float32():
    D, x = linear_critic(dtype=np.float32), KEY.at("x").normal((5, 4, 3, 2), np.float32)
    D["out"].params["W"][...] *= np.float32(1e-12)
    w = D["out"].params["W"].astype(np.float64)
    _, grads, _ = penalised(D, x, gradient_penalty(1.0))
    np.testing.assert_allclose(grads["out.W"], -2 * w / np.sqrt((w**2).sum()), rtol=1e-5)


# ---- what the call promises


def test_without_backward_and_with_a_scale():
    D = linear_critic()
    x = KEY.at("x").normal((5, 4, 3, 2), np.float64)
    value, grads, _ = penalised(D, x, r1(2.0))
    again, doubled, _ = penalised(D, x, r1(2.0), scale=2.0)
    np.testing.assert_allclose(doubled["out.W"], 2 * grads["out.W"], rtol=1e-14)
    silent, none, dx = penalised(D, x, r1(2.0), backward=False)
    assert value == again == silent
    assert dx is None
    assert not any(g.any() for g in none.values())


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_wrong_weights_are_refused(weight):
    for make, name in ((r1, "r1"), (gradient_penalty, "penalty")):
        with pytest.raises(ValueError, match=f"{name}={weight:g} is no weight"):
            make(weight)


def test_no_r1_and_no_penalty():
    assert r1(0.0) is None
    with pytest.raises(ValueError, match="such as 10"):
        gradient_penalty(0.0)


# ---- R1 for any GAN


class Attentive(GAN):
    """D looks at the rows of an image with attention, and at the batch with normalisation."""

    def make_features(self):
        H, W, C = self.shape
        features = L.Sequential(
            conv=L.Conv2d(C, 4, 4, stride=2, padding=1, bias=False),
            norm=L.BatchNorm(4),
            attend=Residual(L.MultiHeadAttention(4, 2)),
            act=L.SiLU(),
            flat=L.Flatten(),
        )
        return features, H // 2 * (W // 2) * 4


@pytest.mark.parametrize(
    ("cls", "shape", "options"),
    [
        (GAN, (2,), {"hidden": 6}),
        (GAN, (2,), {"hidden": 6, "minibatch": 2, "game": "least_squares"}),
        (GAN, (8, 8, 1), {"hidden": 3, "game": "wasserstein"}),
        (DCGAN, (8, 8, 1), {"width": 3}),
        (DCGAN, (8, 8, 1), {"width": 2, "minibatch": 2, "matching": True}),
        (Attentive, (8, 8, 1), {"hidden": 3}),
    ],
    ids=["points", "points, minibatch", "dense, wasserstein", "batch norm", "batch norm, minibatch", "attention"],
)
def test_r1_is_proved(cls, shape, options):
    model = cls(shape, KEY.at("model"), np.float64, latents=3, r1=5.0, **options)
    batch = POINTS if shape == (2,) else IMAGES
    noise = model.objectives[0].draw(model, batch, KEY)
    terms, _ = model.objectives[0](model, batch, noise, backward=False)
    assert set(terms) == {"real", "fake", "r1"}
    prove(model, batch, KEY.at("proof"))


@pytest.mark.parametrize("projection", [True, False])
def test_r1_of_a_conditional_gan_is_in_the_image_alone(projection):
    model = ConditionalGAN((8, 8, 1), KEY, np.float64, latents=4, width=3, projection=projection, r1=2.0)
    batch = Labelled(IMAGES[:3], np.array((3, 0, 9)))
    prove(model, batch, KEY.at("proof"), objectives=["discriminator"])
    noise = model.objectives[0].draw(model, batch, KEY)
    terms, _ = model.objectives[0](model, batch, noise, backward=False)
    D, h = model.discriminator, 1e-6
    _, cache = D.forward(batch, train=True)
    slopes = D.backward(np.ones((3, 1)), cache, param_grads=False)[0]
    assert terms["r1"] == pytest.approx((slopes**2).sum() / 3, rel=1e-12)
    there = [D.forward((batch.images + s * h * slopes, batch.labels), train=True)[0].sum() for s in (1, -1)]
    assert (there[0] - there[1]) / (2 * h) == pytest.approx((slopes**2).sum(), rel=1e-5)


def test_r1_makes_d_less_steep():
    slopes = {}
    for gamma in (0.0, 10.0):
        model = GAN((2,), KEY, latents=3, hidden=16, r1=gamma)
        model.start(1e-2, 150)
        for i in range(150):
            model.step(KEY.at("rows", i).normal((64, 2)), KEY.at("step", i))
        _, cache = model.discriminator.forward(rows := KEY.at("held out").normal((256, 2)))
        g = model.discriminator.backward(np.ones((len(rows), 1), np.float32), cache, param_grads=False)
        slopes[gamma] = (g**2).sum(1).mean()
    assert slopes[10.0] < 0.2 * slopes[0.0]


def test_an_unrolled_gan_has_none():
    with pytest.raises(ValueError, match="third order"):
        UnrolledGAN((2,), KEY, r1=1.0)


def test_the_whole_discriminator_loss_of_a_dcgan_with_r1_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here; the golden arrays stand in where it is missing")
    F = torch.nn.functional
    model = DCGAN((8, 8, 3), KEY, np.float64, latents=3, width=4, r1=3.0)
    real = 2 * KEY.at("real").uniform((5, 8, 8, 3), np.float64) - 1
    fake = 2 * KEY.at("fake").uniform((5, 8, 8, 3), np.float64) - 1
    model.theta += 0.3 * KEY.at("theta").normal(model.theta.shape, np.float64)
    noise = model.objectives[0].draw(model, real, KEY)
    model.zero_grads()
    terms, _ = model.objectives[0](model, real, noise, forwards={"generator": (fake, None)})

    p = {path: torch.tensor(a, requires_grad=True) for path, a in model.discriminator.named()}

    def D(x):
        def conv(x, name, b):
            return F.conv2d(x, p[f"features.{name}.W"].permute(3, 2, 0, 1), b, stride=2, padding=1)

        h = F.leaky_relu(conv(x.permute(0, 3, 1, 2), "conv1", p["features.conv1.b"]), 0.2)
        gain, b = p["features.norm2.gain"], p["features.norm2.b"]
        h = F.leaky_relu(F.batch_norm(conv(h, "conv2", None), None, None, gain, b, training=True), 0.2)
        return h.permute(0, 2, 3, 1).flatten(1) @ p["out.W"] + p["out.b"]

    x = torch.tensor(real, requires_grad=True)
    logits = D(x)
    (g,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    loss = F.softplus(-logits).mean() + F.softplus(D(torch.tensor(fake))).mean() + 1.5 * (g**2).flatten(1).sum(1).mean()
    loss.backward()
    assert sum(terms.values()) == pytest.approx(loss.item(), rel=1e-12)
    for path, grad in model.vector.views(model.grad).items():
        if path.startswith("discriminator."):
            theirs = p[path.removeprefix("discriminator.")].grad.numpy()
            assert np.abs(grad - theirs).max() <= 1e-10 * max(1.0, np.abs(theirs).max()), path

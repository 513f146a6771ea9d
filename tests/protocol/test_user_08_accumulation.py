"""User 8: a batch too large for the memory, in parts. Gradients are added to, so parts add up by themselves.

The loss is a mean over the batch. With parts B_1 .. B_k of N rows in all,

    L = sum_i |B_i| / N  L_i          dL = sum_i |B_i| / N  dL_i

so each part is called with scale = |B_i| / N, which multiplies gradients and leaves the terms as they are. Every part is a
call like any other: one draw, one commit, in order. What it draws is its own, and what it commits the next part reads.
"""

from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Dropout, Layer, Linear, Sequential, Tanh
from minigen.losses import mse
from minigen.models import Model, Objective, total
from minigen.optim import SGD
from minigen.random import Key


class CentredCache(NamedTuple):
    x: np.ndarray  # (N, D)


class Centred(Layer):
    """y = x - mean, with a mean that runs along: it moves in commit, and forward reads it as a constant."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.state["mean"] = np.zeros(size)

    def forward(self, x, *, train=False, key=None):
        return x - self.state["mean"], CentredCache(x)

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        return dy

    def commit(self, cache):
        self.state["mean"] = 0.9 * self.state["mean"] + 0.1 * cache.x.mean(0)


class Denoising(NamedTuple):
    eps: np.ndarray  # (N, D)
    key: Key  # for dropout


class DenoisingLoss(Objective):
    """mean (f(x + eps / 2) - x)^2 (Vincent et al. 2008)."""

    name, updates = "mse", ("net",)

    def draw(self, model, batch, key, forwards=None):
        return Denoising(key.at("eps").normal(batch.shape, like=batch), key.at("dropout"))

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        called = (forwards or {}).get("net") or model.net.forward(batch + 0.5 * noise.eps, train=train, key=noise.key)
        loss, dy = mse(called[0], batch)
        if backward:
            model.net.backward(scale * dy, called[1], need_dx=False)
        return {"mse": loss}, {"net": called}


class Denoiser(Model):
    def __init__(self, *between: Layer) -> None:
        super().__init__(Key(8), np.float64, net=Sequential(Linear(4, 6), Tanh(), *between, Linear(6, 4)))
        self.objectives = (DenoisingLoss(),)
        self.optimize(sgd=SGD(self, rate=0.1))

    def step(self, batch, key, parts=1):
        (loss,) = self.objectives
        mean = 0.0
        self.zero_grads()
        for i, rows in enumerate(np.array_split(batch, parts)):
            noise, share = loss.draw(self, rows, key.at(i)), len(rows) / len(batch)
            terms, forwards = loss(self, rows, noise, scale=share)
            self.commit(noise, forwards)
            mean += share * terms["mse"]
        self.optimizers["sgd"].step()
        return {"mse": mean}


X = Key(80).normal((10, 4), np.float64)


@pytest.mark.parametrize("parts", [2, 4, 10])
def test_parts_add_up_to_the_whole_batch(parts):
    """At the same noise, its rows split like the data's; the parts need not be equally long."""
    model = Denoiser()
    (loss,) = model.objectives
    noise = loss.draw(model, X, Key(81))
    whole, _ = loss(model, X, noise)
    grad = model.grad.copy()

    model.zero_grads()
    mean = 0.0
    for rows, eps in zip(np.array_split(X, parts), np.array_split(noise.eps, parts), strict=True):
        terms, _ = loss(model, rows, Denoising(eps, noise.key), scale=len(rows) / len(X))
        mean += len(rows) / len(X) * terms["mse"]
    assert mean == pytest.approx(whole["mse"], rel=1e-14)
    assert np.abs(model.grad - grad).max() <= 1e-14 * np.abs(grad).max()


def test_with_dropout_every_part_has_its_own_mask_and_the_sum_is_proved():
    model, key = Denoiser(Dropout(0.3)), Key(82)
    prove(model, X, Key(83))
    (loss,), parts = model.objectives, np.array_split(X, 2)
    noises = [loss.draw(model, rows, key.at(i)) for i, rows in enumerate(parts)]
    masks = [loss(model, rows, noise)[1]["net"][1]["2"][0].mask for rows, noise in zip(parts, noises, strict=True)]
    assert not np.array_equal(*masks)

    model.zero_grads()
    for rows, noise in zip(parts, noises, strict=True):
        loss(model, rows, noise, scale=0.5)
    v, twin = Key(84).normal(model.theta.shape, np.float64), model.astype(np.complex128)
    twin.theta += 1e-30j * v
    each = [total(loss(twin, rows, noise, backward=False)[0]) for rows, noise in zip(parts, noises, strict=True)]
    slope = sum(each).imag / 2 / 1e-30
    assert slope == pytest.approx(model.grad @ v, rel=1e-13)


def test_state_is_committed_once_a_part_and_in_their_order():
    model = Denoiser(Centred(6))
    prove(model, X, Key(85))
    centred, hidden = model.net["2"], Sequential(model.net["0"], model.net["1"])
    expected = np.zeros(6)
    for i, rows in enumerate(np.array_split(X, 3)):
        eps = model.objectives[0].draw(model, rows, Key(86).at(i)).eps
        expected = 0.9 * expected + 0.1 * hidden.forward(rows + 0.5 * eps)[0].mean(0)
    model.step(X, Key(86), parts=3)
    np.testing.assert_allclose(centred.state["mean"], expected, rtol=1e-14)


def test_commit_takes_caches_that_the_optimiser_has_made_stale():
    model = Denoiser(Centred(6))
    (loss,) = model.objectives
    noise = loss.draw(model, X, Key(87))
    _, forwards = loss(model, X, noise)
    model.optimizers["sgd"].step()
    model.commit(noise, forwards)
    assert model.net["2"].state["mean"].any()


def test_a_layer_that_draws_says_who_needs_a_key():
    with pytest.raises(ValueError, match="Dropout draws noise"):
        Dropout(0.5).forward(X, train=True)

"""User 4: a GAN whose generator looks three steps of the discriminator ahead (Metz et al. 2017, "Unrolled GANs").

The generator is judged by the discriminator that *will have* answered it:

    theta_k+1 = theta_k - rate dL_D/dtheta (theta_k, fake),   k = 0 .. K-1,        L_G = L(D_theta_K(fake))

L_G depends on the fakes directly, and through every one of the steps. Back through step k, with a = dL_G/dtheta_k+1:

    dL_G/dtheta_k = a - rate H a              H = d2 L_D / dtheta dtheta
    dfake        -= rate (d/dfake dL_D/dtheta) a

Both products say how D's own gradients change as theta moves along a: `jvp(move_params=True)`, then `backward_jvp`, whose grads
are H a and whose dx_dot is the mixed product. Every step keeps a discriminator of its own (`clone`), so all caches stay fresh.
"""

from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Linear, Sequential, Tanh
from minigen.losses import bernoulli, bernoulli_dot
from minigen.models import Model, Objective
from minigen.optim import SGD
from minigen.random import Key


class Latents(NamedTuple):
    z: np.ndarray  # (N, Z)


class UnrolledGenerator(Objective):
    """-log D_K(G(z)): the non-saturating loss against the discriminator after K steps of descent."""

    name, updates = "generator", ("generator",)

    def __init__(self, steps: int, rate: float) -> None:
        self.steps, self.rate = steps, rate

    def draw(self, model, batch, key, forwards=None):
        return Latents(key.at("z").normal((len(batch), 3), like=batch))

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        generated = (forwards or {}).get("generator") or model.generator.forward(noise.z, train=train)
        fake, g_cache = generated  # (N, 2)
        one, zero = np.ones((len(batch), 1)), np.zeros((len(batch), 1))

        D, played = model.discriminator.clone(), []
        for _ in range(self.steps):
            judged = [(x, *D.forward(x, train=train), target) for x, target in ((batch, one), (fake, zero))]
            for _, logits, cache, target in judged:
                D.backward(bernoulli(logits, target)[1], cache, need_dx=False)
            played.append((D, judged))
            D = D.clone()
            D.vector.theta -= self.rate * played[-1][0].vector.grad
        logits, cache = D.forward(fake, train=train)
        loss, dlogits = bernoulli(logits, one)

        if backward:
            dfake = D.backward(scale * dlogits, cache)
            a = D.vector.grad  # dL_G / dtheta_K
            for D, judged in reversed(played):
                D.zero_grads()
                D.vector.theta_dot[...] = a
                for x, logits, cache, target in judged:
                    logits_dot, tangents = D.jvp(np.zeros_like(x), cache, move_params=True)
                    dlogits, dlogits_dot = bernoulli(logits, target)[1], bernoulli_dot(logits, logits_dot)
                    _, dx_dot = D.backward_jvp(dlogits, dlogits_dot, cache, tangents)
                dfake -= self.rate * dx_dot  # of the last call: the fakes'
                a = a - self.rate * D.vector.grad
            model.generator.backward(dfake, g_cache, need_dx=False)
        return {"generator": loss}, {"generator": generated}


class Unrolled(Model):
    def __init__(self, steps: int, rate: float = 0.5) -> None:
        generator = Sequential(Linear(3, 5), Tanh(), Linear(5, 2))
        discriminator = Sequential(Linear(2, 6), Tanh(), Linear(6, 1))
        super().__init__(Key(4), np.float64, generator=generator, discriminator=discriminator)
        self.objectives = (UnrolledGenerator(steps, rate),)


BATCH = Key(40).normal((7, 2), np.float64)
NOISE = Latents(Key(41).normal((7, 3), np.float64))


def gradient(model):
    model.zero_grads()
    terms, _ = model.objectives[0](model, BATCH, NOISE)
    return terms["generator"], model.grad.copy()


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_gradient_through_the_steps_is_exact(steps):
    prove(Unrolled(steps), BATCH, Key(42))


def test_it_is_not_the_gradient_that_forgets_how_the_steps_depend_on_the_fakes():
    """Where it is forgotten, G is trained against D_K as a constant: the difference is what unrolling is about."""
    ahead, constant = Unrolled(3), Unrolled(0)
    D, descent = constant.discriminator, SGD(constant, constant.spans("discriminator"), 0.5)
    fake, _ = constant.generator.forward(NOISE.z)
    for _ in range(3):  # the same three steps, taken for good
        constant.zero_grads()
        for x, target in ((BATCH, np.ones((7, 1))), (fake, np.zeros((7, 1)))):
            logits, cache = D.forward(x)
            D.backward(bernoulli(logits, target)[1], cache)
        descent.step()
    (exact_loss, exact), (blind_loss, blind) = gradient(ahead), gradient(constant)
    assert exact_loss == pytest.approx(blind_loss, rel=1e-14)
    assert np.linalg.norm(exact - blind) > 0.05 * np.linalg.norm(exact)


def test_the_models_own_discriminator_is_left_alone():
    model = Unrolled(3)
    theta, version = model.theta.copy(), model.discriminator.tree_version
    _, grad = gradient(model)
    assert np.array_equal(model.theta, theta)
    assert model.discriminator.tree_version == version
    assert not any(grad[span].any() for span in model.spans("discriminator"))

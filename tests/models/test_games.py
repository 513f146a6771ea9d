"""The games of two numbers: derivatives, and what is known of each update."""

import math

import numpy as np
import pytest

from minigen.losses.adversarial import GAMES
from minigen.models.games import (
    STEP,
    UPDATES,
    alternating,
    bilinear,
    dirac,
    extragradient,
    simultaneous,
    trajectory,
    unrolled,
    update_jacobian,
)

ETA = 0.2
START = np.array((1.0, 0.5))
ORIGIN = np.zeros(2)


def size(path):
    return np.hypot(path[..., 0], path[..., 1])


@pytest.mark.parametrize("gamma", [0.0, 0.7])
@pytest.mark.parametrize("name", GAMES)
def test_the_field_descends_what_both_pay_and_the_jacobian_is_its_derivative(name, gamma):
    play, w = dirac(name, gamma), np.array((0.9, -0.8))  # the hinge has no kink here
    sides = play.sides
    theta, psi = w + 1j * STEP
    paid_by_g = sides.generator.f(np.array(theta * w[1])).imag / STEP
    paid_by_d = (sides.fake.f(np.array(psi * w[0])) + gamma / 2 * psi**2).imag / STEP
    np.testing.assert_allclose(play.field(w), (-paid_by_g, -paid_by_d), rtol=1e-14)

    J = np.stack([play.field(w + 1j * STEP * e).imag / STEP for e in np.eye(2)], 1)
    np.testing.assert_allclose(play.jacobian(w), J, rtol=1e-13, atol=1e-15)


def test_the_bilinear_game_is_a_rotation():
    w = np.array(((1.0, 2.0), (3.0, -4.0)))
    assert np.array_equal(bilinear().field(w), np.stack((w[:, 1], -w[:, 0]), -1))


def test_simultaneous_steps_of_the_bilinear_game_leave_at_the_known_rate():
    path = size(trajectory(bilinear(), simultaneous, START, ETA, 200))
    np.testing.assert_allclose(path[1:] / path[:-1], math.sqrt(1 + ETA**2), rtol=1e-13)


def test_alternating_steps_of_the_bilinear_game_stay_on_an_ellipse():
    """theta^2 + psi^2 + eta theta psi never changes (with psi moved first)."""
    path = trajectory(bilinear(), alternating, START, ETA, 5000)
    theta, psi = path.T
    energy = theta**2 + psi**2 - ETA * theta * psi, theta**2 + psi**2 + ETA * theta * psi
    assert min(np.ptp(e) / e[0] for e in energy) < 1e-11
    assert 0.5 * size(path)[0] < size(path).min() < size(path).max() < 2 * size(path)[0]


@pytest.mark.parametrize("update", [extragradient, unrolled])
def test_looking_ahead_converges_in_the_bilinear_game(update):
    path = size(trajectory(bilinear(), update, START, ETA, 500))
    assert path[-1] < 1e-3 * path[0]


def test_extragradient_contracts_at_its_rate():
    path = size(trajectory(bilinear(), extragradient, START, ETA, 50))
    np.testing.assert_allclose(path[1:] / path[:-1], math.sqrt(1 - ETA**2 + ETA**4), rtol=1e-13)


@pytest.mark.parametrize("update", [simultaneous, alternating])
@pytest.mark.parametrize("name", ["minimax", "non_saturating", "wasserstein"])
def test_r1_makes_it_converge_and_without_it_the_game_does_not(update, name):
    without = size(trajectory(dirac(name), update, START, ETA, 1000))
    with_r1 = size(trajectory(dirac(name, gamma=0.5), update, START, ETA, 1000))
    assert without[-1] > 0.1  # where the eigenvalues are on the circle, higher orders decide: slowly, if at all
    assert with_r1[-1] < 1e-6


def test_the_eigenvalues_of_the_dirac_gan_are_those_of_the_paper():
    """Mescheder et al. 2018, lemmas 2.3 and 4.1, with f'(0) = 1/2."""
    for gamma in (0.0, 0.3, 1.5):
        found = np.linalg.eigvals(dirac("minimax", gamma).jacobian(ORIGIN))
        root = np.sqrt(complex(gamma**2 / 4 - 0.25))
        expected = np.array((-gamma / 2 - root, -gamma / 2 + root))
        np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(expected), atol=1e-12)


def test_the_jacobians_of_the_updates_are_those_of_the_field():
    play, w = dirac("minimax", 0.3), np.array((0.7, -0.4))
    J, one = play.jacobian(w), np.eye(2)
    np.testing.assert_allclose(update_jacobian(play, simultaneous, w, ETA), one + ETA * J, rtol=1e-13)

    ahead = play.jacobian(simultaneous(play, w, ETA))
    np.testing.assert_allclose(update_jacobian(play, extragradient, w, ETA), one + ETA * ahead @ (one + ETA * J), rtol=1e-13)

    G, D = np.diag((1, 0)), np.diag((0, 1))
    after_d = play.jacobian(w + ETA * play.field(w) * (0, 1))
    expected = (one + ETA * G @ after_d) @ (one + ETA * D @ J)
    np.testing.assert_allclose(update_jacobian(play, alternating, w, ETA), expected, rtol=1e-13)


@pytest.mark.parametrize(("name", "inside"), [("simultaneous", 1), ("alternating", 0), ("extragradient", -1), ("unrolled", -1)])
def test_where_the_eigenvalues_of_each_update_lie(name, inside):
    """Outside the unit circle, on it, or within."""
    moduli = np.abs(np.linalg.eigvals(update_jacobian(bilinear(), UPDATES[name], ORIGIN, ETA)))
    assert (np.abs(moduli - 1) < 1e-12).all() if inside == 0 else (np.sign(moduli - 1) == inside).all()


def test_unrolling_is_the_derivative_through_the_steps():
    """theta moves against the slope of what G pays at psi_K(theta), by the complex step through the recursion."""
    play, w, K = dirac("non_saturating", 0.2), np.array((0.8, -0.6)), 3
    theta, psi = w[0] + 1j * STEP, w[1] + 0j
    for _ in range(K):
        psi = psi + ETA * play.field(np.array((theta, psi)))[1]
    slope = play.sides.generator.f(np.array(psi * theta)).imag / STEP
    moved = unrolled(play, w, ETA, steps=K)
    assert moved[0] == pytest.approx(w[0] - ETA * slope, rel=1e-14)
    assert moved[1] == simultaneous(play, w, ETA)[1]
    assert np.array_equal(unrolled(play, w, ETA, steps=0), simultaneous(play, w, ETA))

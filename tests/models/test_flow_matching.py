"""Flow matching: proved, regressed on what theory says, its flow and its likelihood exact, its drawing true."""

import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from minigen.check import prove
from minigen.data import density
from minigen.layers.layer import Layer
from minigen.metrics.energy_distance import energy_distance, floor
from minigen.models.drawn_field import draw_field, field_panel
from minigen.models.flow_matching import FlowMatching
from minigen.models.integrators import euler, grid, heun, integrator
from minigen.models.mixture_path import path_log_density, path_score, path_velocity
from minigen.random import Key
from minigen.training import Run

KEY = Key(0)
RING = density("gaussians8")
POINTS = RING.sample(9, KEY.at("points"))


def small(dims=2, dtype=np.float64, width=8, **options):
    return FlowMatching((dims,), KEY.at("model"), dtype, width=width, **options)


class Exact(Layer):
    """The velocity in closed form, plus a perturbation of it, in the place of a network."""

    def __init__(self, extra=lambda x, t: 0 * x):
        super().__init__()
        self.extra = extra

    def at(self, x, t):
        """v at places x and times t, both (n, ...): as path_velocity has it, one row at a time."""
        rows = [path_velocity(*RING.modes, one[None], float(when))[0] for one, when in zip(x, t, strict=True)]
        return np.stack(rows) + self.extra(x, t[:, None])

    def forward(self, x, *, train=False, key=None):
        x, t = x
        if (t == t[0]).all():
            return path_velocity(*RING.modes, x, float(t[0])) + self.extra(x, t[:, None]), (x, t)
        return self.at(x, t), (x, t)

    def jvp(self, x_dot, cache, *, move_params=False):
        (x, t), h = cache, 1e-30
        return path_velocity(*RING.modes, x + 1j * h * x_dot[0], float(t[0])).imag / h, None


def with_exact_velocity(extra=lambda x, t: 0 * x):
    model = small()
    model.field = Exact(extra)
    return model


# ---- the proof, and what is regressed on


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_it_is_proved(dims):
    prove(small(dims), KEY.at("rows").normal((5, dims), np.float64), KEY.at("proof"))


def test_it_is_proved_on_images():
    images = KEY.at("images").uniform((2, 4, 8, 1), np.float64)
    prove(FlowMatching((4, 8, 1), KEY.at("model"), np.float64, width=16), 2 * images - 1, KEY.at("proof"))


def test_images_are_scaled_and_samples_are_images():
    model = FlowMatching((8, 8, 1), KEY.at("model"), width=16, integration_steps=2)
    model.start(1e-3, 4)
    batch = SimpleNamespace(images=np.linspace(0, 1, 128, dtype=np.float32).reshape(2, 8, 8, 1))
    rows = model.batch_of(batch)
    assert (rows.min(), rows.max()) == (-1, 1)
    assert set(model.step(rows, KEY.at("step"))) == set(model.evaluate(rows, KEY.at("e"))) == {"velocity"}
    np.testing.assert_array_equal(rows, 2 * batch.images - 1)
    assert small().batch_of(batch) is batch.images
    drawn = model.sample(3, KEY.at("s"))
    np.testing.assert_array_equal(drawn, ((model.flow(model.noise(3, KEY.at("s")), 0, 1) + 1) / 2).clip(0, 1))
    assert drawn.shape == (3, 8, 8, 1)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert set(model.pictures(batch, KEY.at("p"))) == {"samples"}
    with pytest.raises(ValueError, match=r"for points, not rows \(8, 8, 1\)"):
        model.log_likelihood(rows)
    with pytest.raises(ValueError, match=r"multiples of 4; got \(10, 8, 1\)"):
        FlowMatching((10, 8, 1), KEY)


def test_the_network_is_told_times_that_it_can_tell_apart():
    """Its sines and cosines turn over 0 .. 1000, not 0 .. 1."""
    model, seen = FlowMatching((8, 8, 1), KEY, np.float64, width=16), []
    real = model.field.forward
    model.field.forward = lambda x, **how: (seen.append(x[1]), real(x, **how))[1]
    rows = KEY.at("rows").normal((50, 8, 8, 1), np.float64)
    (regression,) = model.objectives
    noise = regression.draw(model, rows, KEY.at("draw"))
    regression(model, rows, noise, backward=False)
    model.velocity(rows[:2], 0.25)
    np.testing.assert_allclose(seen[0], 1000 * noise.t)
    np.testing.assert_allclose(seen[1], 250)


@pytest.mark.parametrize(
    "off",
    [lambda x, t: 0 * x + np.array((0.3, -0.2)), lambda x, t: 0.2 * x, lambda x, t: 0.5 * t * np.sin(x[:, ::-1])],
    ids=["constant", "linear", "by time"],
)
def test_the_exact_velocity_is_the_minimum(off):
    """L(v + d) = L(v) + E d^2 for any d, if v is the conditional mean of what is regressed on: the cross term is 0."""
    rows = RING.sample(4000, KEY.at("many"))
    exact, moved = with_exact_velocity(), with_exact_velocity(off)
    (regression,) = exact.objectives
    noise = regression.draw(exact, rows, KEY.at("draw"))
    x_t = (1 - noise.t[:, None]) * noise.x0 + noise.t[:, None] * rows
    d = off(x_t, noise.t[:, None])
    cross = ((exact.field.at(x_t, noise.t) - (rows - noise.x0)) * d).mean(1)  # (N,)
    assert abs(cross.mean()) < 4 * cross.std() / math.sqrt(len(cross))
    best, other = (regression(m, rows, noise, backward=False)[0]["velocity"] for m in (exact, moved))
    assert other - best == pytest.approx((d * d).mean() + 2 * cross.mean(), rel=1e-9)
    assert other - best > 0.6 * (d * d).mean()


def test_times_and_beginnings_are_drawn_as_they_should():
    rows = np.zeros((20_000, 2))
    noise = small().objectives[0].draw(small(), rows, KEY.at("draws"))
    assert 0 <= noise.t.min() < noise.t.max() < 1
    assert noise.t.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 20_000))
    np.testing.assert_allclose(np.cov(noise.x0.T), np.eye(2), atol=0.05)
    assert abs(np.corrcoef(noise.t, noise.x0[:, 0])[0, 1]) < 0.03
    for dtype in (np.float32, np.float64):
        noise = small().objectives[0].draw(small(), rows[:3].astype(dtype), KEY)
        assert noise.x0.dtype == noise.t.dtype == dtype


def test_a_forward_that_is_given_is_not_computed_again():
    model, (regression,) = small(), small().objectives
    noise = regression.draw(model, POINTS, KEY)
    terms, forwards = regression(model, POINTS, noise)
    v, cache = forwards["field"]
    again, _ = regression(model, POINTS, noise, forwards={"field": (v + 1, cache)}, backward=False)
    assert again["velocity"] == pytest.approx(((v + 1 - (POINTS - noise.x0)) ** 2).mean())
    assert again["velocity"] != terms["velocity"]


# ---- the closed forms


def test_the_path_begins_at_noise_and_ends_at_the_mixture():
    x = KEY.at("places").normal((20, 2), np.float64)
    gaussian = -0.5 * (x**2).sum(1) - math.log(2 * math.pi)
    np.testing.assert_allclose(path_log_density(*RING.modes, x, 0.0), gaussian, rtol=1e-13)
    np.testing.assert_allclose(path_log_density(*RING.modes, POINTS, 1.0), RING.log_density(POINTS), rtol=1e-13)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_velocity_and_score_belong_to_the_density(t):
    """The continuity equation, d log p / dt = -div v - v . grad log p, and grad log p, by central differences."""
    x, h = 2 * KEY.at("places").normal((20, 2), np.float64), 1e-5
    lopsided = 1 + 2 * KEY.at("means").normal((5, 2), np.float64), 0.7
    log_p, v = partial(path_log_density, *lopsided), partial(path_velocity, *lopsided)
    grad = np.stack([(log_p(x + h * e, t) - log_p(x - h * e, t)) / (2 * h) for e in np.eye(2)], 1)
    np.testing.assert_allclose(path_score(*lopsided, x, t), grad, atol=1e-7)
    div = sum((v(x + h * e, t) - v(x - h * e, t))[:, i] / (2 * h) for i, e in enumerate(np.eye(2)))
    change = (log_p(x, t + h) - log_p(x, t - h)) / (2 * h)
    np.testing.assert_allclose(change, -div - (v(x, t) * grad).sum(1), atol=1e-6)


def test_far_away_there_is_one_mode():
    x, (means, sigma) = np.array([[0.0, 400.0]]), RING.modes
    nearest = means[means[:, 1].argmax()]
    np.testing.assert_allclose(path_score(means, sigma, x, 1.0), (nearest - x) / sigma**2)
    np.testing.assert_allclose(path_velocity(means, sigma, x, 1.0), x)  # v is then x itself
    assert np.isfinite(path_log_density(means, sigma, x, 1.0))


# ---- integration


def test_times_in_equal_steps():
    assert grid(1, 0, 4) == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(("rule", "order"), [(euler, 1), (heun, 2)])
def test_orders(rule, order):
    """dx/dt = t x and its integral along the way, both at once: halving h divides the error by 2^order, backwards too."""
    f = lambda state, t: (t * state[0], state[0])
    for start, end in ((0.0, 1.0), (1.0, 0.0)):
        x = np.array((1.0, -2.0))
        exact = x * math.exp((end**2 - start**2) / 2)
        errors = [np.abs(rule(f, (x, 0 * x), grid(start, end, n))[0] - exact).max() for n in (40, 80)]
        assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)
    area = 1.1949576619  # of exp(t^2 / 2) from 0 to 1
    errors = [abs(rule(f, (np.ones(1), np.zeros(1)), grid(0, 1, n))[1][0] - area) for n in (40, 80)]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)


def test_one_step_of_each_by_hand():
    f = lambda x, t: x * x + t
    x = np.array((0.5,))
    np.testing.assert_allclose(euler(f, x, [0.0, 0.2]), 0.5 + 0.2 * 0.25)
    np.testing.assert_allclose(heun(f, x, [0.0, 0.2]), 0.5 + 0.1 * (0.25 + 0.55**2 + 0.2))


def test_what_there_is_no_integration_for():
    with pytest.raises(ValueError, match="unknown integrator 'rk4': there is euler, heun"):
        integrator("rk4")
    with pytest.raises(ValueError, match="unknown integrator 'rk4'"):
        small(integrator="rk4")
    with pytest.raises(ValueError, match="at least one step, not 0"):
        small(integration_steps=0)


# ---- the flow and its likelihood


def test_steps_of_the_flow_by_hand():
    model, x = small(), POINTS
    halfway = x + 0.5 * model.velocity(x, 0.0)
    np.testing.assert_allclose(model.flow(x, 0, 1, "euler", 2), halfway + 0.5 * model.velocity(halfway, 0.5), rtol=1e-12)
    ahead = x + model.velocity(x, 0.0)
    expected = x + 0.5 * (model.velocity(x, 0.0) + model.velocity(ahead, 1.0))
    np.testing.assert_allclose(model.flow(x, 0, 1, steps=1), expected, rtol=1e-12)


def test_the_exact_velocity_carries_noise_to_the_data():
    model = with_exact_velocity()
    x = model.flow(model.noise(1500, KEY.at("noise")), 0, 1, steps=40)
    beside = floor(RING.sample, 1500, KEY.at("floor"), repeats=6)
    assert abs(energy_distance(x, RING.sample(1500, KEY.at("true")))) < 5 * beside.spread
    assert energy_distance(model.flow(x, 1, 0, steps=40), model.noise(1500, KEY.at("other noise"))) < 5 * beside.spread


def test_the_likelihood_of_the_exact_velocity_is_the_density():
    model = with_exact_velocity()
    errors = [np.abs(model.log_likelihood(POINTS, steps) - RING.log_density(POINTS)).max() for steps in (100, 200)]
    assert errors[1] < 2e-3
    assert errors[0] / errors[1] > 3  # of second order


def test_the_likelihood_of_any_network_integrates_to_one():
    model = small(width=12)
    axis = np.arange(-9, 9, 0.15)
    x = np.stack(np.meshgrid(axis, axis), 2).reshape(-1, 2)
    assert (np.exp(model.log_likelihood(x, 20)) * 0.15**2).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("dims", [1, 3])
def test_the_divergence_is_the_trace_of_the_jacobian(dims):
    model, h = small(dims), 1e-30
    x, t = KEY.at("x").normal((6, dims), np.float64), KEY.at("t").uniform(6, np.float64)
    twin = model.astype(np.complex128)
    trace = sum(twin.field.forward((x + 1j * h * e, t + 0j))[0][:, i].imag / h for i, e in enumerate(np.eye(dims)))
    np.testing.assert_allclose(model._divergence(x, t, model.field.forward((x, t))[1]), trace, rtol=1e-10)


def test_samples_and_figures_are_those_of_the_averaged_parameters():
    model = small()
    model.start(1e-2, 10)
    for i in range(3):
        model.step(POINTS, KEY.at("step", i))
    plain = model.astype(np.float64)
    assert not plain.averages
    with model.averaged():
        slow = model.astype(np.float64)
    before = model.theta.copy()
    drawn, figures = model.sample(5, KEY.at("s")), model.evaluate(POINTS, KEY.at("e"))
    np.testing.assert_array_equal(model.theta, before)
    np.testing.assert_array_equal(drawn, slow.sample(5, KEY.at("s")))
    assert np.abs(drawn - plain.sample(5, KEY.at("s"))).max() > 1e-4
    assert figures == slow.evaluate(POINTS, KEY.at("e"))
    assert set(figures) == {"velocity", "negative_log_likelihood"}
    assert figures["negative_log_likelihood"] == -slow.log_likelihood(POINTS).mean()
    np.testing.assert_array_equal(drawn, slow.flow(slow.noise(5, KEY.at("s")), 0.0, 1.0))


def test_a_step_is_one_update_by_one_gradient():
    model, alone = small(decay=0.05), small()
    for one in (model, alone):
        one.start(1e-2, 40)
    alone.grad += 7  # what an earlier step has left
    for i in range(2):
        model.step(POINTS, KEY.at("step", i))
        alone.step(POINTS, KEY.at("step", i))
    np.testing.assert_array_equal(model.theta, alone.theta)
    adam = model.optimizers["adam"]
    assert adam.current_rate == pytest.approx(0.5e-2 * (1 + math.cos(math.pi * 2 / 40)))
    assert (adam.t, model.averages["field"].t, model.averages["field"].decay) == (2, 2, 0.05)


def test_it_learns_the_ring():
    model = small(dtype=np.float32, width=64, decay=0.98)
    model.start(5e-3, 600)
    for i in range(600):
        model.step(RING.sample(256, KEY.at("data", i)).astype(np.float32), KEY.at("step", i))
    true = RING.sample(2000, KEY.at("true"))
    assert energy_distance(model.sample(2000, KEY.at("s")), true) < 0.03  # a Gaussian of the same variance has 0.17
    assert -model.log_likelihood(true[:500].astype(np.float32)).mean() < RING.entropy + 0.4


# ---- a run, and its pictures


def test_a_run_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(FlowMatching, "pictures", lambda self, batch, key: {})
    given = {"steps": 4, "batch": 8, "options": {"width": 4}, "data_options": {"rows": 40}}
    whole, cut = (Run.create("flow_matching", out=tmp_path / name, **given) for name in ("whole", "cut"))
    whole.train()
    assert cut.train(minutes=0).step == 1
    assert Run.resume(tmp_path / "cut").train().step == 4
    contents = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("whole", "cut")]
    assert contents[0] == contents[1]


def test_the_pictures_of_points():
    model = small(dtype=np.float32)
    pictures = model.pictures(SimpleNamespace(images=POINTS.astype(np.float32)), KEY.at("pictures"))
    assert pictures["samples"].shape == (10_000, 2)
    assert pictures["field"].shape[:2] == (1, 5)
    assert pictures["field"].min() >= 0
    assert pictures["field"].max() <= 1
    assert np.ptp(pictures["field"]) > 0.5


def test_arrows_point_along_the_field_and_none_is_longer_than_the_grid():
    drawn = {}
    axes = SimpleNamespace(
        imshow=lambda counts, **_: drawn.update(counts=counts),
        quiver=lambda x, y, u, v, **how: drawn.update(at=np.stack((x, y), 1), v=np.stack((u, v), 1), alpha=how["alpha"]),
        set=lambda **_: None,
    )
    turn = lambda x: 3 * np.stack((-x[:, 1], x[:, 0]), 1)
    cloud = np.array((2.0, -1.0)) + 0.1 * KEY.at("cloud").normal((500, 2), np.float64)
    draw_field(axes, turn, cloud, 4.0, arrows=9)
    np.testing.assert_allclose(np.unique(drawn["at"]), (np.arange(9) - 4) * 8 / 9, atol=1e-12)
    wanted = turn(drawn["at"])
    across = wanted[:, 0] * drawn["v"][:, 1] - wanted[:, 1] * drawn["v"][:, 0]
    np.testing.assert_allclose(across, 0, atol=1e-12)
    assert ((wanted * drawn["v"]).sum(1) >= 0).all()
    lengths = np.hypot(*drawn["v"].T)
    assert 0.7 < lengths.max() <= 8 / 9
    strong = drawn["at"][drawn["alpha"] > 0.5]
    assert 0 < len(strong) < 6
    assert (np.hypot(*(strong - (2.0, -1.0)).T) < 0.8).all()
    row, column = np.unravel_index(drawn["counts"].argmax(), drawn["counts"].shape)
    assert column > 45 > row  # x to the right, y upwards


def test_a_panel_is_an_image():
    panel = field_panel(lambda x: 0 * x + 1, POINTS, 6.0, "t = 0.5", side=120)
    assert panel.shape == (120, 120, 3)
    assert panel[:, :60].std() > 0.01

"""Diffusion without a network: schedules, Gaussians, samplers and the bound, on data whose best denoiser has a formula."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import ndtr

from minigen.models import diffusion_bound
from minigen.models import diffusion_sampling as sampling
from minigen.models.diffusion_sampling import Seen
from minigen.models.schedules import PREDICTIONS, Schedule, cosine, linear, schedule
from minigen.random import Key

KEY = Key(0)


class Mixture:
    """Numbers from Gaussians of weights p, means m and standard deviations c: (N, 1) rows, everything in closed form."""

    def __init__(self, plan, p, m, c):
        self.plan, self.p, self.m, self.c = plan, *map(np.array, (p, m, c))

    def at(self, x, t):
        """Of every component at step t: its share of x, its mean and its variance."""
        a, s = (float(scale[0, 0]) for scale in self.plan.scales(int(t), np.zeros((1, 1))))
        mean, var = a * self.m, a * a * self.c**2 + s * s
        density = self.p * np.exp(-((x - mean) ** 2) / (2 * var)) / np.sqrt(var)
        return density / density.sum(1, keepdims=True), mean, var

    def score(self, x, t):
        share, mean, var = self.at(x, t)
        return (share * (mean - x) / var).sum(1, keepdims=True)

    def denoise(self, x, t):
        """E[x_0 | x_t], not by the score: by each component's own regression of x_0 on x_t."""
        a, s = (float(scale[0, 0]) for scale in self.plan.scales(int(t), np.zeros((1, 1))))
        share, mean, var = self.at(x, t)
        x0 = (share * (self.m + a * self.c**2 / var * (x - mean))).sum(1, keepdims=True)
        return Seen(x0, (x - a * x0) / s)

    def sample(self, n, key):
        which = np.searchsorted(np.cumsum(self.p), key.at("which").uniform(n, np.float64)).clip(0, len(self.p) - 1)
        return (self.m[which] + self.c[which] * key.at("x").normal(n, np.float64))[:, None]

    def cdf(self, x):
        return (self.p * ndtr((x - self.m) / self.c)).sum(1)


PLAN = cosine(200)
TWO = Mixture(PLAN, (0.3, 0.7), (-1.5, 0.8), (0.2, 0.4))
NOISE = KEY.at("noise").normal((4000, 1), np.float64)


def distance(x, mixture=TWO):
    """The largest difference of the two distribution functions (Kolmogorov and Smirnov)."""
    x = np.sort(x, 0)
    return float(np.abs(mixture.cdf(x) - (np.arange(len(x)) + 0.5) / len(x)).max())


# ---- schedules


def test_the_linear_schedule_is_the_papers():
    plan = linear(1000)
    beta = 1 - plan.alpha_bar[1:] / plan.alpha_bar[:-1]
    np.testing.assert_allclose(beta, np.linspace(1e-4, 0.02, 1000), rtol=1e-9)
    assert plan.alpha_bar[-1] == pytest.approx(4.036e-5, rel=1e-3)
    assert 0.01 < linear(100).alpha_bar[-1] / plan.alpha_bar[-1] < 2


def test_the_cosine_schedule_is_the_papers():
    plan = cosine(1000)
    at = lambda t: np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    for t in (1, 10, 500, 900):
        assert plan.alpha_bar[t] == pytest.approx(at(t) / at(0), rel=1e-9)
    assert 1 - plan.alpha_bar[-1] / plan.alpha_bar[-2] == pytest.approx(0.999)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: schedule("square", 10), "unknown schedule 'square': there is linear, cosine"),
        (lambda: linear(20), "at least 21 steps, got T = 20"),
        (lambda: cosine(0), "at least one step"),
        (lambda: Schedule([1.0, 0.5, 0.5]), "falls from alpha_bar_0 = 1"),
        (lambda: sampling.times(10, 11), r"in 1 \.\. 10 steps, not in 11"),
        (lambda: list(sampling.ddim(TWO.denoise, PLAN, NOISE, [9, 0], KEY, 1.5)), "eta = 1.5 is outside"),
        (lambda: list(sampling.ddim(TWO.denoise, PLAN, NOISE, [9, 0], None, 1.0)), "give it a key"),
    ],
)
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# ---- Gaussians


def test_many_small_steps_are_one_large_one():
    """The chain x_t = sqrt(1 - beta) x + sqrt(beta) z, simulated, has the moments of q(x_t | x_0)."""
    plan, x = cosine(30), np.full(100_000, 1.7)
    for t in range(1, 21):
        kept = plan.alpha_bar[t] / plan.alpha_bar[t - 1]
        x = np.sqrt(kept) * x + np.sqrt(1 - kept) * KEY.at("chain", t).normal(len(x), np.float64)
    a, s = (float(scale[0]) for scale in plan.scales(20, x))
    assert abs(x.mean() - 1.7 * a) < 5 * s / len(x) ** 0.5
    assert abs(x.var() / s**2 - 1) < 5 * (2 / len(x)) ** 0.5
    once = plan.diffuse(np.full(100_000, 1.7), 20, KEY.at("once").normal(100_000, np.float64))
    assert abs(once.mean() - x.mean()) < 8 * s / len(x) ** 0.5


@pytest.mark.parametrize(("t", "r"), [(1, 0), (2, 1), (50, 49), (200, 150), (77, 3)])
def test_the_posterior_is_bayes_rule(t, r):
    """Precisions add: q(x_r | x_0) as a prior, q(x_t | x_r) as a likelihood of x_r."""
    bar_t, bar_r = PLAN.alpha_bar[t], PLAN.alpha_bar[r]
    q = PLAN.posterior(t, r, np.zeros((1, 1)))
    of_x0, of_xt, var = (float(part[0, 0]) for part in q)
    if r == 0:
        assert (of_x0, of_xt, var) == (1.0, 0.0, 0.0)
        return
    left = bar_t / bar_r
    precision = 1 / (1 - bar_r) + left / (1 - left)
    assert var == pytest.approx(1 / precision, rel=1e-9)
    assert of_x0 == pytest.approx(np.sqrt(bar_r) / (1 - bar_r) / precision, rel=1e-9)
    assert of_xt == pytest.approx(np.sqrt(left) / (1 - left) / precision, rel=1e-9)


def test_noise_data_and_v_are_each_others():
    x0, eps = KEY.at("x0").normal((5, 3, 2), np.float64), KEY.at("eps").normal((5, 3, 2), np.float64)
    t = np.array([1, 4, 90, 199, 200])
    x_t = PLAN.diffuse(x0, t, eps)
    for kind in PREDICTIONS:
        y = PLAN.target(kind, x0, t, eps)
        np.testing.assert_allclose(PLAN.data(kind, y, x_t, t), x0, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(PLAN.noise(kind, y, x_t, t), eps, rtol=1e-6, atol=1e-8)
    a, s = PLAN.scales(t, x0)
    np.testing.assert_allclose(PLAN.target("v", x0, t, eps), a * eps - s * x0)
    assert PLAN.diffuse(x0.astype(np.float32), t, eps.astype(np.float32)).dtype == np.float32


# ---- the score


@pytest.mark.parametrize("t", [1, 20, 100, 190])
def test_the_best_eps_is_minus_s_times_the_score(t):
    x = np.linspace(-3, 3, 41)[:, None]
    s = float(PLAN.scales(t, x)[1][0, 0])
    np.testing.assert_allclose(-TWO.denoise(x, t).eps / s, TWO.score(x, t), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("t", [10, 60, 150])
def test_denoising_is_score_matching(t):
    """E (eps + s score(x_t)) f(x_t) = 0 for every f: so -s score is where the squared error on eps is least (Vincent 2011)."""
    n = 200_000
    x0, eps = TWO.sample(n, KEY.at("data")), KEY.at("eps").normal((n, 1), np.float64)
    x_t, s = PLAN.diffuse(x0, t, eps), float(PLAN.scales(t, x0)[1][0, 0])
    error = eps + s * TWO.score(x_t, t)
    for f in (np.ones_like, lambda x: x, np.sin, lambda x: x**2):
        products = error * f(x_t)
        assert abs(products.mean()) < 5 * products.std() / n**0.5
    assert (error**2).mean() < ((eps + 1.1 * s * TWO.score(x_t, t)) ** 2).mean()


# ---- sampling


def ways(denoise=TWO.denoise, noise=NOISE):
    full, few = sampling.times(200, 200), sampling.times(200, 40)
    return {
        "ancestral": sampling.ancestral(denoise, PLAN, noise, full, KEY.at("a")),
        "ddim": sampling.ddim(denoise, PLAN, noise, few),
        "ddim with noise": sampling.ddim(denoise, PLAN, noise, full, KEY.at("b"), 0.5),
        "heun": sampling.heun(denoise, PLAN, noise, few),
        "langevin": sampling.langevin(denoise, PLAN, noise, sampling.levels(PLAN, 30, 20.0, 0.02), KEY.at("c"), repeats=20),
    }


@pytest.mark.parametrize("name", list(ways()))
def test_every_sampler_draws_from_the_data(name):
    """A perfect sample of 4,000 is nearer than 0.032 in 99.9 % of cases; steps of finite length may add a little."""
    assert distance(sampling.last(ways()[name])) < 0.045
    assert distance(NOISE) > 0.15


def test_eta_1_on_all_steps_is_the_posterior():
    at = sampling.times(200, 200)
    ours = list(sampling.ddim(TWO.denoise, PLAN, NOISE[:50], at, KEY, 1.0))
    theirs = list(sampling.ancestral(TWO.denoise, PLAN, NOISE[:50], at, KEY))
    assert len(ours) == len(theirs) == 200
    for one, other in zip(ours, theirs, strict=True):
        assert one.t == other.t
        np.testing.assert_allclose(one.x, other.x, rtol=1e-8, atol=1e-9)


def test_no_noise_is_drawn_in_the_last_step_and_with_eta_0_none_at_all():
    for key in (KEY.at("one"), KEY.at("other")):
        *_, before, end = ways()["ancestral"]
        again = sampling.last(sampling.ancestral(TWO.denoise, PLAN, before.x, [before.t, 0], key))
        np.testing.assert_array_equal(again, end.x)
        np.testing.assert_array_equal(end.x, TWO.denoise(before.x, before.t).x0)
        eta = sampling.last(sampling.ddim(TWO.denoise, PLAN, before.x, [before.t, 0], key, 1.0))
        np.testing.assert_allclose(eta, end.x, rtol=1e-12)
    one, other = (sampling.last(sampling.ddim(TWO.denoise, PLAN, NOISE, [200, 90, 0], KEY.at(i), 0.0)) for i in range(2))
    np.testing.assert_array_equal(one, other)


def test_heuns_error_is_of_second_order():
    """For one Gaussian the flow has a formula: x keeps its place among the others, z = (x - a m) / sqrt(a^2 c^2 + s^2)."""
    plan = cosine(1000)
    one, noise = Mixture(plan, (1.0,), (0.7,), (0.5,)), np.linspace(-2, 2, 9)[:, None]

    def place(x, t):
        a, s = plan.scales(t, x)
        return (x - a * 0.7) / np.sqrt(a * a * 0.25 + s * s)

    errors = {"ddim": [], "heun": []}
    for jumps in (10, 20, 40):  # to the step before the last, which is the same in both
        at = [*sampling.times(900, jumps)[:-1], 20]
        for name in errors:
            x = sampling.last(getattr(sampling, name)(one.denoise, plan, noise, at))
            errors[name].append(np.abs(place(x, 20) - place(noise, 900)).max())
    falls = {name: np.divide(found[:-1], found[1:]) for name, found in errors.items()}
    assert ((falls["ddim"] > 1.6) & (falls["ddim"] < 2.6)).all(), errors
    assert (falls["heun"] > 3.2).all(), errors
    assert errors["heun"][0] < errors["ddim"][1]


def test_langevins_dynamics_stay_in_the_noisy_data():
    """At one level they leave q(x_t) alone, wherever they began; on the way to the next, u = x / a is kept."""
    t, r = 100, 40
    a, s = (float(scale[0, 0]) for scale in PLAN.scales(t, np.zeros((1, 1))))
    noisy = Mixture(PLAN, TWO.p, a * TWO.m, np.sqrt(a**2 * TWO.c**2 + s**2))
    x = sampling.last(sampling.langevin(TWO.denoise, PLAN, NOISE, [t, r], KEY.at("stay"), repeats=120, rate=0.05))
    assert distance(x * a / float(PLAN.scales(r, x)[0][0, 0]), noisy) < 0.035
    assert distance(NOISE, noisy) > 0.05


def test_levels_fall_by_about_one_factor_and_end_at_data():
    at = sampling.levels(PLAN, 12, 20.0, 0.05)
    sigma = np.sqrt(1 / PLAN.alpha_bar[at[:-1]] - 1)
    assert at[-1] == 0
    assert 15 < sigma[0] < 25
    assert 0.04 < sigma[-1] < 0.06
    factors = sigma[:-1] / sigma[1:]
    assert factors.max() < 2 * factors.min()


# ---- the bound


def model_of(mixture, plan, variance="small"):
    """What `bound` asks of a model, with the best denoiser there is."""

    def denoise(x_t, t, labels=None):
        x0 = np.concatenate([mixture.denoise(x[None], step).x0 for x, step in zip(x_t, t, strict=True)])
        return Seen(x0, x_t)

    return SimpleNamespace(parts=lambda batch: (batch, None), schedule=plan, denoise=denoise, variance=variance)


def test_the_grey_levels_share_out_all_of_the_mass():
    levels = (2 * np.arange(256) / 255 - 1)[:, None]
    for mean, std in ((0.13, 0.02), (-1.0, 0.3), (3.0, 0.05)):
        log_p = diffusion_bound.log_mass(levels, np.full((256, 1), mean), std)
        assert np.exp(log_p).sum() == pytest.approx(1, rel=1e-9)
    plain = ndtr((levels[100] + 1 / 255 - 0.1) / 0.5) - ndtr((levels[100] - 1 / 255 - 0.1) / 0.5)
    assert diffusion_bound.log_mass(levels[100], np.array([0.1]), 0.5) == pytest.approx(np.log(plain), rel=1e-9)
    far = diffusion_bound.log_mass(levels, np.full((256, 1), -levels[:, :1]), 0.01)
    assert np.isfinite(far).all()
    assert far.min() < -10_000


def test_the_whole_bound_of_the_best_denoiser_is_little_above_the_entropy():
    """Data N(0.1, 0.3^2) in one dimension, in grey levels: -log p is known, and with many steps the bound comes near it.

    A number is not known when its noise is nearly gone, so the larger variance is the right one.
    """
    plan = cosine(100)
    data = Mixture(plan, (1.0,), (0.1,), (0.3,))
    x = np.rint((data.sample(500, KEY.at("bound")).clip(-1, 1) + 1) * 127.5) / 127.5 - 1
    truth = -diffusion_bound.log_mass(x, np.full_like(x, 0.1), 0.3).mean() / np.log(2)
    small, large = (
        diffusion_bound.bound(model_of(data, plan, variance), x, KEY.at("whole"), whole=True) for variance in ("small", "large")
    )
    assert large["bits"] == pytest.approx(large["bits_prior"] + large["bits_steps"] + large["bits_pixels"])
    assert truth - 0.02 < large["bits"] < truth + 0.2, (truth, large)
    assert large["bits"] < small["bits"] < truth + 1.5, (truth, small)
    assert large["bits_prior"] < 1e-3


def test_a_sample_of_its_terms_estimates_the_bound_without_bias():
    plan = cosine(12)
    data = Mixture(plan, (0.5, 0.5), (-0.5, 0.6), (0.1, 0.2))
    x = data.sample(40, KEY.at("rows"))
    whole = [diffusion_bound.bound(model_of(data, plan), x, KEY.at("w", i), whole=True)["bits"] for i in range(30)]
    parts = [diffusion_bound.bound(model_of(data, plan), x, KEY.at("p", i))["bits"] for i in range(300)]
    spread = np.hypot(np.std(parts) / 300**0.5, np.std(whole) / 30**0.5)
    assert abs(np.mean(parts) - np.mean(whole)) < 4 * spread
    assert spread < 0.05 * abs(np.mean(whole))


def test_the_prior_is_what_noise_still_tells():
    plan = Schedule([1.0, 0.5, 0.2])
    x = KEY.at("prior").normal((3, 4), np.float64)
    a2, s2 = 0.2, 0.8
    expected = 0.5 * (a2 * x**2 + s2 - 1 - np.log(s2)).sum(1)
    np.testing.assert_allclose(diffusion_bound.prior_kl(model_of(TWO, plan), x), expected, rtol=1e-12)

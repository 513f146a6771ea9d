# %% [markdown]
# # Lesson 04: diffusion
#
# Destroying data is easy: add noise until nothing is left. A diffusion model learns to undo one small step of that, and
# then undoes all of them. The lesson derives the bound that says what to learn, watches it shrink to one line (guess the
# noise), and shows that the same network is a denoiser, a sampler of several kinds, a slope of log densities, and a flow.
#
# Read it beside `minigen/models/schedules.py`, `minigen/models/denoising.py` and `minigen/models/diffusion_sampling.py`.
# The bound of section 3 is that of lesson 03. Run it from the root of the repository: `python lessons/04_diffusion.py`. It
# takes about a minute and puts its figure into `lessons/out`. Two environment variables change that:
# `MINIGEN_LESSON_STEPS` is the number of training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from minigen.check import prove
from minigen.data import load
from minigen.metrics.energy_distance import energy_distance
from minigen.models.ddpm import DDPM
from minigen.models.diffusion_sampling import ancestral, ddim, last
from minigen.models.drawn_field import draw_field
from minigen.models.flow_matching import FlowMatching
from minigen.models.schedules import linear, schedule
from minigen.random import Key

FULL = 6000
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)

# %% [markdown]
# ## 1. There: many small steps are one
#
# A row x_0 becomes noise in T steps. Each keeps most of it and adds a little noise, as much as was lost, so that the
# variance of normalised data stays 1:
#
#     x_t = sqrt(1 - beta_t) x_(t-1) + sqrt(beta_t) z_t,      z_t ~ N(0, 1)
#
# Put the first step into the second. The two noises are Gaussian and independent, and their variances add:
#
#     x_2 = sqrt(1 - beta_2) sqrt(1 - beta_1) x_0 + [ sqrt(1 - beta_2) sqrt(beta_1) z_1 + sqrt(beta_2) z_2 ]
#     variance of [..] = (1 - beta_2) beta_1 + beta_2 = 1 - (1 - beta_1) (1 - beta_2)
#
# With alpha_bar_t the product of all 1 - beta up to t, the same line again and again gives
#
#     x_t = a x_0 + s eps,      a = sqrt(alpha_bar_t),  s = sqrt(1 - alpha_bar_t),  eps ~ N(0, 1)
#
# We may jump to any t at once, which is what makes training cheap. At the end alpha_bar_T is nearly 0: x_T is N(0, 1)
# whatever x_0 was. (Ho et al. 2020 let beta grow in a straight line. Nichol and Dhariwal 2021 let alpha_bar fall like a
# squared cosine, which wastes fewer steps on pure noise.)

# %%
plan = schedule("cosine", 200)
x = np.full(100_000, 1.5)
for t in range(1, 51):
    kept = plan.alpha_bar[t] / plan.alpha_bar[t - 1]  # 1 - beta_t
    x = np.sqrt(kept) * x + np.sqrt(1 - kept) * key.at("chain", t).normal(len(x), np.float64)
a, s = np.sqrt(plan.alpha_bar[50]), np.sqrt(1 - plan.alpha_bar[50])
print(f"after 50 of 200 steps: mean {x.mean():.3f} and deviation {x.std():.3f}; in one jump {1.5 * a:.3f} and {s:.3f}")
assert abs(x.mean() - 1.5 * a) < 0.01
assert abs(x.std() - s) < 0.01

# %% [markdown]
# ## 2. Back, if you knew where you came from
#
# q(x_(t-1) | x_t) depends on all of the data: nobody knows it. But q(x_(t-1) | x_t, x_0) is a product of two Gaussians in
# x_(t-1): where it comes from, N(a_(t-1) x_0, s_(t-1)^2), and where it goes to. Precisions add, and means are weighted by
# them. With alpha = 1 - beta_t:
#
#     precision  = 1 / s_(t-1)^2 + alpha / beta_t = (s_(t-1)^2 alpha + beta_t) / (s_(t-1)^2 beta_t) = s_t^2 / (s_(t-1)^2 beta_t)
#     var        = s_(t-1)^2 beta_t / s_t^2
#     mean / var = a_(t-1) x_0 / s_(t-1)^2 + sqrt(alpha) x_t / beta_t
#     mean       = (a_(t-1) beta_t / s_t^2) x_0 + (sqrt(alpha) s_(t-1)^2 / s_t^2) x_t  =:  c x_0 + d x_t
#
# At t = 1, s_0 = 0: the variance is 0 and the mean x_0.

# %%
t, row = 60, np.zeros((1, 1))
a0, s0, beta = np.sqrt(plan.alpha_bar[t - 1]), np.sqrt(1 - plan.alpha_bar[t - 1]), 1 - plan.alpha_bar[t] / plan.alpha_bar[t - 1]
a, s = np.sqrt(plan.alpha_bar[t]), np.sqrt(1 - plan.alpha_bar[t])
c, d, var = a0 * beta / s**2, np.sqrt(1 - beta) * s0**2 / s**2, s0**2 * beta / s**2
np.testing.assert_allclose([float(part[0, 0]) for part in plan.posterior(t, t - 1, row)], [c, d, var], rtol=1e-9)
assert plan.posterior(1, 0, row).var == 0

# %% [markdown]
# ## 3. The bound
#
# The model draws x_T ~ N(0, 1) and walks back, p(x_(t-1) | x_t), to x_0. Read it as lesson 03's model with x_1 .. x_T as
# its causes; the encoder q is the noising, and has nothing to learn. The same inequality:
#
#     -log p(x_0) <= E_q [ log q(x_1 .. x_T | x_0) - log p(x_0 .. x_T) ]
#                  = E_q [ -log p(x_T) + sum_t log q(x_t | x_(t-1)) / p(x_(t-1) | x_t) ]
#
# By Bayes' rule, for t >= 2,  q(x_t | x_(t-1)) = q(x_(t-1) | x_t, x_0) q(x_t | x_0) / q(x_(t-1) | x_0). The last quotients
# cancel along the sum but for q(x_T | x_0) / q(x_1 | x_0), and what is left are three kinds of terms:
#
#     KL( q(x_T | x_0) || N(0, 1) )                                    no parameters, nearly 0
#   + sum_(t = 2 .. T) E KL( q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t) )
#   - E log p(x_0 | x_1)
#
# We know the first Gaussian of the middle terms from section 2. So let p be the same one, with a network's guess xhat of
# x_0 in the place of x_0. Two Gaussians of one variance differ by their means:
#
#     KL = (c x_0 + d x_t - c xhat - d x_t)^2 / (2 var) = c^2 (x_0 - xhat)^2 / (2 var)
#
# Who knows x_t and the noise knows the data, x_0 = (x_t - s eps) / a. So let the network guess the noise:
#
#     x_0 - xhat = -(s / a) (eps - epshat)             KL = weight_t (eps - epshat)^2,   weight_t = (c s / a)^2 / (2 var)
#
# The loss of Ho et al. leaves the weights out (eq. 14), and pictures get better: the weights are huge at small t, where
# the last bits of a likelihood are, and where an eye sees nothing.
#
#     loss = mean (eps - epshat(x_t, t))^2,      t uniform, eps ~ N(0, 1),  x_t = a x_0 + s eps

# %%
weight = (c * s / a) ** 2 / (2 * var)
x_0, eps, epshat = 0.3, 0.9, 0.7
x_t = a * x_0 + s * eps
xhat = (x_t - s * epshat) / a
kl = (c * x_0 + d * x_t - (c * xhat + d * x_t)) ** 2 / (2 * var)
assert abs(kl / (weight * (eps - epshat) ** 2) - 1) < 1e-9
assert abs(weight / (beta**2 / (2 * var * (1 - beta) * s**2)) - 1) < 1e-9  # Ho et al. 2020, eq. 12
print(f"step {t} of {plan.T}: a squared error of 1 in the noise costs {weight:.3f} nats")

# %% [markdown]
# ## 4. The gradient
#
# x_t and eps are constants, drawn before. What is left is a regression, and its way back is the network's alone. In the
# plane the network is an MLP that has the time beside the coordinates. silu(a) = a sigmoid(a), and sg the sigmoid:
#
#     h0 = (x_t, t),  a1 = h0 W1 + b1,  h1 = silu(a1)  ..  h3      da = dh (sg + a sg (1 - sg)),  dh = da' W'
#     y  = h3 W4 + b4
#     loss = mean (y - eps)^2                                      dy = 2 (y - eps) / size


# %%
def naive(p, x0, t, eps, plan):
    """The loss, and its gradients W1, b1 .. W4, b4. x0 (N, 2), t (N,) of 1 .. T."""
    a, s = np.sqrt(plan.alpha_bar[t])[:, None], np.sqrt(1 - plan.alpha_bar[t])[:, None]
    h, kept = np.hstack((a * x0 + s * eps, (t[:, None] - 1) / plan.T)), []  # (N, 3)
    for W, b in zip(p[0:6:2], p[1:6:2], strict=True):
        act = h @ W + b
        gate = 1 / (1 + np.exp(-act))
        kept.append((h, gate + act * gate * (1 - gate)))
        h = act * gate
    error = h @ p[6] + p[7] - eps  # (N, 2)
    dy = 2 * error / error.size
    gradients, dh = [dy.sum(0), h.T @ dy], dy @ p[6].T
    for (h, slope), W in zip(kept[::-1], p[4::-2], strict=True):
        da = dh * slope
        gradients += [da.sum(0), h.T @ da]
        dh = da @ W.T
    return (error**2).mean(), gradients[::-1]


model = DDPM((2,), key.at("naive"), np.float64, width=16, T=200, prediction="noise", schedule="linear")
(denoising,), batch = model.objectives, key.at("batch").normal((8, 2), np.float64)
noise = denoising.draw(model, batch, key.at("noise"))
terms, _ = denoising(model, batch, noise)
loss, gradients = naive(list(model.vector.views(model.theta).values()), batch, noise.t, noise.eps, model.schedule)
assert abs(terms["denoising"] / loss - 1) < 1e-12
for (name, theirs), ours in zip(model.vector.views(model.grad).items(), gradients, strict=True):
    assert np.abs(theirs - ours).max() < 1e-10 * np.abs(ours).max(), name
worst = max(row.rel_error for row in prove(model, batch, key.at("proof")) if row.method == "complex step")
print(f"the naive gradient is the library's; the complex step differs by at most {worst:.0e}")

# %% [markdown]
# ## 5. What it learns is a slope
#
# The best guess in squares is a mean: epshat = E[eps | x_t]. The density of x_t is q(x_t) = E_x0 N(x_t; a x_0, s^2), and
# its slope is the slope of the Gaussian inside, -(x_t - a x_0) / s^2 = -eps / s. So
#
#     d log q(x_t) / dx_t = E[ -eps / s | x_t ] = -epshat / s         the score: uphill, towards likelier points
#
# For data of eight Gaussians, means m_k and deviation 0.3, q(x_t) is eight Gaussians too, at a m_k with variance
# a^2 0.3^2 + s^2. We can write its slope down, train a network that has never seen a density, and compare.
#
# One more thing before we train. xhat = (x_t - s epshat) / a divides by a, which at the end is nearly 0: there a small error
# in the noise is a huge one in the data, and a sampler with few steps starts with it. Let the network guess
#
#     v = a eps - s x_0         so that         xhat = a x_t - s v,   epshat = s x_t + a v
#
# from which both follow without a division (Salimans and Ho 2022; a^2 + s^2 = 1). The loss is the squared error of v.

# %%
angles = 2 * np.pi * np.arange(8) / 8
means, width = 3 * np.stack((np.cos(angles), np.sin(angles)), 1), 0.3


def sample(n, key):
    return (means[key.at("which").integers(8, n)] + width * key.at("x").normal((n, 2), np.float64)).astype(np.float32)


def exact_score(x, t, plan):
    """The slope of log q(x_t) at x (n, 2)."""
    a, var = np.sqrt(plan.alpha_bar[t]), plan.alpha_bar[t] * width**2 + 1 - plan.alpha_bar[t]
    away = a * means - x[:, None]  # (n, 8, 2)
    log_p = -(away**2).sum(2) / (2 * var)
    p = np.exp(log_p - log_p.max(1, keepdims=True))
    return (p / p.sum(1, keepdims=True) / var)[:, None] @ away


def fit(model):
    model.start(2e-3, STEPS)
    for i in range(STEPS):
        model.step(sample(256, key.at("data", i)), key.at("step", i))


model = DDPM((2,), key.at("model"), width=96, T=200, prediction="v", jumps=20)
fit(model)
plan = model.schedule
with model.averaged():
    for t in (20, 80, 140):
        x_t = plan.diffuse(sample(2000, key.at("test", t)), t, key.at("eps", t).normal((2000, 2)))
        exact, s = exact_score(x_t, t, plan)[:, 0], np.sqrt(1 - plan.alpha_bar[t])
        off = ((model.score(x_t, t) - exact) ** 2).mean() / (exact**2).mean()
        print(f"score at step {t}: relative squared error {off:.4f}")
        assert STEPS < FULL or off < 0.3

# %% [markdown]
# ## 6. Four ways back
#
# All of them ask the network what it sees in x_t, x_0 and eps, and go a step:
#
#     ancestral   x_(t-1) ~ N(c xhat + d x_t, var)                       the model of section 3
#     ddim        x_r = a_r xhat + s_r epshat                            no noise, and steps as long as we like
#     heun        dx/dphi = v                                            a = cos phi, s = sin phi: x turns from noise to data
#     langevin    u += rate sigma^2 score + sqrt(2 rate) sigma z         u = x / a, for a list of falling noise levels sigma
#
# ddim with noise, eta = 1, is ancestral sampling in other words, and neither draws any in the last step. The energy
# distance (0 where two distributions are one) counts what each costs and gives.

# %%
start = key.at("start").normal((4000, 2))
see = lambda x_t, t: model.denoise(x_t, t)
at = list(range(plan.T, -1, -1))
one = last(ddim(see, plan, start[:50], at, key, eta=1.0))
other = last(ancestral(see, plan, start[:50], at, key))
assert np.abs(one - other).max() < 1e-3 * np.abs(other).max()

truth, drawn = sample(4000, key.at("truth")), {}
for name, calls, how in (
    ("ancestral", 200, {"sampler": "ancestral", "jumps": 200}),
    ("ddim, 20 steps", 20, {}),
    ("heun, 10 steps", 19, {"sampler": "heun", "jumps": 10}),
    ("ddim, 5 steps", 5, {"jumps": 5}),
    ("langevin", 180, {"sampler": "langevin", "jumps": 30}),
):
    drawn[name] = model.generate(4000, key.at("generate"), **how)
    print(f"{name:15} {calls:4} calls: energy distance {energy_distance(drawn[name], truth):8.5f}")
print(f"{'truth':15}       itself: {energy_distance(sample(4000, key.at('again')), truth):23.5f}")
assert STEPS < FULL or energy_distance(drawn["ddim, 20 steps"], truth) < 0.01 < energy_distance(start, truth)

# %% [markdown]
# ## 7. Straight ahead: flow matching
#
# If all we want is a flow from noise to data, why bend it? Lipman et al. (2023) join noise x_0 and data x_1 (the numbers
# are exchanged) by straight lines, x_t = (1 - t) x_0 + t x_1, and regress on their velocity:
#
#     loss = mean (v(x_t, t) - (x_1 - x_0))^2                            the best v is E[x_1 - x_0 | x_t]
#
# The derivation is that of section 5, a mean over all lines through a point, and the network is the same.

# %%
straight = FlowMatching((2,), key.at("straight"), width=96)
fit(straight)
for name, how, steps in (("euler", "euler", 10), ("heun", "heun", 10)):
    flowed = straight.flow(start, 0, 1, how, steps)
    print(f"flow matching, {name}, {steps} steps: energy distance {energy_distance(flowed, truth):8.5f}")

# %% [markdown]
# ## 8. Images
#
# The same loss, of v, with a U-Net in the place of the MLP (`minigen/models/unet.py`), for digits. A minute is not enough,
# so these weights were trained before (`lessons/weights/make.py` says how).
#
# The network is told the class, and in a tenth of the rows it is not. So it sees twice, eps with the class and eps
# without, and *guidance* goes on from the second through the first (Ho and Salimans 2022): eps + w (eps - eps_untold). In
# terms of scores that is the slope of log q(x) + (1 + w) log q(class | x): images that look more like their class than
# those of the data do.

# %%
test = load("glyphs", "test", size=16)
ddpm = DDPM(test.shape, key, width=16, classes=10, jumps=25)
weights = load_file("lessons/weights/04_ddpm.safetensors")
for path, view in ddpm.net.named("net"):
    view[...] = weights[path]
digits = np.arange(10)
few = 25 if STEPS >= FULL else 5
guided = {w: ddpm.sample_class(np.tile(digits, 3), key.at("images"), guidance=w, jumps=few) for w in (0.0, 1.0, 4.0)}
ways = ddpm.ways(3, 10, key.at("ways"), jumps=few)

# %% [markdown]
# And the bound? `evaluate` takes the terms of section 3 at one random step a row, an estimate without bias, in bits per pixel:
# what it costs to send a test image to somebody who has the model, its class being known. Beside it, a table of how often
# each grey level was seen at each pixel. It knows nothing of digits, and pays less.
#
# Looks and likelihoods are different things. Most of the bits of a grey pixel say how exactly it is grey. They are in the last
# step to pixels and in the small t before it, where the weights are large that the loss has left out. An eye asks what the
# large t say: which digit, where, how slanted. Of that the table has no idea.

# %%
rows = np.arange(200 if STEPS >= FULL else 8)
batch = ddpm.batch_of(type("Batch", (), {"images": test.batch(rows), "labels": test.labels[rows]}))
bits = ddpm.evaluate(batch, key.at("bits"))
pixels = load("glyphs", size=16).images.reshape(-1, 256)  # (20000, 256 pixels)
counts = np.stack([np.bincount(pixel, minlength=256) for pixel in pixels.T]) + 1 / 256  # (pixels, grey levels)
table = -np.log2(counts[np.arange(256), test.images[rows].reshape(-1, 256)] / counts.sum(1)).mean()
print(", ".join(f"{name} {value:.3f}" for name, value in bits.items()), f"; table {table:.3f}")
assert abs(bits["bits"] - bits["bits_prior"] - bits["bits_steps"] - bits["bits_pixels"]) < 1e-9
assert 0 < bits["bits"] < 8  # 8 bits a pixel is what no model at all needs

# %% [markdown]
# ## 9. The figure
#
# Above: what the two schedules leave of the data; by what the bound weighs a squared error of the noise, and the loss does
# not; the score that the network has learned, at two steps. In the middle: samples. Below: three ways from noise to a digit,
# and under each what the network sees in it: first the mean of all such digits, then one of them. Beside them, from one
# noise, digits with more and more guidance.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(12, 11), layout="constrained")
axes = figure.subplot_mosaic(
    [["plans"] * 3 + ["weights"] * 3 + ["early"] * 3 + ["late"] * 3,
     ["ancestral"] * 3 + ["ddim, 20 steps"] * 3 + ["langevin"] * 3 + ["straight"] * 3,
     *(["ways"] * 7 + [w] * 5 for w in ("0.0", "1.0", "4.0"))],
    height_ratios=(3, 3, 1.6, 1.6, 1.6),
)  # fmt: skip
for name, shown in (("cosine", schedule("cosine", 1000)), ("linear", linear(1000))):
    axes["plans"].plot(np.sqrt(shown.alpha_bar), label=name)
    t, row = np.arange(2, 1001), np.zeros((999, 1))
    back, (a, s) = shown.posterior(t, t - 1, row), shown.scales(t, row)
    axes["weights"].semilogy(t, (back.of_x0 * s / a) ** 2 / (2 * back.var), label=name)
axes["plans"].set(title="a: what is left of the data", xlabel="t", ylim=(0, 1))
axes["plans"].legend(frameon=False)
axes["weights"].set(title="the weights that the loss leaves out", xlabel="t", ylabel="nats")
with model.averaged():
    for name, t in (("early", 90), ("late", 20)):
        x_t = plan.diffuse(truth, t, start)
        draw_field(axes[name], lambda x, t=t: model.score(x, t), x_t, 4.6)
        axes[name].set_title(f"the score at step {t}")
for name, points in {**drawn, "straight": flowed}.items():
    if name in axes:
        axes[name].scatter(*points.T, s=1, lw=0, color="#1f5fa8")
        axes[name].set(xlim=(-4.6, 4.6), ylim=(-4.6, 4.6), xticks=(), yticks=(), aspect="equal")
        axes[name].set_title("flow matching, heun, 10 steps" if name == "straight" else name)
for name, grid in (
    *((str(w), images[..., 0].reshape(3, 10, *test.shape[:2])) for w, images in guided.items()),
    ("ways", ways[..., 0]),
):
    rows, columns, height, width_ = grid.shape
    axes[name].imshow(grid.swapaxes(1, 2).reshape(rows * height, columns * width_), cmap="gray_r", vmin=0, vmax=1)
    axes[name].set_title("ways from noise; under each what the network sees" if name == "ways" else f"guidance w = {name}")
    axes[name].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "04_diffusion.png", dpi=130)
print("figure:", OUT / "04_diffusion.png")
print(f"test glyphs: at most {bits['bits']:.2f} bits per pixel; {table:.2f} by a table of every pixel's grey levels")

# %% [markdown]
# ## 10. Where this departs from the papers
#
# - Ho et al. (2020) have a linear schedule, T = 1000, a U-Net of 36 million parameters, and an average of decay 0.9999. Ours
#   has 180 thousand, a cosine schedule, and 0.999, for 900 steps. T = 200 in the plane.
# - Their attention is at 16 x 16 of 32 x 32; ours at the lowest resolution, 4 x 4. No dropout.
# - The likelihood is estimated at one random step a row (`minigen/models/diffusion_bound.py` has the whole sum), and the
#   variance of a step back is the posterior's. Nichol and Dhariwal (2021) learn it.
# - Song and Ermon (2019) train one network of noise levels for Langevin sampling; here it is the network of the diffusion.
# - `minigen train ddpm` trains the U-Net; its options also have x0 and the noise for the network to guess (Salimans and Ho
#   2022), and `objective=bound`, which leaves the weights in: early steps are drawn more often, and likelihood is what gets
#   better.

# %% [markdown]
# # Lesson 06: energy-based models
#
# Give every x a number, its *energy* E(x), and call low energy likely: p(x) = e^-E(x) / Z. Any function will do, and none of
# them has to be a distribution. That freedom has one price, Z, the sum over all x, which nobody can compute. The lesson
# shows how to learn without it, how to sample without it, and how to measure it after all.
#
# First a model over bits, the restricted Boltzmann machine, of which a small one can be checked by counting; then a network
# over the plane. Read it beside `minigen/layers/free_energy.py`, `minigen/models/contrast.py`, `minigen/models/rbm.py`,
# `minigen/models/partition.py` and `minigen/models/ebm.py`. Run it from the root of the repository:
# `python lessons/06_energy_based_models.py`. It takes about a minute and puts its figure into `lessons/out`. Two environment
# variables change that: `MINIGEN_LESSON_STEPS` is the number of training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from minigen.check import prove
from minigen.data import Glyphs, load
from minigen.data.densities import density
from minigen.models.contrast import Negatives
from minigen.models.ebm import EBM
from minigen.models.langevin import langevin, slope
from minigen.models.partition import ais, bits, exact_log_z, exact_samples, reverse_ais
from minigen.models.rbm import RBM
from minigen.random import Key

FULL = 1200
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


# %% [markdown]
# ## 1. Energy, and the sum that is in the way
#
# A *restricted Boltzmann machine* has V visible bits v, the pixels, and H hidden bits h. Its energy has a bias for each bit
# and a weight for each pair of a visible and a hidden one; "restricted", because there are no others:
#
#     E(v, h) = -v'b - h'c - v'W h             p(v, h) = e^-E(v, h) / Z,      Z = sum over all v, h of e^-E
#
# We see v alone, so sum over h. For given v the energy is a sum over the hidden units, e^-E a product, and the sum over 2^H
# vectors h falls apart into H sums of two terms, h_j = 0 and h_j = 1. With a = v W + c:
#
#     sum_h e^-E = e^(v'b) prod_j (1 + e^a_j) =: e^-F(v)          F(v) = -v'b - sum_j softplus(a_j)
#     p(h_j = 1 | v) = e^a_j / (1 + e^a_j) = sigmoid(a_j)         independent of each other; likewise v given h
#
# F is the *free energy*, and p(v) = e^-F(v) / Z. With 4 visible and 3 hidden bits all of it can be counted:

# %%
small = RBM((2, 2, 1), key.at("small"), np.float64, hidden=3)
small.theta[...] = key.at("theta").normal(small.theta.shape, np.float64)
W, b, c = (small.energy.params[name] for name in "Wbc")  # (4, 3), (4,), (3,)
v, h = bits(4, 0, 16), bits(3, 0, 8)  # all of them: (16, 4), (8, 3)
joint = np.exp((v @ b)[:, None] + h @ c + v @ W @ h.T)  # (16, 8): e^-E
Z, F = joint.sum(), small.energy.forward(v)[0]
p = joint.sum(1) / Z  # (16,)
assert np.allclose(np.exp(-F), joint.sum(1), rtol=1e-12)
assert np.allclose(small.energy.hidden(v), joint @ h / joint.sum(1)[:, None], rtol=1e-12)
assert abs(exact_log_z(small.energy) - np.log(Z)) < 1e-12
print(f"4 + 3 bits: log Z = {np.log(Z):.4f}, from the double sum over 128 states and from 8 states of the hidden layer alone")

# %% [markdown]
# ## 2. The gradient of log Z
#
# Maximum likelihood wants the gradient of -log p(v) = F(v) + log Z. The second part:
#
#     d log Z = dZ / Z = (1/Z) sum_x d e^-F(x) = -(1/Z) sum_x e^-F(x) dF(x) = -sum_x p(x) dF(x) = -E_p [ dF ]
#
#     d(-log p(v)) = dF(v) - E_p [ dF ]          positive phase: pull the data's energy down
#                                                negative phase: push up the energy of what the model believes
#
# It is zero when both agree: data and model then have the same average dF. For the RBM softplus' = sigmoid, so with h now
# short for sigmoid(v W + c):
#
#     dF/dW = -v h'        dF/db = -v        dF/dc = -h
#
# The expectation can be estimated by samples x of the model, and samples are *constants*: the formula differentiates F, not
# the way x was found. The library's objective says so: the samples are its noise. It is the contrast F(data) - F(samples).


# %%
def naive(W, b, c, data, samples):
    """dW, db, dc of mean F(data) - mean F(samples)."""
    (d, dh), (s, sh) = ((x, sigmoid(x @ W + c)) for x in (data, samples))
    return s.T @ sh / len(s) - d.T @ dh / len(d), s.mean(0) - d.mean(0), sh.mean(0) - dh.mean(0)


def contrast_gradient(samples):
    small.zero_grads()
    small.objectives[0](small, data, Negatives(samples))
    return small.grad.copy()


data = key.at("data").bernoulli(0.4, (20, 4)).astype(np.float64)
samples = small.objectives[0].draw(small, data, key.at("draw")).samples
contrast_gradient(samples)
for name, ours in zip("Wbc", naive(W, b, c, data, samples), strict=True):
    assert np.allclose(small.energy.grads[name], ours, rtol=1e-12)
prove(small, data, key.at("proof"))

each = np.stack([contrast_gradient(x[None]) for x in v])  # (16, P): of every possible sample
exact = p @ each  # the expectation
for i in np.flatnonzero(exact):
    twin = small.astype(np.complex128)
    twin.theta[i] += 1e-30j
    nll = twin.energy.forward(data)[0].mean() + np.log(np.exp(-twin.energy.forward(v)[0]).sum())
    assert abs(nll.imag / 1e-30 - exact[i]) < 1e-12
print("over the model's own distribution, the contrast is the gradient of -log p: complex step, every parameter")

# %% [markdown]
# ## 3. Samples: Gibbs chains, CD and PCD
#
# Given v all hidden bits are independent, given h all visible ones. So sampling alternates: h ~ p(h|v), then v ~ p(v|h).
# One *sweep* has the table T(v, v') = sum_h p(h|v) p(v'|h), and it leaves p as it is: p T = p. Chains forget where they
# began, and arrive at p after many sweeps. *Contrastive divergence* (Hinton 2002) does not wait: it starts at the data and
# takes k sweeps, CD-k. Its expectation is that of T^k, not of p, and here that bias can be computed without drawing anything:

# %%
h_given_v = joint / joint.sum(1, keepdims=True)  # (16, 8)
T = h_given_v @ (joint / joint.sum(0)).T  # (16, 16)
assert np.allclose(p @ T, p, rtol=1e-12)
start = np.array([(data == x).all(1).mean() for x in v])  # (16,): the data as a distribution
bias = {}
for k in (1, 2, 5, 20):
    cd = start @ np.linalg.matrix_power(T, k) @ each
    bias[k] = np.linalg.norm(cd - exact) / np.linalg.norm(exact)
print("CD-k is off by", ", ".join(f"{100 * off:.2f} % (k = {k})" for k, off in bias.items()), "of the exact gradient")
assert bias[1] > bias[2] > bias[5] > bias[20]

# %% [markdown]
# The weights here are small. As they grow, sweeps move less, and the bias of CD grows. *Persistent* CD (Tieleman 2008) keeps
# its chains from step to step: the parameters move little in a step, so chains that were at equilibrium nearly still are.
#
# ## 4. Training, and an exact measure of it
#
# With few hidden units Z is still within reach, however many pixels there are: sum over h instead, 2^12 terms here,
# Z = sum_h e^(h'c) prod_i (1 + e^(b + W h)_i). So the likelihood of held-out digits is exact. Three trainings: CD-1, PCD-1, and
# PCD-1 with the *centred* gradient of `minigen/models/rbm.py`, in which each unit counts from its own mean.

# %%
glyphs, n = Glyphs(key.at("glyphs")), 8000  # one size, one slant, in the middle; nine faces, two weights
factors = glyphs.factors(np.arange(n)) | {
    "dx": np.zeros(n), "dy": np.zeros(n), "size": np.full(n, 17.0), "slant": np.full(n, 0.1)
}  # fmt: skip
digits = (glyphs.render(factors) > 0.5).astype(np.float32).reshape(n, -1)  # (n, 784) bits
train, test = digits[:7000], digits[7000:]


def fit(steps, rate, watch=0, **options):
    """A trained RBM, and -log p of the test digits every `watch` steps."""
    model, curve = RBM((28, 28, 1), key.at("rbm"), **options), []
    model.start(rate, steps)
    model.data_init(train, key.at("start"))
    for i in range(steps):
        rows = key.at("rows", i).integers(len(train), 100)
        model.step(train[rows], key.at("step", i))
        if watch and (i + 1) % watch == 0:
            curve.append(model.energy.forward(test)[0].mean(dtype=np.float64) + exact_log_z(model.energy))
    return model, curve


watch, curves = max(1, STEPS // 12), {}
for name, options in {
    "CD-1": {"persistent": False, "centered": False},
    "PCD-1": {"centered": False},
    "PCD-1, centred": {"centered": True},
}.items():
    twelve, curves[name] = fit(STEPS, 0.05, watch, hidden=12, **options)
    print(f"{name:14} 12 hidden units: exact -log p of held-out digits {curves[name][-1]:.2f} nats")
assert STEPS < FULL or max(curves.values(), key=lambda curve: curve[-1]) is curves["CD-1"]

# %% [markdown]
# CD-1 stays behind: its chains are seen near the data only, and probability that gathers elsewhere is never pushed away.
# Whether centring pays depends on the data: on these digits it does not, on MNIST it does (`benchmarks/rbm_mnist.py`).
#
# ## 5. Z by annealing
#
# For more hidden units Z must be estimated. *Annealed importance sampling* (Neal 2001) walks in K small steps from
# independent bits, whose Z_0 is a product, to the model. Each step multiplies the weight w of a chain by f_(k+1)(v) / f_k(v),
# and then a sweep brings v nearer to f_(k+1). Then E [ w ] = Z / Z_0 exactly, whatever K; but the logarithm of an average is
# too low on average, by Jensen, and far too low if the chains miss a mode. Walking *back*, from samples of the model, errs on
# the other side on average. The standard error of log (mean w) over M chains is sd(w) / (sqrt(M) mean(w)), the delta method.
# It is rough where a few chains have most of the weight.

# %%
log_z, mean = exact_log_z(twelve.energy), twelve.state["visible_mean"]
there = ais(twelve.energy, mean, chains=200, steps=1000, key=key.at("ais"))
back = reverse_ais(twelve.energy, mean, exact_samples(twelve.energy, 200, key.at("exact")), steps=1000, key=key.at("back"))
print(
    f"log Z = {log_z:.3f} exactly; annealed {there.value:.3f} +- {there.error:.3f}, back {back.value:.3f} +- {back.error:.3f}"
)
assert abs(there.value - log_z) < 5 * there.error
assert abs(back.value - log_z) < 5 * back.error

# %% [markdown]
# ## 6. A larger one
#
# 256 hidden units: 2^256 terms. Trained the same way, its chains draw digits. What a hidden unit looks for is a column of W, a
# picture: strokes to be there (bright) or not to be there (dark).

# %%
large, _ = fit(STEPS, 0.05, hidden=256)
annealed = ais(large.energy, large.state["visible_mean"], chains=100, steps=500, key=key.at("large"))
large_nll = large.energy.forward(test)[0].mean() + annealed.value
print(f"256 hidden units: -log p of held-out digits {large_nll:.1f} nats, log Z annealed to +- {annealed.error:.2f}")
assert STEPS < FULL or large_nll < min(curve[-1] for curve in curves.values()) - 20

# %% [markdown]
# ## 7. A network for an energy, and Langevin chains
#
# In the plane x is not a bit, and there are no two layers to alternate between. But there is the slope of E, which the backward
# pass of any network gives. *Langevin dynamics* rolls downhill and is shaken:
#
#     x <- x - step dE/dx + sqrt(2 step) eps
#
# For a bowl, E = x^2 / 2, x' = (1 - step) x + sqrt(2 step) eps, and a variance s that does not change any more solves
# s = (1 - step)^2 s + 2 step: s = 1 / (1 - step / 2). The true one is 1: the scheme's error is of the order of the step.


# %%
class Bowl:
    def forward(self, x):
        return 0.5 * (x * x).sum(1), x

    def backward(self, dE, x, param_grads):
        return dE[:, None] * x


settled = langevin(Bowl(), np.full((20_000, 1), 3.0), key.at("bowl"), steps=100, step=0.1)
print(f"a bowl of variance 1, step 0.1: the chains' variance is {settled.var():.3f}, the scheme's {1 / 0.95:.3f}")
assert abs(settled.var() * 0.95 - 1) < 5 * np.sqrt(2 / 20_000)

# %% [markdown]
# The energy is now a network with three layers of SiLU, and the objective is the contrast of section 2, word for word. Its
# samples are Langevin chains that persist in a buffer, a few of them started anew each time (Du and Mordatch 2019). One term
# is added, alpha (E(data)^2 + E(samples)^2): the contrast does not know where zero is. In the plane Z is an integral over a
# grid, so here, too, the likelihood can be measured.

# %%
moons, held_out = load("moons"), load("moons", "test").batch(np.arange(5000))
ebm = EBM((2,), key.at("ebm"), **{**EBM.recipe.options, **EBM.recipe.by_data["moons"]["options"]})
ebm.start(1e-3, STEPS)
for i in range(STEPS):
    ebm.step(moons.batch(key.at("moons", i).integers(len(moons), 128)), key.at("langevin", i))
spots = held_out[:5].astype(np.float64)
precise = ebm.energy.clone(np.float64)
nudged = [(precise.forward(spots + e)[0] - precise.forward(spots - e)[0])[:, 0] / 2e-5 for e in 1e-5 * np.eye(2)]
assert np.allclose(slope(precise, spots), np.stack(nudged, 1), rtol=1e-5, atol=1e-6)
excess = ebm.evaluate(held_out, key)["negative_log_likelihood"] - density("moons").entropy
print(f"moons: -log p of held-out points is {excess:.2f} nats above the entropy, which no model can go below")
assert STEPS < FULL or excess < 0.6

# %% [markdown]
# On images the same network has convolutions, and Z is out of reach. What is left is to look. This one has seen MNIST for
# 3,000 steps (`lessons/weights/make.py` says how); here its chains start from uniform noise and go downhill, 20 Langevin steps
# a turn.

# %%
drawn = EBM((28, 28, 1), key.at("drawn"))
weights = load_file("lessons/weights/06_ebm.safetensors")
for path, view in drawn.energy.named("energy"):
    view[...] = weights[path]
turns = 16 if STEPS >= FULL else 2
way = [drawn.uniform(14, key.at("noise"))]
for i in range(turns):
    way.append(langevin(drawn.energy, way[-1], key.at("downhill", i), **drawn.dynamics))
heights = [drawn.energy.forward(x)[0].mean() for x in way]
print(f"from noise to digits: mean energy {heights[0]:.1f}, after one turn {heights[1]:.2f}, after {turns} {heights[-1]:.2f}")
assert heights[-1] < heights[1] < heights[0]

# %% [markdown]
# ## 8. The figure

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(11, 14), layout="constrained")
axes = figure.subplot_mosaic(
    [["curve", "digits", "filters"], ["samples", "samples", "density"], ["samples", "samples", "points"], ["way"] * 3]
)
for (name, curve), colour in zip(curves.items(), ("#b3541e", "#8a8a8a", "#1f5fa8"), strict=True):
    axes["curve"].plot(watch * np.arange(1, len(curve) + 1), curve, color=colour, label=name)
axes["curve"].set(title="12 hidden units, exactly", xlabel="step", ylabel="-log p of held-out digits, nats")
axes["curve"].legend(frameon=False)
for name, title, images in (
    ("digits", "held-out digits, as bits", test[:64].reshape(8, 8, 28, 28)),
    ("filters", "what 64 of 256 hidden units look for", large.filters(64).reshape(8, 8, 28, 28)),
    ("samples", f"samples: 256 hidden units, {large_nll:.1f} nats", large.sample(196, key.at("s")).reshape(14, 14, 28, 28)),
):
    side = images.shape[0] * 22
    axes[name].imshow(images[:, :, 3:25, 3:25].swapaxes(1, 2).reshape(side, side), cmap="gray_r", vmin=0, vmax=1)
    axes[name].set_title(title)
    axes[name].set_axis_off()
reach = (-ebm.bound, ebm.bound, -ebm.bound, ebm.bound)
axes["density"].imshow(np.sqrt(ebm.energy_map()), cmap="Blues", extent=reach)
axes["density"].set_title(f"a network's density, {excess:.2f} nats from the best")
axes["points"].plot(*ebm.sample(3000, key.at("points")).T, ".", ms=1.5, color="#1f5fa8")
axes["points"].set_title("its Langevin chains")
for name in ("density", "points"):
    axes[name].set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), aspect="equal", xticks=[], yticks=[])
shown = np.stack([way[i] for i in (0, 1, turns // 2, turns)])[..., 0]  # (4, 14, 28, 28)
axes["way"].imshow(shown.swapaxes(1, 2).reshape(4 * 28, 14 * 28), cmap="gray_r")
axes["way"].set_title(
    f"MNIST: Langevin chains of a convolutional energy, from noise, after 0, 1, {turns // 2} and {turns} turns"
)
axes["way"].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "06_energy_based_models.png", dpi=130)
print("figure:", OUT / "06_energy_based_models.png")

# %% [markdown]
# ## 9. Where this departs from the papers
#
# - Hinton (2002, "Training products of experts by minimizing contrastive divergence") and Tieleman (2008) train on MNIST with
#   momentum and weight decay. Here there is neither: plain gradient steps with a rate that falls in a straight line.
# - The digits are drawn from fonts, all upright and of one size, so that a minute is enough. `python -m benchmarks.rbm_mnist`
#   has the figures on MNIST.
# - Salakhutdinov and Murray (2008) anneal over 14,500 temperatures that are closest near the model. Here they are 500 or 1,000,
#   evenly spread. Burda, Grosse and Salakhutdinov (2015) walk back from test images, which gives a cautious likelihood; the
#   walk back here starts from exact samples and brackets Z.
# - Du and Mordatch (2019) sample images at a low temperature, and no density belongs to such chains. The plane's chains are at
#   temperature 1, and the likelihood is that of the density they sample.

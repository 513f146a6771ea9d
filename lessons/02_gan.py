# %% [markdown]
# # Lesson 02: generative adversarial networks
#
# A model that is trained by a game. The *generator* G turns random numbers into images, the *discriminator* D tries to
# tell them from real ones, and each learns from the other's answer. There is no likelihood, and no loss that simply
# falls. The lesson derives what the game is about and each line of both gradients. Then it looks at what goes wrong: players
# that circle around each other, a gradient that vanishes, a generator that draws one thing only.
#
# Read it beside `minigen/models/gan.py` and `minigen/models/games.py`. Lesson 00 explains the notation. Run it from the root of
# the repository: `python lessons/02_gan.py`. It takes about a minute and puts its figure into `lessons/out`.
# Two environment variables change that: `MINIGEN_LESSON_STEPS` is the number of training steps of section 6,
# `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from minigen.check import prove
from minigen.data.densities import density
from minigen.layers.elementwise import sigmoid
from minigen.losses.adversarial import game
from minigen.losses.expectation import leave_one_out, pathwise, score_function
from minigen.metrics.health import health, verdict
from minigen.metrics.modes import mode_coverage
from minigen.models.dcgan import DCGAN
from minigen.models.games import UPDATES, bilinear, dirac, trajectory, update_jacobian
from minigen.models.gan import GAN, GeneratorLoss
from minigen.models.unrolled_gan import UnrolledGAN
from minigen.random import Key

FULL = 500
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)

# %% [markdown]
# ## 1. What the game is about
#
# G draws z from N(0, 1) and puts out x = G(z). The distribution of these x is q; that of the data is p. D looks at an x and
# says with which probability it is real. It pays the cross-entropy of its answers:
#
#     L_D = E_p [ -log D(x) ] + E_q [ -log(1 - D(x)) ]              and G wins what D loses: L_G = -L_D   (minimax)
#
# **The best D.** Write both expectations as one integral and minimise under it, at each x by itself:
#
#     L_D = integral -p log D - q log(1 - D) dx
#     d/dD: -p / D + q / (1 - D) = 0    so    D* = p / (p + q)
#
# **What G is then paid for.** Put D* in, and call m = (p + q) / 2 the average of the two:
#
#     L_D* = -E_p log( p / 2m ) - E_q log( q / 2m ) = log 4 - KL(p || m) - KL(q || m) = log 4 - 2 JS(p, q)
#
# JS is the Jensen-Shannon divergence: zero where q = p and there alone, log 2 where p and q do not overlap. So against a
# perfect D, G minimises a distance to the data, without anybody ever writing down p or q. On a line, with two Gaussians:

# %%
x = np.linspace(-12, 12, 4801)
p, q = (np.exp(-0.5 * (x - mean) ** 2) / np.sqrt(2 * np.pi) for mean in (-1.0, 1.0))
m = (p + q) / 2
js = 0.5 * np.trapezoid(p * np.log(p / m) + q * np.log(q / m), x)


def paid(D):
    return np.trapezoid(-p * np.log(D) - q * np.log(1 - D), x)


best = p / (p + q)
print(f"the best D pays {paid(best):.6f}; log 4 - 2 JS = {np.log(4) - 2 * js:.6f}")
assert abs(paid(best) - (np.log(4) - 2 * js)) < 1e-9
assert all(paid(best) < paid(best + change * best * (1 - best)) for change in (-0.2, -0.01, 0.01, 0.2))

# %% [markdown]
# ## 2. Both gradients
#
# D's last layer puts out a logit l, and D(x) = s = sigmoid(l) = 1 / (1 + e^-l). With softplus(l) = log(1 + e^l):
#
#     -log s = softplus(-l)         its slope: s - 1           what D pays on a real row
#     -log(1 - s) = softplus(l)     its slope: s               what D pays on a fake row
#     log(1 - s) = -softplus(l)     its slope: -s              what G pays, minimax
#     -log s = softplus(-l)         its slope: s - 1           what G pays, non-saturating
#
# The last line is a different game: G maximises log D(G(z)) instead of minimising log(1 - D(G(z))). Section 4 says why.
# All are means over N rows, so each slope is divided by N. Then the chain rule. D's turn sees G's images as constants:
#
#     dl_real = (s_real - 1) / N,  dl_fake = s_fake / N        each goes back through D; the parameters' gradients add up
#
# G's turn sees D as a fixed function. The gradient goes back *through* it, with D's parameters left alone, and arrives as
# an arrow at every fake image: in which direction would D find it more real?
#
#     dl = (s_fake - 1) / N  --- back through D --->  dfake  --- back through G --->  the gradient of G's parameters


# %%
def there(p, x, slope):
    """Two hidden layers with activation max(a, slope a), and a linear one; also the input of each layer."""
    seen = []
    for i in (0, 2, 4):
        seen.append(x)
        a = x @ p[i] + p[i + 1]
        x = np.where(a > 0, a, slope * a) if i < 4 else a
    return x, seen


def back(p, seen, dy, slope):
    """The gradients of p, and dx."""
    grads = []
    for x, i in zip(reversed(seen), (4, 2, 0), strict=True):
        if i < 4:
            dy = dy * np.where(x @ p[i] + p[i + 1] > 0, 1, slope)
        grads = [x.T @ dy, dy.sum(0), *grads]
        dy = dy @ p[i].T
    return grads, dy


def naive(G, D, x, z):
    """The three terms, and the gradients of D's and of G's arrays. x (N, 2), z (N, L)."""
    N = len(x)
    fake, g_seen = there(G, z, 0.0)  # (N, 2)
    real_l, real_seen = there(D, x, 0.2)  # (N, 1)
    fake_l, fake_seen = there(D, fake, 0.2)  # (N, 1)
    of_real, _ = back(D, real_seen, (sigmoid(real_l) - 1) / N, 0.2)
    of_fake, _ = back(D, fake_seen, sigmoid(fake_l) / N, 0.2)
    _, dfake = back(D, fake_seen, (sigmoid(fake_l) - 1) / N, 0.2)
    of_g, _ = back(G, g_seen, dfake, 0.0)
    terms = [-np.log(sigmoid(l)).mean() for l in (real_l, -fake_l, fake_l)]
    return terms, [a + b for a, b in zip(of_real, of_fake, strict=True)], of_g


# %% [markdown]
# The library has one objective for each player. They must agree in every term and every array; and `prove` compares both
# with the complex step.

# %%
ring = density("ring8")
model = GAN((2,), key.at("naive"), np.float64, latents=4, hidden=7)
batch = ring.sample(16, key.at("batch"))
d_loss, g_loss = model.objectives
noise = d_loss.draw(model, batch, key.at("noise"))
terms = d_loss(model, batch, noise)[0] | g_loss(model, batch, noise)[0]
arrays, grads = model.vector.views(model.theta), model.vector.views(model.grad)
G, D = ([a for name, a in arrays.items() if name.startswith(net)] for net in ("generator", "discriminator"))
ours, of_d, of_g = naive(G, D, batch, noise.z)
assert np.allclose(list(terms.values()), ours, rtol=1e-13)
for net, expected in (("generator", of_g), ("discriminator", of_d)):
    found = [g for name, g in grads.items() if name.startswith(net)]
    assert all(np.abs(f - e).max() < 1e-13 for f, e in zip(found, expected, strict=True)), net
worst = max(row.rel_error for row in prove(model, batch, key.at("proof")) if row.method == "complex step")
print(f"the naive gradients are the library's; the complex step differs by at most {worst:.0e}")

# %% [markdown]
# ## 3. Two players do not simply descend
#
# Two gradients that are right do not make a training that converges. The smallest game has two numbers: the data are a point
# at 0, G puts a point at theta, and D(x) = psi x. With D paying psi theta and G paying -psi theta (the Wasserstein game), both
# descend:
#
#     theta' = theta + eta psi,    psi' = psi - eta theta       the matrix [ 1 eta; -eta 1 ] has eigenvalues 1 +- i eta
#
# Their modulus is sqrt(1 + eta^2): each step leads *away* from the solution (0, 0), along a spiral. Four ways to move:
# both at once; one after the other (what `GAN.step` does: eigenvalues on the circle, so it stays); looking one step ahead and
# moving by the gradient there (extragradient); and G descending against the D that will have answered five steps (unrolled).

# %%
eta, start = 0.2, np.array((1.0, 0.5))
paths = {name: trajectory(bilinear(), update, start, eta, 150) for name, update in UPDATES.items()}
for name, update in UPDATES.items():
    modulus = np.abs(np.linalg.eigvals(update_jacobian(bilinear(), update, np.zeros(2), eta))).max()
    print(f"{name:13} largest eigenvalue {modulus:.4f}; distance to (0, 0) after 150 steps {np.hypot(*paths[name][-1]):.3g}")
growth = np.hypot(*paths["simultaneous"].T)
assert np.allclose(growth[1:] / growth[:-1], np.sqrt(1 + eta**2))
assert np.hypot(*paths["extragradient"][-1]) < 0.1 > np.hypot(*paths["unrolled"][-1])

# %% [markdown]
# What also helps is to charge D for being steep where the data are: gamma/2 |dD/dx|^2, the R1 penalty of Mescheder et al.
# (2018). Here it adds -gamma psi to D's movement. For the loss of section 1 the eigenvalues of the movement at (0, 0) are then
# -gamma/2 +- sqrt(gamma^2/4 - 1/4), whose real part is negative: a spiral inwards.

# %%
dirac_paths = {gamma: trajectory(dirac("minimax", gamma), UPDATES["simultaneous"], start, eta, 400) for gamma in (0.0, 0.3)}
assert np.hypot(*dirac_paths[0.0][-1]) > 1 > 1e-3 > np.hypot(*dirac_paths[0.3][-1])

# %% [markdown]
# ## 4. The gradient that vanishes
#
# As long as G is bad, D is right about its images: s is near 0. There the minimax slope -s is near 0 too: *G learns nothing
# because it is bad*. The non-saturating slope s - 1 is then near -1. Both have the same sign everywhere, and the same
# equilibrium. We hold an untrained G fixed, train D against it, and measure the norm of G's gradient under both:

# %%
model = GAN((2,), key.at("vanishing"), latents=16, hidden=64)
model.start(1e-3, 400)
losses, norms = [GeneratorLoss(game(name)) for name in ("minimax", "non_saturating")], []
for i in range(401):
    batch = ring.sample(128, key.at("vanishing", i)).astype(np.float32)
    noise = d_loss.draw(model, batch, key.at("latents", i))
    for loss in losses:
        model.zero_grads()
        loss(model, batch, noise)
        norms.append(np.linalg.norm(model.grad))
    model.discriminator.zero_grads()
    d_loss(model, batch, noise)
    model.optimizers["d"].step()
norms = np.reshape(norms, (401, 2))
for i in (0, 100, 400):
    print(f"D after {i:3} steps: G's gradient is {norms[i, 0]:.5f} for minimax, {norms[i, 1]:.4f} for non-saturating")
assert norms[-1, 0] < 0.1 * norms[-1, 1]

# %% [markdown]
# ## 5. Why a gradient through D at all?
#
# G's output is a random number, and L_G an expectation over it. There are two gradients of an expectation E f(x), x ~ q:
#
#     pathwise          write x = G(z) with z from a fixed distribution:   dL = E [ f'(x) dx ]
#     score function    differentiate the density instead:                 dL = E [ f(x) d log q(x) ]        (REINFORCE)
#
# The second knows f by its value alone, so it works where x is a word and f has no slope. The first asks D *where to go*. Both
# are right on average; what differs is the variance. Subtracting a baseline from f, such as the mean of the other samples,
# keeps the mean, since E [ d log q ] = 0. Here f = c + z^2 with z ~ N(mu, 1), at mu = 1, where d/dmu E f = 2:

# %%
eps = key.at("score").normal(20_000, np.float64)
z = 1 + eps
offsets, spread = np.array([0, 1, 3, 10, 30, 100]), {}
for c in offsets:
    value = c + z**2
    estimates = {
        "pathwise": pathwise(2 * z, 0.0, eps).dmu,
        "score function": score_function(value, 0.0, eps).dmu,
        "with a baseline": score_function(value, 0.0, eps, leave_one_out(value)).dmu,
    }
    for name, estimate in estimates.items():
        assert abs(estimate.mean() - 2) < 4 * estimate.std() / np.sqrt(len(eps)), name
        spread.setdefault(name, []).append(estimate.std())
print("standard deviation of one sample at c = 100:", ", ".join(f"{name} {s[-1]:.2f}" for name, s in spread.items()))

# %% [markdown]
# ## 6. The generator that draws one thing
#
# Eight Gaussians on a circle. G may earn as much with one of them as with all, until D answers; then G jumps to the next. That
# is *mode collapse*. We provoke it with a G ten times as fast as D, and treat it in three ways. *Minibatch discrimination*
# (Salimans et al. 2016) tells D how close the rows of a batch are to each other, and rows that are all alike give G away.
# *Unrolling* (Metz et al. 2017) shows G the D that will have answered: L_G(theta_D after five steps), differentiated through
# the steps, by the second-order passes of the layers (`minigen/models/unrolled_gan.py`). *Two rates* (Heusel et al. 2017)
# make D the fast player, ten times as fast as G, so that it has always answered; beside them stands R1, the penalty of
# section 3, without which they did not cure (`benchmarks/ring.py`).
#
# How it is counted: of 2,500 samples, a mode is found with one sample within 3 sigma. Reverse KL compares the shares of the
# modes with 1/8 each: 0 is even, log 8 = 2.08 is one mode for all. (A cloud in the middle is even too: so look at the figure.)


# %%
def fit(model, steps, rate=1e-4):
    model.start(rate, steps)
    rows = ring.sample(128 * steps, key.at("ring")).astype(np.float32).reshape(steps, 128, 2)
    history = [{k: float(v) for k, v in model.step(batch, key.at("step", i)).items()} for i, batch in enumerate(rows)]
    return model, {name: [terms[name] for terms in history[-60:]] for name in history[0]}


common = {"latents": 16, "hidden": 128, "rate_ratio": 10.0}
players = {
    "plain": GAN((2,), key.at("player"), **common),
    "minibatch discrimination": GAN((2,), key.at("player"), minibatch=4, **common),
    "unrolled five steps": UnrolledGAN((2,), key.at("player"), unroll=5, **common),
    "two rates and R1": GAN((2,), key.at("player"), **common | {"rate_ratio": 0.1, "r1": 0.1}),
}
lengths = {"unrolled five steps": (STEPS, 1e-4), "two rates and R1": (4 * STEPS, 1e-3)}  # updates, and D's rate
held_out, clouds, coverage = ring.sample(256, key.at("held out")).astype(np.float32), {}, {}
for name, player in players.items():
    _, losses = fit(player, *lengths.get(name, (2 * STEPS, 1e-4)))
    clouds[name] = player.sample(2500, key.at("cloud"))
    coverage[name] = mode_coverage(clouds[name], *ring.modes)
    print(f"{name}: {coverage[name].modes} modes of 8, reverse KL {coverage[name].reverse_kl:.2f}")
    print("   ", verdict(health(**player.health(held_out, key.at("health"))), losses))
plain, *cured = coverage.values()
assert STEPS < FULL or max(cure.reverse_kl for cure in cured) < 0.7 < plain.reverse_kl

# %% [markdown]
# The plain G puts all its samples into one streak, and moves it about. Minibatch discrimination has found the circle. The
# unrolled G spreads its samples evenly, but has not found all modes yet; the two rates with R1 have. None is sharp after so
# few steps: hardly a sample lies within 3 sigma = 0.03 of a mode. `benchmarks/ring.py` trains for longer, on more seeds, and
# says what did not help: two rates without R1, and steps of plain descent for the imagined D, which lost the modes again. R1
# without the two rates helps, but late.
#
# ## 7. Images
#
# A minute is not enough for images, so these weights were trained before (`lessons/weights/make.py` says how). It is a
# DCGAN (Radford et al. 2016): the same two objectives, with convolutions and batch normalisation in both networks. A walk on
# a straight line between two latents shows that G has not stored images: every stop is a glyph of its own.

# %%
weights = load_file("lessons/weights/02_dcgan.safetensors")
dcgan = DCGAN((28, 28, 1), key, latents=32, width=32)
for path, view in dcgan.generator.named("generator"):
    view[...] = weights[path]
for path, node in dcgan.generator.walk("generator"):
    node.state.update({name: weights[f"{path}.{name}"].astype(np.float32) for name in node.state})
samples = dcgan.sample(96, key.at("images"))
ends = dcgan.latent(16, key.at("ends")).reshape(8, 2, 1, 32)
t = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
walks = dcgan.generate(((1 - t) * ends[:, 0] + t * ends[:, 1]).reshape(96, 32))

# %% [markdown]
# ## 8. The figure
#
# Above: the two-number games; the gradient that vanishes; the two ways to estimate a gradient. In the middle: four
# generators (blue) on the ring (orange). Below: what the trained DCGAN draws, and eight walks through its latents.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(12, 11), layout="constrained")
axes = figure.subplot_mosaic(
    [["bilinear"] * 3 + ["dirac"] * 3 + ["norm"] * 3 + ["score"] * 3,
     ["plain"] * 3 + ["minibatch discrimination"] * 3 + ["unrolled five steps"] * 3 + ["two rates and R1"] * 3,
     ["samples"] * 6 + ["walks"] * 6],
    height_ratios=(3, 4, 4.2),
)  # fmt: skip
for name, path in paths.items():
    axes["bilinear"].plot(*path[: 30 if name == "simultaneous" else 150].T, lw=0.9, label=name)
for gamma, path in dirac_paths.items():
    axes["dirac"].plot(*path.T, lw=0.9, label=f"R1, gamma {gamma}" if gamma else "without R1")
for name, title in (("bilinear", "the bilinear game"), ("dirac", "the Dirac-GAN, both at once")):
    axes[name].plot(0, 0, "k+", ms=9)
    axes[name].set(title=title, xlabel=r"$\theta$ (G)", ylabel=r"$\psi$ (D)", aspect="equal")
axes["norm"].semilogy(norms, lw=0.9, label=["minimax", "non-saturating"])
axes["norm"].set(title="norm of a fixed G's gradient", xlabel="D's training, steps")
for name, s in spread.items():
    axes["score"].semilogy(offsets + 1, s, "o-", ms=3, lw=0.9, label=name)
axes["score"].set(title="spread of one sample's gradient", xlabel="c + 1", ylabel="standard deviation", xscale="log")
for name in ("bilinear", "dirac", "norm", "score"):
    axes[name].legend(frameon=False, fontsize=7)
for name, cloud in clouds.items():
    axes[name].plot(*ring.modes.means.T, "o", color="#d1602d", ms=9, alpha=0.5)
    axes[name].plot(*cloud.T, ".", color="#1f5fa8", ms=1.5)
    axes[name].set(title=f"{name}\nreverse KL {coverage[name].reverse_kl:.2f}", xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
for name, images in {"samples": samples, "walks": walks}.items():
    grid = images.reshape(-1, 12, 28, 28).swapaxes(1, 2).reshape(-1, 12 * 28)
    axes[name].imshow(grid, cmap="gray_r", vmin=0, vmax=1)
    axes[name].set_title(f"{name} of the trained DCGAN")
    axes[name].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "02_gan.png", dpi=130)
print("figure:", OUT / "02_gan.png")

# %% [markdown]
# ## 9. Where this departs from the papers
#
# - Goodfellow et al. (2014) have maxout and dropout in D, and train with momentum. Here it is LeakyReLU and Adam with beta_1 =
#   1/2, which Radford et al. (2016) introduced.
# - Metz et al. (2017) play the minimax game, with 256 latents and batches of 512; here it is the non-saturating one, 16 and
#   128.
# - The ring of Metz et al. has radius 2 and sigma 0.02, and they train for 25,000 steps. Here it is radius 1 and sigma 0.01,
#   the same shape.
# - Heusel et al. (2017) have no R1 beside their two rates; here it takes both (`benchmarks/ring.py`).
# - The DCGAN has half of the reference configuration's channels and 32 latents, on glyphs of 28 x 28.

# %% [markdown]
# # Lesson 05: normalizing flows
#
# The VAE of lesson 03 has a bound on log p(x), the GAN of lesson 02 has no p(x) at all. A *flow* has the number itself. It is
# a function that can be undone: it sends data x to z = f(x), whose density is a normal one, and samples are f^-1 of normal
# numbers. The lesson derives what that does to a density, why the functions look the way they do, and each line of the
# gradient. Then it trains flows in the plane, where the truth is known, and looks at one that draws digits.
#
# Read it beside `minigen/layers/coupling.py`, `minigen/models/realnvp.py` and `minigen/models/glow.py`. Lesson 00 explains
# the notation: `dx` is dL/dx, and a product y = x W gives dx = dy W', dW = x' dy. Run it from the root of the repository:
# `python lessons/05_normalizing_flows.py`. It takes about a minute and puts its figure into `lessons/out`. Two environment
# variables change that: `MINIGEN_LESSON_STEPS` is the number of training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file
from scipy.special import ndtr

from minigen.check import prove
from minigen.data import load
from minigen.data.densities import density
from minigen.kernels.spline.definition import Bin, rq_names, rq_value
from minigen.layers import InvertibleConv
from minigen.models.glow import Glow
from minigen.models.neural_spline_flow import NeuralSplineFlow
from minigen.models.realnvp import RealNVP
from minigen.random import Key

FULL = 3000
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)

# %% [markdown]
# ## 1. What a function does to a density
#
# A small interval dx around x goes to an interval dz = f'(x) dx around z = f(x), and takes its probability along. Probability
# is density times length, so p(x) dx = N(z) dz, and
#
#     p(x) = N(f(x)) |f'(x)|                               what f stretches has been dense, what it squeezes has been thin
#
# In D dimensions a small box changes its volume by the determinant of all the derivatives, the Jacobian J = dz/dx:
#
#     log p(x) = log N(z; 0, 1) + log |det J|              log N(z; 0, 1) = -|z|^2 / 2 - D/2 log 2 pi
#
# No bound and no approximation. For one number, f(x) = sinh(x), f'(x) = cosh(x), samples can be counted:

# %%
x = np.arcsinh(key.at("one number").normal(1_000_000, np.float64))  # f^-1 of normal numbers
counts, edges = np.histogram(x, 40, (-2, 2))
middle = (edges[1:] + edges[:-1]) / 2
p = np.exp(-(np.sinh(middle) ** 2) / 2) / np.sqrt(2 * np.pi) * np.cosh(middle)
error = np.abs(counts / (1e6 * 0.1) - p).max()
print(f"density of arcsinh of normal numbers: {p.max():.3f} at most; counted ones differ by {error:.3f} at most")
assert error < 0.01

# %% [markdown]
# ## 2. A Jacobian that is triangular
#
# To train by -log p(x), f needs three things: it must be invertible, flexible, and its determinant must be cheap. A neural
# network is flexible, but it has no inverse, and a D x D determinant costs D^3. The *coupling* (Dinh et al. 2015, 2017) has
# all three. Cut x into two halves a and b. Keep a, and let a network of a say how b is scaled and shifted:
#
#     (r, t) = net(a)      s = 2 tanh(r / 2)      z = (a, b e^s + t)           tanh keeps e^s between e^-2 and e^2
#
#     J = [ 1         0   ]       the upper right corner is zero, since a does not depend on b,
#         [ dz/da   e^s   ]       so that det J is the product of the diagonal: log |det J| = sum s
#
# What stands in the corner `dz/da` is all of the network's derivatives, and nobody needs it. And since a is still there, so
# are s and t: b = (z_b - t) e^-s. The network itself is never inverted. Two couplings in turn move both halves.


# %%
def coupling(x, p, moved):
    """x (N, 2) -> z (N, 2), logdet (N,) and what the way back needs; `moved` is the column that moves."""
    W1, b1, W2, b2, W3, b3 = p
    a, b = x[:, [1 - moved]], x[:, [moved]]  # (N, 1) each
    a1 = a @ W1 + b1
    h1 = a1 * (a1.real > 0)  # (N, H)
    a2 = h1 @ W2 + b2
    h2 = a2 * (a2.real > 0)
    r, t = np.split(h2 @ W3 + b3, 2, -1)
    s = 2 * np.tanh(r / 2)
    z = np.concatenate([a, b * np.exp(s) + t][:: 1 if moved else -1], -1)
    return z, s[:, 0], (a, b, h1, h2, s)


model = RealNVP((2,), key.at("small"), np.float64, depth=4, hidden=20)
model.theta += 0.1 * key.at("stir").normal(model.theta.shape, np.float64)  # last layers begin at zero: away from there
arrays = list(model.vector.views(model.theta).values())
networks = [arrays[i : i + 6] for i in range(0, 24, 6)]
x = density("checkerboard").sample(100, key.at("x")).astype(np.float64)

J, h = np.empty((100, 2, 2)), 1e-30
for j in range(2):  # the complex step: column j of J is the imaginary part of f(x + i h e_j), over h
    J[:, :, j] = coupling(x + 1j * h * np.eye(2)[j], networks[0], 1)[0].imag / h
assert (J[:, 0, 1] == 0).all()
assert np.abs(np.linalg.slogdet(J)[1] - coupling(x, networks[0], 1)[1]).max() < 1e-12
print(f"the Jacobian of the first point:\n{J[0].round(3)}")

# %% [markdown]
# ## 3. The whole gradient
#
# The loss is the mean of -log p = |z|^2 / 2 + log 2 pi - (sum of all s). So dz = z / N comes from behind, and every s
# receives -1/N beside what comes through z. One coupling, from its outputs dz = (da', dz_b) back to its inputs:
#
#     z_b = b e^s + t                      db = dz_b e^s,   dt = dz_b,   ds = dz_b b e^s - 1/N
#     s   = 2 tanh(r / 2)                  dr = ds (1 - s^2 / 4)
#     r, t = net(a)                        da = da' + what comes back through the network: a is used twice


# %%
def naive(x, networks):
    """The loss, and the gradients of all arrays in the order of `networks`."""
    N, z, logdet, kept, gradients = len(x), x, 0, [], []
    for i, p in enumerate(networks):
        z, s, cache = coupling(z, p, 1 - i % 2)
        logdet = logdet + s
        kept.append(cache)
    loss = (0.5 * (z**2).sum(1) + np.log(2 * np.pi) - logdet).mean()
    dz = z / N
    for i in reversed(range(len(networks))):
        (W1, _, W2, _, W3, _), (a, b, h1, h2, s), moved = networks[i], kept[i], 1 - i % 2
        da, db = dz[:, [1 - moved]], dz[:, [moved]]
        ds = db * b * np.exp(s) - 1 / N
        dh3 = np.concatenate((ds * (1 - s**2 / 4), db), -1)  # dr and dt
        da2 = dh3 @ W3.T * (h2 > 0)
        da1 = da2 @ W2.T * (h1 > 0)
        gradients = [a.T @ da1, da1.sum(0), h1.T @ da2, da2.sum(0), h2.T @ dh3, dh3.sum(0), *gradients]
        dz = np.concatenate([da + da1 @ W1.T, db * np.exp(s)][:: 1 if moved else -1], -1)
    return loss, gradients


(likelihood,) = model.objectives
terms, _ = likelihood(model, x, None)
loss, gradients = naive(x, networks)
assert abs(terms["prior"] + terms["volume"] - loss) < 1e-12 * abs(loss)
for (name, theirs), ours in zip(model.vector.views(model.grad).items(), gradients, strict=True):
    assert np.abs(theirs - ours).max() < 1e-12 * max(1, np.abs(ours).max()), name
assert np.abs(model.decode(model.encode(x)) - x).max() < 1e-9
worst = max(row.rel_error for row in prove(model, x[:4], key.at("proof")) if row.method == "complex step")
print(f"the naive gradient is the library's; the complex step differs by at most {worst:.0e}")

# %% [markdown]
# ## 4. In the plane: bend, do not pull
#
# The eight black squares of a checkerboard have an area of 32, and so an entropy of log 32: no model has a smaller mean of
# -log p(x). What a flow has above it, in nats, is exactly what it has failed to learn. Affine couplings have a hard time with
# it. They are smooth and stretch all of b alike, and cannot tear: between two squares a bridge is left.
#
# A *spline coupling* (Durkan et al. 2019) keeps everything but b e^s + t. In its place stands a rising curve of 32 pieces,
# whose widths, heights and slopes come from net(a): the coupling may be steep here and flat there. One piece reaches from
# (0, 0) to (w, h) with slopes d0 and d1 at its ends; it is a quotient of two parabolas, which always rises:
#
#     xi = x / w,   s = h / w,   y = h (s xi^2 + d0 xi (1 - xi)) / (s + (d0 + d1 - 2 s) xi (1 - xi))


# %%
def bend(x, w, h, d0, d1):
    xi, s = x / w, h / w
    return h * (s * xi**2 + d0 * xi * (1 - xi)) / (s + (d0 + d1 - 2 * s) * xi * (1 - xi))


piece = 0.5, 2.0, 0.1, 9.0  # w, h, d0, d1: steep on average, flat on the left
inside = np.linspace(0, 0.5, 101)
w, height, d0, d1 = piece
there = Bin(0.0, w, 0.0, height, d0, d1)
y, log_slope = rq_value(there, rq_names(inside / w, there))
assert np.abs(y - bend(inside, *piece)).max() < 1e-13
assert (np.diff(y) > 0).all()
assert np.abs(np.exp(log_slope) - bend(inside + 1j * h, *piece).imag / h).max() < 1e-12


# %% [markdown]
# Both flows train on fresh points. `sample` draws them; the figure shows the densities that they end with.


# %%
def fit(model, rate, batch):
    model.start(rate, STEPS)
    curve = []
    for i in range(STEPS):
        terms = model.step(board.sample(batch, key.at("points", i)).astype(np.float32), key.at("step", i))
        curve.append(terms["prior"] + terms["volume"] - board.entropy)
    return curve


board = density("checkerboard")
held_out = board.sample(20_000, key.at("held out")).astype(np.float32)
affine = RealNVP((2,), key.at("affine"), depth=8, hidden=64)
spline = NeuralSplineFlow((2,), key.at("spline"), depth=2, hidden=64, reach=4.5)
curves = {"affine": fit(affine, 5e-3, 256), "spline": fit(spline, 5e-3, 512)}
excess = {name: -flow.log_prob(held_out).mean() - board.entropy for name, flow in (("affine", affine), ("spline", spline))}
for name, nats in excess.items():
    print(f"checkerboard, {name} couplings: {nats:.3f} nats above the entropy {board.entropy:.3f}")
assert STEPS < FULL or excess["spline"] < 0.08 < excess["affine"] < 0.4

# %% [markdown]
# ## 5. Mixing channels: P L U
#
# An image has many channels, and a coupling moves half of them. Which ones next? Glow (Kingma and Dhariwal 2018) learns to mix
# them, z = x W at every pixel, a *1x1 convolution*. Its determinant would cost C^3 a step, and W might become singular. So W
# is stored taken apart: a fixed permutation P, a lower triangular matrix with ones on its diagonal, and an upper one whose
# diagonal is sign e^s. The determinant of a product is the product of determinants: 1 for the first two, and
#
#     W = P (L + 1) U          log |det W| = sum s          for one pixel; H W times that for an image
#
# It can never be singular. W begins as a random rotation, which is then taken apart, once.

# %%
mix = InvertibleConv(12).initialise(key.at("mix"), np.float64)
A, P, sign = mix.params["A"], mix.state["P"], mix.state["sign"]  # all that learns is A: L below its diagonal, U above, s on it
W = P @ (np.tril(A, -1) + np.eye(12)) @ (np.triu(A, 1) + np.diag(sign * np.exp(np.diag(A))))
assert np.abs(W.T @ W - np.eye(12)).max() < 1e-12
A += 0.2 * key.at("A").normal(A.shape, np.float64)
W = P @ (np.tril(A, -1) + np.eye(12)) @ (np.triu(A, 1) + np.diag(sign * np.exp(np.diag(A))))
x = key.at("channels").normal((3, 4, 5, 12), np.float64)
(z, logdet), _ = mix.forward(x)
assert np.abs(z - x @ W).max() < 1e-12
assert np.abs(logdet - 20 * np.linalg.slogdet(W)[1]).max() < 1e-11
print(f"log |det W| = {np.linalg.slogdet(W)[1]:.4f} from its definition, {np.diag(A).sum():.4f} from the diagonal")

# %% [markdown]
# ## 6. Pixels are whole numbers
#
# A density on 256 points can grow without bound: a flow that puts ever thinner peaks on them has a likelihood as large as it
# likes, and has learned nothing. So fill the gaps with noise u, uniform on [0, 1), fresh at each step: v = (pixel + u) / 256.
# The probability of a pixel is now the integral of p over its cell, and Jensen's inequality gives a bound once more:
#
#     log P(pixel) = log E_u [ p(v) ] - log 256 >= E_u [ log p(v) ] - log 256
#
# And v lies between two walls, where a normal density does not know how to stop. The *logit* moves the walls to infinity:
# y = log p - log(1 - p), where p = alpha + (1 - 2 alpha) v keeps off the ends. Both belong to the likelihood: log 256 for each
# pixel, and the slope of the logit. One pixel, y normal with mean -1 and scale 2, whose probabilities can be written down:


# %%
def logit(v, alpha=1e-6):
    p = alpha + (1 - 2 * alpha) * v
    return np.log(p / (1 - p)), np.log((1 - 2 * alpha) / (p * (1 - p)))  # y and the logarithm of its slope


cells = (logit(np.arange(257) / 256)[0] + 1) / 2  # z at the walls of the cells
P_pixel = np.diff(ndtr(cells))
y, log_slope = logit((np.arange(256) + key.at("u").uniform((20_000, 1), np.float64)) / 256)
log_p = -0.5 * ((y + 1) / 2) ** 2 - np.log(2 * np.sqrt(2 * np.pi)) + log_slope  # (20000, 256): log p(v)
bound = (log_p - np.log(256)).mean(0)
print(f"the sum of 256 probabilities: {P_pixel.sum():.9f}; the bound is below by {(np.log(P_pixel) - bound).max():.3f} at most")
assert abs(P_pixel.sum() - 1) < 1e-7
assert (bound < np.log(P_pixel) + 1e-3).all()

# %% [markdown]
# ## 7. Glow
#
# One *step* of Glow is three bijections: ActNorm, a gain and a bias for every channel, which start such that the first batch
# comes out with mean 0 and variance 1; the mixture of section 5; a coupling whose network has convolutions. A *level* squeezes
# every 2 x 2 pixels into channels, takes its steps, and lets half of the channels leave: they are part of z now. The levels
# that follow see less and less, at a coarser and coarser grain.
#
# A minute is not enough for images, so these weights were trained before (`lessons/weights/make.py` says how): three levels
# of six steps, on glyphs of 16 x 16 pixels. Its figure is exact up to the bound of section 6: bits per dimension on held-out
# images. Beside it what 8 plain bits cost, and what it costs to know how often each pixel has each value, but nothing of its
# neighbours.

# %%
weights = load_file("lessons/weights/05_glow.safetensors")
glow = Glow((16, 16, 1), key, levels=3, steps=6, width=64)
for path, view in glow.flow.named("flow"):
    view[...] = weights[path]
for path, node in glow.flow.walk("flow"):
    node.state.update({name: weights[f"{path}.{name}"].astype(np.float32) for name in node.state})
train, test = load("glyphs", size=16), load("glyphs", "test", size=16)
images = test.batch(np.arange(1000))  # (1000, 16, 16, 1)
bits = np.mean([glow.evaluate(part, key.at("bits"))["bits_per_dimension"] for part in np.split(images, 20)])

values = train.images.reshape(len(train), -1)  # (N, 256) of 0 .. 255
counts = np.stack([np.bincount(column, minlength=256) + 1 for column in values.T])  # (256 pixels, 256 values)
alone = -np.log2(counts / counts.sum(1, keepdims=True))[np.arange(256), test.images[:1000].reshape(1000, -1)].mean()
print(f"held-out glyphs: {bits:.2f} bits per dimension; each pixel by itself {alone:.2f}, plain 8.00")
assert bits < alone < 8

# %% [markdown]
# **Forgetting is allowed.** Backward needs what each layer has seen, and a deep flow sees a lot. But an input can be computed
# from its output: walk back from z, invert a step, run it forward, go back through it, forget it (Gomez et al. 2017). With
# `store=False` memory does not grow with depth. The price is a pass more, and rounding: in float32 the gradient is that of
# slightly other inputs.

# %%
forgetful = Glow((16, 16, 1), key, levels=3, steps=6, width=64, store=False)
forgetful.theta[...] = glow.theta
for (_, there), (_, here) in zip(forgetful.flow.walk(), glow.flow.walk(), strict=True):
    there.state.update(here.state)
for flow in (glow, forgetful):
    noise = flow.objectives[0].draw(flow, images[:32], key.at("noise"))
    flow.objectives[0](flow, images[:32], noise)
off = np.linalg.norm(forgetful.grad - glow.grad) / np.linalg.norm(glow.grad)
print(f"without stored activations, {len(list(glow.flow.walk()))} nodes deep: the gradient differs by {off:.0e} of its length")
assert off < 1e-5

# %% [markdown]
# ## 8. Temperature, interpolation, and the figure
#
# Samples at z ~ N(0, T^2): T = 1 is the model, and every weakness of it is drawn as often as it has mass. A lower temperature
# stays near the middle, where images are likelier and more alike. A straight line in z leads from one image to another through
# images; in pixels it would lead through double exposures.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(11, 10.4), layout="constrained")
axes = figure.subplot_mosaic(
    [["truth", "affine", "spline", "curve"], ["one"] * 2 + ["seven"] * 2, ["heat"] * 2 + ["between"] * 2],
    height_ratios=(2.7, 4.3, 3.3),
)
axes["truth"].scatter(*held_out[:8000].T, s=0.5, color="#1f5fa8")
for name, flow in (("affine", affine), ("spline", spline)):
    axes[name].imshow(flow.density_map(held_out)[0, 0, :, :, 0], cmap="gray", extent=(-4.4, 4.4, -4.4, 4.4))
    axes["curve"].plot(curves[name], lw=0.5, label=name)
    axes[name].set_title(f"{name}: {excess[name]:.3f} nats above")
axes["truth"].set(title="points: entropy log 32", xlim=(-4.4, 4.4), ylim=(-4.4, 4.4), aspect="equal")
axes["curve"].set(title="nats above the entropy", xlabel="step", ylim=(0, 1.5))
axes["curve"].legend(frameon=False)

between = np.stack([glow.interpolate(images[2 * i], images[2 * i + 1], 10) for i in range(8)])
for name, title, grid in (
    ("one", f"samples at T = 1, {bits:.2f} bits per dimension", glow.sample(80, key.at("one")).reshape(8, 10, 16, 16, 1)),
    ("seven", "samples at T = 0.7", glow.sample(80, key.at("one"), temperature=0.7).reshape(8, 10, 16, 16, 1)),
    ("heat", "the same z at T = 0.25, 0.5, 0.7, 0.8, 0.9, 1", glow.temperatures(10, key.at("heat"))),
    ("between", "from one held-out image to another, straight through z", between[:6]),
):
    rows, columns, height, width, _ = grid.shape
    axes[name].imshow(grid.swapaxes(1, 2).reshape(rows * height, columns * width), cmap="gray_r", vmin=0, vmax=1)
    axes[name].set_title(title)
    axes[name].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "05_normalizing_flows.png", dpi=130)
print("figure:", OUT / "05_normalizing_flows.png")

# %% [markdown]
# ## 9. Where this departs from the papers
#
# - RealNVP (Dinh et al. 2017) multiplies tanh by a learned scale; here its bound is fixed, at 2. Its images go through
#   residual networks with batch normalisation, which ties the rows of a batch together; `conv_realnvp` has plain
#   convolutions, and ActNorm.
# - Glow (Kingma and Dhariwal 2018) scales by a sigmoid, has networks 512 channels wide with ActNorm inside, K = 32 steps, and
#   its code learns the mean and scale of the half that leaves from the half that stays. Here 64 channels, 6 steps, and what
#   leaves is simply normal. It dequantises, but has no logit: its pixels lie in [-1/2, 1/2].
# - The splines of Durkan et al. (2019) alternate with mixtures of channels; the two in the plane only take turns.
# - Bits per dimension depend on the data: those of glyphs of 16 x 16 pixels cannot be compared with the 1.05 that Glow has on
#   MNIST.

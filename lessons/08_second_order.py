# %% [markdown]
# # Lesson 08: second order
#
# Some objectives contain a gradient. The critic of a Wasserstein GAN must not be steep, so it pays for the length of its
# slope; and to learn from that, the slope itself has to be differentiated. The lesson derives the fourth pass of a layer,
# `backward_jvp`, line by line, and one identity that turns it into everything of second order: products with a Hessian, and
# penalties on a slope. Then it shows what such penalties are good for.
#
# Read it beside `minigen/models/penalties.py`, `minigen/models/wgan.py` and `minigen/models/wgan_gp.py`. Lesson 00 explains
# the notation, lesson 02 the game. Run it from the root of the repository: `python lessons/08_second_order.py`. It takes
# about a minute and puts its figure into `lessons/out`. Two environment variables change that: `MINIGEN_LESSON_STEPS` is the
# number of updates of a generator in section 7, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from minigen.check import prove
from minigen.data.densities import density
from minigen.layers import Linear, Sequential, Tanh
from minigen.metrics.energy_distance import energy_distance
from minigen.models.games import UPDATES, bilinear, trajectory
from minigen.models.gan import GAN
from minigen.models.penalties import gradient_penalty
from minigen.models.wgan import WGAN
from minigen.models.wgan_gp import WGANGP
from minigen.random import Key

FULL = 1000
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)

# %% [markdown]
# ## 1. The product rule under every line of backward
#
# A dense layer and an activation, forward and backward, as in lesson 00:
#
#     a = x W + b          dx = da W',   dW = x' da,   db = sum over rows of da
#     h = f(a)             da = dh f'(a)
#
# Now let everything move with a time t: x along x_dot, the parameters along W_dot and b_dot, and the arriving gradient along
# its own dot. How fast does each line move? A product moves by its first factor and by its second; f'(a) moves by f''(a)
# times the movement of a. Forward first, which is `jvp`; then each line of backward, which is `backward_jvp` (Pearlmutter
# 1994):
#
#     a_dot  = x_dot W + x W_dot + b_dot
#     h_dot  = f'(a) a_dot
#
#     da_dot = dh_dot f'(a) + dh f''(a) a_dot            an activation: two factors, two terms
#     dW_dot = x_dot' da + x' da_dot                     a dense layer: each line is one product
#     db_dot = sum over rows of da_dot
#     dx_dot = da_dot W' + da W_dot'
#
# Nothing else happens. For tanh the slope f' is 1 - tanh^2, and the curve f'' is -2 tanh (1 - tanh^2). For functions of
# straight pieces, ReLU and LeakyReLU, f'' is 0 and its term is absent. A network of two dense layers, p = W1, b1, W2, b2:


# %%
def slope(a):
    return 1 - np.tanh(a) ** 2


def curve(a):
    return -2 * np.tanh(a) * slope(a)


def forward(p, x):
    W1, b1, W2, b2 = p
    a = x @ W1 + b1
    h = np.tanh(a)
    return h @ W2 + b2, (x, a, h)


def jvp(p, p_dot, seen, x_dot):
    (W1, _, W2, _), (W1_dot, b1_dot, W2_dot, b2_dot), (x, a, h) = p, p_dot, seen
    a_dot = x_dot @ W1 + x @ W1_dot + b1_dot
    h_dot = slope(a) * a_dot
    return h_dot @ W2 + h @ W2_dot + b2_dot, (x_dot, a_dot, h_dot)


def backward(p, seen, dy):
    """dx, and the gradients of p."""
    (W1, _, W2, _), (x, a, h) = p, seen
    dh = dy @ W2.T
    da = dh * slope(a)
    return da @ W1.T, [x.T @ da, da.sum(0), h.T @ dy, dy.sum(0)]


def backward_jvp(p, p_dot, seen, moved, dy, dy_dot):
    """The same lines, each with its speed below it: dx_dot, and the speeds of the gradients of p."""
    (W1, _, W2, _), (W1_dot, _, W2_dot, _), (x, a, h), (x_dot, a_dot, h_dot) = p, p_dot, seen, moved
    dh = dy @ W2.T
    dh_dot = dy_dot @ W2.T + dy @ W2_dot.T
    da = dh * slope(a)
    da_dot = dh_dot * slope(a) + dh * curve(a) * a_dot
    grads_dot = [x_dot.T @ da + x.T @ da_dot, da_dot.sum(0), h_dot.T @ dy + h.T @ dy_dot, dy_dot.sum(0)]
    return da_dot @ W1.T + da @ W1_dot.T, grads_dot


# %% [markdown]
# Two judges. The complex step of lesson 00 *through backward*: let everything move a distance 1e-30 into the imaginary
# direction, and the imaginary part of what `backward` returns is its speed. And the library's layers.


# %%
def draw(name, *shapes):
    return [key.at(name, i).normal(shape, np.float64) for i, shape in enumerate(shapes)]


def along(p, p_dot, t):
    return [a + t * a_dot for a, a_dot in zip(p, p_dot, strict=True)]


def inner(p, q):
    return sum((a * b).sum() for a, b in zip(p, q, strict=True))


def gap(p, q):
    """How far p is from q, relative to q."""
    return np.sqrt(inner(along(p, q, -1), along(p, q, -1)) / inner(q, q))


shapes = (2, 9), (9,), (9, 1), (1,)
p, p_dot = draw("p", *shapes), draw("p_dot", *shapes)
x, x_dot, dy, dy_dot, target = draw("rows", (6, 2), (6, 2), (6, 1), (6, 1), (6, 1))
y, seen = forward(p, x)
y_dot, moved = jvp(p, p_dot, seen, x_dot)
dx_dot, grads_dot = backward_jvp(p, p_dot, seen, moved, dy, dy_dot)

leaning = along(p, p_dot, 1e-30j)
y_leaning, seen_leaning = forward(leaning, x + 1e-30j * x_dot)
dx_leaning, grads_leaning = backward(leaning, seen_leaning, dy + 1e-30j * dy_dot)
exact = gap([y_dot, dx_dot, *grads_dot], [1e30 * array.imag for array in (y_leaning, dx_leaning, *grads_leaning)])
assert exact < 1e-14

net = Sequential(Linear(2, 9), Tanh(), Linear(9, 1)).initialise(key, np.float64)
theta, theta_dot, grad = (list(net.vector.views(v).values()) for v in (net.vector.theta, net.vector.theta_dot, net.vector.grad))
for view, array in zip(theta + theta_dot, p + p_dot, strict=True):
    view[...] = array
_, tangents = net.jvp(x_dot, cache := net.forward(x)[1], move_params=True)
_, theirs = net.backward_jvp(dy, dy_dot, cache, tangents)
assert gap([theirs, *grad], [dx_dot, *grads_dot]) < 1e-14
print(f"backward_jvp: {exact:.0e} from the complex step; the library's is the same")

# %% [markdown]
# ## 2. A Hessian, without ever writing it down
#
# Let only the parameters move, along v, and let dy be the gradient of a loss. Then backward's gradient is that of the loss,
# g(theta), and its speed is the Hessian times v:
#
#     H v = d/dt g(theta + t v)        at the price of about two more gradients, whatever the number of parameters
#
# For the mean square L = mean (y - target)^2 that means dy = 2 (y - target) / N and dy_dot = 2 y_dot / N. A Hessian is
# symmetric, so u'Hv = v'Hu. One can also do without second derivatives, (g(theta + h v) - g(theta - h v)) / 2h; but how large
# is h? Too large, and g bends on the way; too small, and two nearly equal gradients cancel. No h is right; the pass needs
# none.


# %%
def gradient(p):
    y, seen = forward(p, x)
    return backward(p, seen, 2 * (y - target) / len(x))[1]


def hessian_times(v):
    y_dot, moved = jvp(p, v, seen, 0 * x)
    return backward_jvp(p, v, seen, moved, 2 * (y - target) / len(x), 2 * y_dot / len(x))[1]


u, v = p_dot, draw("v", *shapes)
Hu, Hv = hessian_times(u), hessian_times(v)
assert abs(inner(u, Hv) - inner(v, Hu)) < 1e-13 * abs(inner(u, Hv))
h = 10.0 ** np.arange(-12, 0.5, 0.5)
errors = [gap([d / (2 * s) for d in along(gradient(along(p, v, s)), gradient(along(p, v, -s)), -1)], Hv) for s in h]
print(f"H v by differences of gradients: at best {min(errors):.0e} off, at h = {h[np.argmin(errors)]:.0e}")
assert 1e-13 < min(errors) < 1e-7

# %% [markdown]
# ## 3. One identity
#
# Now let only x move, along v, and hold dy = u. The network's tangent is J v, J the matrix of its derivatives by x. Consider
# the number <u, y>, a function of theta and of t through x + t v. Its derivatives can be taken in either order:
#
#     d/dtheta  d/dt <u, y(x + t v)>  =  d/dtheta <u, J v>
#     d/dt  d/dtheta <u, y(x + t v)>  =  d/dt (what backward adds, with dy = u)  =  what backward_jvp adds, with dy_dot = 0
#
# **The parameter gradient of <u, J v> is how the parameter gradient changes as x moves along v.** It is what every objective
# with a gradient in it needs. The judge takes the left side by the complex step, for parameters that lean along p_dot:

# %%
u, v, still = dy, x_dot, [0 * array for array in p]
_, right = backward_jvp(p, still, seen, jvp(p, still, seen, v)[1], u, 0 * u)
left = 1e30 * (u * jvp(leaning, still, forward(leaning, x)[1], v)[0]).sum().imag
assert abs(left - inner(right, p_dot)) < 1e-13 * abs(left)

# %% [markdown]
# ## 4. The gradient penalty
#
# A critic f(x) has a slope at every row, and pays where its length is not 1 (Gulrajani et al. 2017):
#
#     g = df/dx = J' 1  (N, 2)                         one pass backward, with dy = 1
#     P = mean over rows of (|g| - 1)^2                |g| the norm over all axes of a row: of a whole image
#     u = dP/dg = 2/N (|g| - 1) g / |g|                at g = 0 the norm has no derivative: 0 is taken, one of its subgradients
#
# For dP/dtheta, u is held fixed: dP/dtheta = d/dtheta <u, J' 1>. But <u, J' 1> = <1, J u>, and that is the identity of
# section 3: x moves along u, and the gradient of sum f is watched. So three passes in all: backward, jvp, backward_jvp.


# %%
def naive_penalty(p, x):
    """P, and its gradients."""
    y, seen = forward(p, x)
    one = np.ones_like(y)
    g, _ = backward(p, seen, one)
    length = np.sqrt((g * g).sum(1, keepdims=True))  # (N, 1)
    u = 2 / len(x) * (length - 1) * g / length
    return ((length - 1) ** 2).mean(), backward_jvp(p, still, seen, jvp(p, still, seen, u)[1], one, 0 * one)[1]


P, grads = naive_penalty(p, x)
net.zero_grads()
theirs, _ = gradient_penalty(1.0).of(net, *net.forward(x))
assert abs(theirs / P - 1) < 1e-14
assert gap(net.vector.views(net.vector.grad).values(), grads) < 1e-13

# %% [markdown]
# The whole objective of the critic is mean f(fake) - mean f(real) + 10 P, at points between a real row and a fake one, and
# `prove` compares its gradient with the complex step. Three mistakes are made so often that each deserves a line:
#
# - *The mixing weight* t in x = t real + (1 - t) fake is one number a row. Drawn for every pixel, the mixture leaves the
#   straight line between the two, and the critic is asked to have slope 1 where nothing is.
# - *The norm* is over all axes of an image. Over the channels alone, it asks every pixel for a slope of 1.
# - *Zero*: the derivative of a norm is g / |g|, which is NaN for a flat critic. Here a flat critic pays, and stays finite.
#
# Where f(x) = <w, x>, everything is known: the slope is w at every row, the penalty 10 (|w| - 1)^2.

# %%
proof = prove(WGANGP((2,), key.at("proof"), np.float64, latents=2, hidden=8), x, key.at("prove"))
assert max(row.rel_error for row in proof if row.method == "complex step") < 1e-12
f = Sequential(Linear(2, 1)).initialise(key, np.float64)
for w, expected in (((3.0, 4.0), (48.0, 64.0)), ((0.0, 0.0), (0.0, 0.0))):
    f[0].params["W"][:, 0] = w
    f.zero_grads()
    paid, _ = gradient_penalty(10.0).of(f, *f.forward(x))
    assert paid == 10 * (np.hypot(*w) - 1) ** 2
    assert np.allclose(f[0].grads["W"][:, 0], expected, rtol=1e-14)

# %% [markdown]
# ## 5. What it is good for
#
# Lesson 02 showed a discriminator that is right about everything. Where real rows and fakes do not overlap, D's logit grows
# without end, and what G is paid, -log(1 - D), is flat at the fakes: what G minimises, the Jensen-Shannon divergence, is log 2
# wherever they are. The Wasserstein distance is the work that carries the one to the other. It knows how far they are, and it
# equals the largest difference of means that a function without steep places can make:
#
#     W(p, q) = max over f with slope at most 1 of E_p f - E_q f          (Kantorovich and Rubinstein; Villani 2009, ch. 5)
#
# Real rows at +2 and fakes at -2, on a line. We hold the fakes and train a discriminator; a critic whose parameters are
# clipped after each update (Arjovsky et al. 2017), which bounds its slope somehow; and a critic with the penalty.

# %%
line, at = np.linspace(-4, 4, 401, dtype=np.float32)[:, None], {}
players = {"discriminator": GAN, "critic, clipped": WGAN, "critic, penalty": WGANGP}
for name, make in players.items():
    player = make((1,), key.at("player"), hidden=32, latents=1, **({"clip": 0.1} if make is WGAN else {}))
    player.start(2e-3, 300)
    for i in range(300):
        real, fake = (2 * sign + 0.3 * key.at("line", i, sign + 1).normal((64, 1)) for sign in (1, -1))
        noise = player.objectives[0].draw(player, real, key.at("noise", i))
        player.discriminator.zero_grads()
        player.objectives[0](player, real, noise, forwards={"generator": (fake, None)})
        player.optimizers["d"].step()
        if make is WGAN:
            player.bound_slope()
    height = player.discriminator.forward(line)[0]
    at[name] = np.logaddexp(0, height) if make is GAN else height  # -log(1 - D) is the softplus of the logit
steep = {name: np.gradient(height[:, 0], line[:, 0])[100] for name, height in at.items()}  # at -2, amid the fakes
print("the slope at the fakes, all that G learns from:", ", ".join(f"{name} {value:.3f}" for name, value in steep.items()))
assert steep["discriminator"] < 0.05 < 0.9 < steep["critic, penalty"] < 1.5

# %% [markdown]
# D has no slope left where the fakes are; a critic has one. The clipped one's is whatever the border of its parameters allows,
# and its shape is crude, as the figure shows. The penalty has its price, too: it is a soft bound. A slope s earns s W and pays
# 10 (s - 1)^2, so the best s is not 1 but 1 + W/20.
#
# ## 6. R1, and games that come to rest
#
# A penalty may also ask for *no* slope: R1, gamma/2 mean |g|^2 at the real rows (Mescheder et al. 2018). It is the same
# mechanism with another u = gamma g / N, and a GAN can have it: `minigen train dcgan --set r1=1`. To see why one would want it,
# take the game of two numbers of lesson 02: the data are a point at 0, G puts one at theta, f(x) = psi x. Its slope is psi.
# Both players descend; around the solution (0, 0) the plain game circles. With R1, psi also moves by -gamma psi: friction, and
# the spiral ends at the solution. With the gradient penalty, psi moves by -2 lambda (|psi| - 1) sign psi, here with lambda =
# 0.3: it wants a slope of 1 where the solution has none, and the game never rests.

# %%
eta, start, steps = 0.1, np.array((1.0, 0.3)), 400
paths = {n: trajectory(bilinear(g), UPDATES["alternating"], start, eta, steps) for n, g in (("no penalty", 0.0), ("R1", 1.0))}
paths["gradient penalty"] = np.tile(start, (steps + 1, 1))
for i, (theta, psi) in enumerate(paths["gradient penalty"][:-1]):
    psi = psi - eta * (theta + 2 * 0.3 * (abs(psi) - 1) * np.sign(psi))
    paths["gradient penalty"][i + 1] = theta + eta * psi, psi
rest = {name: np.hypot(*path[-100:].T).max() for name, path in paths.items()}
assert rest["R1"] < 1e-5 < 0.5 < min(rest["no penalty"], rest["gradient penalty"])

# %% [markdown]
# ## 7. Three ways to play
#
# Two moons in the plane, layers of 64 units and as many updates of G for all. A step of `wgan` or `wgan_gp` is one update of
# the critic; every third is followed by one of G, since the critic has to be near its maximum to measure a distance. How far
# the samples are from the data is said by the energy distance, 2 E|x - y| - E|x - x'| - E|y - y'|, which is 0 for the truth.

# %%
moons, critics = density("moons"), {"critic_steps": 3, "beta1": 0.5, "decay": True}
held_out, again = (moons.sample(4000, key.at("held out", i)) for i in (0, 1))
clouds, distances = {"data": again}, {}
players = {"GAN": (GAN, {}), "WGAN": (WGAN, {"clip": 0.1, **critics}), "WGAN-GP": (WGANGP, {"penalty": 1.0, **critics})}
for name, (make, options) in players.items():
    players[name] = player = make((2,), key.at("G"), latents=2, hidden=64, **options)
    steps = STEPS * options.get("critic_steps", 1)
    player.start(2e-3, steps)
    rows = moons.sample(128 * steps, key.at("train")).astype(np.float32).reshape(steps, 128, 2)
    terms = [player.step(batch, key.at("step", i)) for i, batch in enumerate(rows)]
    distances[name] = [-float(step["real"] + step["fake"]) for step in terms]
    clouds[name] = player.sample(4000, key.at("cloud"))
far = {name: energy_distance(cloud, held_out) for name, cloud in clouds.items()}
print("energy distance to held-out points:", ", ".join(f"{name} {distance:.4f}" for name, distance in far.items()))
assert STEPS < FULL or far["WGAN-GP"] < min(far["GAN"], far["WGAN"], 0.02)

# %% [markdown]
# The plain GAN's samples wander about, and its figure depends on when one stops. Of WGAN-GP there is a curve that one may look
# at: the critic's own estimate of the distance falls while the samples improve. `benchmarks/grid.py` trains WGAN-GP for longer,
# on a grid of 25 Gaussians, with a plain GAN beside it.
#
# ## 8. The figure
#
# Above: what differences of gradients lose; what G is paid at each place of the line of section 5; the game of two numbers; the
# distance as the critic sees it. Below: the moons, and the samples of the three, over the heights of the discriminator or
# critic, higher where it is darker.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(13, 7), layout="constrained")
top = "H v: relative error", "what G is paid, from 0 to 1", "two numbers: does the game rest?", "mean f(real) - mean f(fake)"
axes, colors = figure.subplot_mosaic([top, list(clouds)], height_ratios=(1, 1.2)), ("#8a8a8a", "#d1602d", "#1f5fa8")
differences, on_line, game, seen_distance = (axes[name] for name in top)
differences.loglog(h, errors, "o-", ms=3, color=colors[2], label="differences of gradients")
differences.axhline(exact, color="black", lw=0.8, ls=":", label="backward_jvp")
for (name, height), color in zip(at.items(), colors, strict=True):
    on_line.plot(line, (height - height[0]) / np.ptp(height), color=color, label=name)
for (name, path), color in zip(paths.items(), colors, strict=True):
    game.plot(*path[:250].T, lw=0.9, color=color, label=name)
seen_distance.plot(distances["WGAN-GP"], lw=0.4, color=colors[2], label="WGAN-GP, batches of 128")
game.set(ylim=(-1.5, 2.2))
labels = "h", "x; fakes at -2, real rows at 2", r"$\theta$ to the right, $\psi$ upwards", "update of the critic"
for name, label in zip(top, labels, strict=True):
    axes[name].set(title=name, xlabel=label)
    axes[name].legend(frameon=False, fontsize=7)
square = np.linspace(-4, 4, 81, dtype=np.float32)
for name, cloud in clouds.items():
    if name in players:
        heights = players[name].discriminator.forward(np.stack(np.meshgrid(square, square), -1).reshape(-1, 2))[0]
        axes[name].contourf(square, square, heights.reshape(81, 81), 14, cmap="Blues", alpha=0.6)
    axes[name].scatter(*cloud[:1500].T, s=1.5, color="black", alpha=0.5, lw=0)
    axes[name].set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", title=f"{name}: energy distance {far[name]:.4f}")
    axes[name].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "08_second_order.png", dpi=130)
print("figure:", OUT / "08_second_order.png")

# %% [markdown]
# ## 9. Where this departs from the papers
#
# - Arjovsky et al. (2017) train with RMSprop and clip at 0.01, for images. Here it is Adam, and 0.1 for small networks.
# - Gulrajani et al. (2017) take a weight of 10 and five updates of the critic for images, 0.1 in the plane. Here it is 1, and
#   three updates.
# - Mescheder et al. (2018) prove convergence with R1 for simultaneous and alternating descent alike; here it is the
#   alternating one, in the Wasserstein game.

# %% [markdown]
# # Lesson 00: gradients by hand
#
# A network learns by moving each of its parameters against the derivative of a loss. Most libraries compute these
# derivatives behind the scenes. Here they are written out, line by line, and then *proved*: every formula is compared
# with a numerical derivative that is exact to the last digit.
#
# The lesson goes from the derivative of one number to a linear layer, from there to a network, to second derivatives,
# and to the question of when a check deserves to be believed. It ends with a network that reads digits.
#
# Read it beside `minigen/layers/linear.py` (the result) and `minigen/layers/layer.py` (the four passes). Run it from the
# root of the repository: `python lessons/00_gradients_by_hand.py`. It takes some ten seconds and puts its figure into
# `lessons/out`. Two environment variables change that: `MINIGEN_LESSON_STEPS` is the number of training steps,
# `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from minigen.check import CheckError, suite
from minigen.data import Batches, load
from minigen.layers.composite import Sequential
from minigen.layers.elementwise import ReLU
from minigen.layers.linear import Linear
from minigen.losses import categorical, categorical_dot
from minigen.random import Key

FULL = 3000
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)

# %% [markdown]
# ## 1. One number
#
# The chain rule: the derivative of an outer function of an inner one is the outer derivative, at the inner value, times
# the inner derivative. Take
#
#     f(x)  = e^(sin x)
#     f'(x) = e^(sin x) cos x
#
# How do we know that the second line is right? We compute the derivative from the first line alone, and compare. The
# definition of the derivative offers two ways:
#
#     forward difference   (f(x + h) - f(x)) / h            = f'(x) + h f''(x) / 2 + ...
#     central difference   (f(x + h) - f(x - h)) / (2 h)    = f'(x) + h^2 f'''(x) / 6 + ...
#
# Both want a small h, and both suffer from it: two nearly equal numbers are subtracted. Each carries a rounding error of
# about eps = 2e-16 (float64), and the division by h makes it eps / h. The sum of both errors is least where they are
# equal:
#
#     forward   h   = eps / h    at  h = eps^(1/2) = 1e-8     error 1e-8     half of the digits are lost
#     central   h^2 = eps / h    at  h = eps^(1/3) = 6e-6     error 4e-11    a third is lost
#
# In float32, the type in which networks are trained, eps is 1e-7: of its seven digits four or five remain at best.
#
# The *complex step* (Squire and Trapp 1998) moves x sideways, into the imaginary direction. Taylor's series is
#
#     f(x + ih) = f(x) + ih f'(x) - h^2 f''(x) / 2 - ih^3 f'''(x) / 6 + ...
#
# and its imaginary part, divided by h, is
#
#     Im f(x + ih) / h = f'(x) - h^2 f'''(x) / 6 + ...
#
# Nothing is subtracted, so h may be as small as we like. With h = 1e-30 the term in h^2 is 1e-60, far below any digit:
# what is left is f'(x), exact to rounding.

# %%
f = lambda x: np.exp(np.sin(x))
f_slope = lambda x: np.exp(np.sin(x)) * np.cos(x)

x, h = 1.0, 10.0 ** -np.arange(1, 17, 0.125)  # h (128,): from 0.1 down to 1e-17
x32, h32 = np.float32(x), h.astype(np.float32)
estimates = {
    "forward difference": (f(x + h) - f(x)) / h,
    "central difference": (f(x + h) - f(x - h)) / (2 * h),
    "central, float32": (f(x32 + h32) - f(x32 - h32)) / (2 * h32),
    "complex step": f(x + 1j * h).imag / h,
}
errors = {name: np.abs(estimate / f_slope(x) - 1) for name, estimate in estimates.items()}
print("relative error         h = 1e-5   h = 1e-8  h = 1e-15")
for name, error in errors.items():
    print(f"{name:20}" + "".join(f"{error[i]:11.0e}" for i in (32, 56, 112)))

STEP = 1e-30
assert abs(f(x + 1j * STEP).imag / STEP / f_slope(x) - 1) < 1e-15
assert errors["forward difference"].min() > 1e-11  # no choice of h saves a difference

# %% [markdown]
# One condition: f must be *analytic*, made of sums, products and functions with a Taylor series. `abs`, a complex
# conjugate or a variance computed with them is not. A kink is harmless if its branch is chosen by the real part: ReLU is
# written `x * (x.real > 0)`, and between its kinks it is a straight line, which is analytic.
#
# ## 2. Many numbers
#
# A layer turns an array x into an array y, and somewhere behind it stands the loss L, one number. From here on `dx` is
# short for dL/dx: an array with the shape of x, which says how much L changes for each number in x. Likewise `dy` is
# dL/dy. Each x_j acts on L through every y_i, and the chain rule adds up these paths:
#
#     dx_j = sum_i dy_i J_ij            J_ij, the Jacobian: the derivative of y_i with respect to x_j
#
# or, with J' for J transposed, dx = J' dy. So a layer does not have to know the loss. It receives dy and hands on dx.
#
# It never forms J either. A linear layer from 784 to 400 numbers, on a batch of 128, has 128*400 outputs and 128*784
# inputs: J has 5 billion entries, nearly all of them zero, 41 GB in all. J' dy is one matrix product.
#
# The complex step could find dx too, by moving one x_j after the other, at the price of a forward pass for each.
# One backward pass gives them all. That is why backward passes are worth the trouble of writing, and why the complex
# step is left to be their judge.
#
# ## 3. A linear layer
#
# Letters: N rows in the batch, D inputs, M outputs; n, d, m count them.
#
#     y_nm = sum_d x_nd W_dm + b_m                                           y = x W + b
#
# What does x_nd touch? Row n of y, and no other. In each y_nm it is multiplied by W_dm: that is the derivative of y_nm
# with respect to x_nd, and the sum over the paths runs over m.
#
#     dx_nd = sum_m dy_nm W_dm                                               dx = dy W'
#
# What does W_dm touch? Column m of y, in every row n. In y_nm it is multiplied by x_nd.
#
#     dW_dm = sum_n x_nd dy_nm                                               dW = x' dy
#
# What does b_m touch? Column m as well, in every row, with the factor 1.
#
#     db_m = sum_n dy_nm                                                     db = the sum over the rows of dy
#
# The shapes alone nearly tell the formulas: dW is (D, M), and of x (N, D) and dy (N, M) only x' dy has that shape.


# %%
def linear(x, W, b):  # x (N, D), W (D, M), b (M,)
    return x @ W + b  # y (N, M)


def linear_backward(dy, x, W):  # dy (N, M)
    return dy @ W.T, x.T @ dy, dy.sum(0)  # dx (N, D), dW (D, M), db (M,)


def gap(a, b):
    """The largest difference, in units of the largest entry of b."""
    return np.abs(a - b).max() / np.abs(b).max()


N, D, M = 4, 7, 5
layer = Linear(D, M).initialise(key.at("linear"), np.float64)
W, b = layer.params["W"], layer.params["b"]
x, dy = key.at("x").normal((N, D), np.float64), key.at("dy").normal((N, M), np.float64)
dx, dW, db = linear_backward(dy, x, W)

# %% [markdown]
# First the library's layer. `forward` hands out a cache: all that `backward` needs to know of this call. Gradients of
# parameters are *added* to `grads`, since a layer may be used more than once.

# %%
y, cache = layer.forward(x)
assert np.array_equal(y, linear(x, W, b))
assert gap(layer.backward(dy, cache), dx) < 1e-14
assert gap(layer.grads["W"], dW) < 1e-14
assert gap(layer.grads["b"], db) < 1e-14

# %% [markdown]
# Then the judge. For a check any loss will do whose dL/dy is `dy`; the simplest is L = <dy, y>, the sum of all products.
# Move every single entry of x, W and b by ih, and compare. The error is measured against the largest entry of the
# gradient: a quotient of single entries would break down where one of them is near zero.


# %%
def complex_gradient(loss, a):
    """dL/da for an array a: one complex step for every entry."""
    moves = STEP * np.eye(a.size).reshape(-1, *a.shape)
    return np.array([loss(a + 1j * move).imag / STEP for move in moves]).reshape(a.shape)


assert gap(dx, complex_gradient(lambda x: (dy * linear(x, W, b)).sum(), x)) < 1e-14
assert gap(dW, complex_gradient(lambda W: (dy * linear(x, W, b)).sum(), W)) < 1e-14
assert gap(db, complex_gradient(lambda b: (dy * linear(x, W, b)).sum(), b)) < 1e-14

# %% [markdown]
# ## 4. Layers in a row: four passes
#
# Two linear layers with a ReLU between them, h_j = max(a_j, 0):
#
#     a = x W1 + b1,   h = relu(a),   y = h W2 + b2
#
# The Jacobian of a composition is the product of the Jacobians, J = J2 R J1, where R is diagonal, with 1
# where a > 0 and 0 elsewhere. That product can be applied to a vector from either side:
#
#     backward   J' dy    = J1' (R' (J2' dy))      from the loss to the input, the last layer first
#     jvp        J  x_dot = J2 (R (J1 x_dot))      from the input on, beside the forward pass
#
# The second, the Jacobian-vector product, is the speed of y when x moves with speed x_dot and the parameters with speed
# p_dot. Each line is the derivative, with respect to time, of a line of forward: for a product x W the product rule
# gives x_dot W + x W_dot. By convention `d` in front means a gradient, `_dot` behind means a speed.


# %%
def forward(x, p):  # x (N, D)
    W1, b1, W2, b2 = p  # (D, H), (H,), (H, K), (K,)
    a = x @ W1 + b1  # (N, H)
    h = a * (a.real > 0)  # (N, H)
    return h @ W2 + b2, (x, a, h)  # y (N, K)


def backward(dy, cache, p):
    (x, a, h), (W1, _, W2, _) = cache, p
    dh = dy @ W2.T  # (N, H)
    da = dh * (a.real > 0)  # (N, H)
    return da @ W1.T, [x.T @ da, da.sum(0), h.T @ dy, dy.sum(0)]  # dx, dp


def jvp(x_dot, p_dot, cache, p):
    (x, a, h), (W1, _, W2, _), (W1_dot, b1_dot, W2_dot, b2_dot) = cache, p, p_dot
    a_dot = x_dot @ W1 + x @ W1_dot + b1_dot
    h_dot = a_dot * (a.real > 0)
    return h_dot @ W2 + h @ W2_dot + b2_dot, (x_dot, a_dot, h_dot)


D, H, K = 6, 9, 3
net = Sequential(first=Linear(D, H), relu=ReLU(), second=Linear(H, K)).initialise(key.at("net"), np.float64)
p = [array.copy() for _, array in net.named()]  # W1, b1, W2, b2
p_dot = [key.at("p_dot", i).normal(array.shape, np.float64) for i, array in enumerate(p)]
x, x_dot = (key.at(name).normal((N, D), np.float64) for name in ("x", "x_dot"))
dy, dy_dot = (key.at(name).normal((N, K), np.float64) for name in ("dy", "dy_dot"))

y, cache = forward(x, p)
dx, dp = backward(dy, cache, p)
y_dot, tangents = jvp(x_dot, p_dot, cache, p)

# %% [markdown]
# Three tests. jvp against the complex step: x and p move along their speeds *together*, so that one step proves all of
# it. Then the *adjoint identity*, which needs no numerical derivative at all. J and J' are one matrix, so for any u, v
#
#     <u, J v> = u' J v = <J' u, v>        here: <dy, y_dot> = <dx, x_dot> + <dp, p_dot>
#
# Two passes, written by hand in opposite directions, must agree on a number. And last, the library.


# %%
def flat(arrays):
    return np.concatenate([array.reshape(-1) for array in arrays])


moved = [array + 1j * STEP * speed for array, speed in zip(p, p_dot, strict=True)]
assert gap(y_dot, forward(x + 1j * STEP * x_dot, moved)[0].imag / STEP) < 1e-14

left, right = (dy * y_dot).sum(), (dx * x_dot).sum() + flat(dp) @ flat(p_dot)
print(f"adjoint identity: <u, Jv> = {left:.12f}, <J'u, v> = {right:.12f}")
assert abs(left - right) < 1e-13 * abs(left)

_, net_cache = net.forward(x)
assert gap(net.backward(dy, net_cache), dx) < 1e-14
assert gap(flat(net.vector.views(net.vector.grad).values()), flat(dp)) < 1e-14

# %% [markdown]
# ## 5. Second derivatives: the product rule on every line of backward
#
# Some objectives contain a gradient and must be differentiated once more: the gradient penalty of a critic, for
# instance. So we ask: when x, p and dy all move, how fast does the result of backward move? Pearlmutter (1994) answered
# it: take the lines of backward one after the other, and write the product rule under each.
#
#     dh = dy W2'             dh_dot = dy_dot W2' + dy W2_dot'
#     da = dh [a > 0]         da_dot = dh_dot [a > 0]               (for a curved activation: + dh f''(a) a_dot)
#     dW1 = x' da             dW1_dot = x_dot' da + x' da_dot
#     dW2 = h' dy             dW2_dot = h_dot' dy + h' dy_dot
#     dx = da W1'             dx_dot = da_dot W1' + da W1_dot'
#
# and the gradients of b1 and b2 are sums over rows, whose speeds are the sums of the speeds.
# This is the fourth pass, `backward_jvp`. No second graph, no second theory: the same rule once more.


# %%
def backward_jvp(dy, dy_dot, cache, tangents, p, p_dot):
    (x, a, h), (x_dot, _, h_dot) = cache, tangents
    (W1, _, W2, _), (W1_dot, _, W2_dot, _) = p, p_dot
    da = (dy @ W2.T) * (a.real > 0)
    da_dot = (dy_dot @ W2.T + dy @ W2_dot.T) * (a.real > 0)
    dp_dot = [x_dot.T @ da + x.T @ da_dot, da_dot.sum(0), h_dot.T @ dy + h.T @ dy_dot, dy_dot.sum(0)]
    return da_dot @ W1.T + da @ W1_dot.T, dp_dot


dx_dot, dp_dot = backward_jvp(dy, dy_dot, cache, tangents, p, p_dot)

# %% [markdown]
# The judge works here too: a complex step *through backward*. And the library, where `theta_dot` is the direction in
# which the parameters move.

# %%
_, moved_cache = forward(x + 1j * STEP * x_dot, moved)
moved_dx, moved_dp = backward(dy + 1j * STEP * dy_dot, moved_cache, moved)
assert gap(dx_dot, moved_dx.imag / STEP) < 1e-14
assert gap(flat(dp_dot), flat(moved_dp).imag / STEP) < 1e-14

for view, speed in zip(net.vector.views(net.vector.theta_dot).values(), p_dot, strict=True):
    view[...] = speed
_, net_tangents = net.jvp(x_dot, net_cache, move_params=True)
net.zero_grads()
assert gap(net.backward_jvp(dy, dy_dot, net_cache, net_tangents)[1], dx_dot) < 1e-14
assert gap(flat(net.vector.views(net.vector.grad).values()), flat(dp_dot)) < 1e-14

# %% [markdown]
# Now add a loss, and we can multiply by its *Hessian* H, the matrix of all second derivatives. The net classifies:
# softmax turns the logits y into probabilities q, and the loss is the mean of -log q of the right class, in nats:
#
#     L = mean_n ( log sum_k e^y_nk - y_n,label )          q_nk = e^y_nk / sum_j e^y_nj
#     dy_nk = (q_nk - [k = label_n]) / N                   since d/dy_k log sum_j e^y_j = q_k
#     dy_dot_nk = q_nk (y_dot_nk - sum_j q_nj y_dot_nj) / N
#
# Let x stand still and p move along v. The speed of the gradient is then H v. H has 93 x 93 entries here, and 10^10 in a
# net of 100,000 parameters; H v costs about as much as two gradients. The test: H is symmetric, <u, H v> = <H u, v>.

# %%
labels = np.array([0, 2, 1, 2])  # (N,)


def hessian_vector(v):
    y, cache = forward(x, p)
    _, dy = categorical(y, labels)
    y_dot, tangents = jvp(0 * x, v, cache, p)
    return backward_jvp(dy, categorical_dot(y, y_dot), cache, tangents, p, v)[1]


v, u = p_dot, [key.at("u", i).normal(array.shape, np.float64) for i, array in enumerate(p)]
Hv, Hu = flat(hessian_vector(v)), flat(hessian_vector(u))
print(f"Hessian of {Hv.size} parameters: <u, Hv> = {flat(u) @ Hv:.12f}, <Hu, v> = {Hu @ flat(v):.12f}")
assert abs(flat(u) @ Hv - Hu @ flat(v)) < 1e-13 * np.linalg.norm(flat(u)) * np.linalg.norm(Hv)

# %% [markdown]
# ## 6. A check that can fail
#
# A check that cannot fail proves nothing. The commonest empty one uses L = sum(y), that is a cotangent dy of all ones.
# Softmax y_k = e^x_k / sum_j e^x_j has outputs that sum to 1, whatever x is. So sum(y) is a constant, its gradient is
# zero, and any backward pass that also gives zero looks right. The true one is
#
#     dx_k = y_k (dy_k - sum_j dy_j y_j)
#
# Here are three wrong ones. To the cotangent of ones all are perfect; a random one sees each at once. Normalisation
# layers have the same blind spot: their outputs sum to zero.

# %%
y = np.exp(x) / np.exp(x).sum(-1, keepdims=True)  # (N, D)
true = lambda dy: y * (dy - (dy * y).sum(-1, keepdims=True))
wrong = {"sign flipped": lambda dy: -true(dy), "thrice too large": lambda dy: 3 * true(dy), "no y": lambda dy: true(dy) / y}
ones, random = np.ones((N, D)), key.at("cotangent").normal((N, D), np.float64)
for name, backward_of in wrong.items():
    blind, seeing = (np.abs(backward_of(dy) - true(dy)).max() for dy in (ones, random))
    print(f"softmax, {name:17} error seen with ones {blind:.0e}, with random numbers {seeing:.1f}")
    assert blind < 1e-14 < 0.1 < seeing

# %% [markdown]
# `minigen.check.suite` knows such traps. It takes any layer, with the shape of an input, and tests the identities of
# this lesson, with random cotangents and random parameters: gradient, adjoint, second order, and that a call changes
# nothing it should not. Ours passes. Then a layer whose dx is too large by one part in a thousand, which no curve of
# losses would ever show.


# %%
class Careless(Linear):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache, **options)
        return None if dx is None else 1.001 * dx


print(suite(Linear(7, 5), (4, 7)))
try:
    suite(Careless(7, 5), (4, 7))
except CheckError as error:
    print("caught:", error)
else:
    raise AssertionError("the planted mistake was not found")

# %% [markdown]
# ## 7. It learns
#
# The passes of section 4, unchanged, on images of digits: 784 pixels, 64 hidden numbers, 10 classes. Plain stochastic
# gradient descent: every parameter takes a step against its gradient. These are all the lines there are.

# %%
train, test = load("glyphs"), load("glyphs", "test")
net = Sequential(first=Linear(784, 64), relu=ReLU(), second=Linear(64, 10)).initialise(key.at("digits"))  # float32
p = [array for _, array in net.named()]
batches, rate, losses = Batches(train, 64, key.at("batches")), 0.2, []

for _ in range(STEPS):
    batch = next(batches)
    y, cache = forward(batch.images.reshape(-1, 784), p)
    loss, dy = categorical(y, batch.labels)
    _, dp = backward(dy, cache, p)
    for array, gradient in zip(p, dp, strict=True):
        array -= rate * gradient
    losses.append(loss)

images = test.batch(np.arange(len(test))).reshape(-1, 784)
y, cache = forward(images, p)
accuracy = (y.argmax(-1) == test.labels).mean()
print(f"after {STEPS} steps: {accuracy:.2%} of {len(test)} digits never seen before are read correctly")
assert STEPS < FULL or accuracy > 0.97

# %% [markdown]
# ## 8. The figure
#
# The input has a gradient too, and it can be looked at: dx of log q(label) says which pixels speak for the digit (red:
# more ink here would make the net more certain) and which against it (blue).

# %%
shown = np.array([np.flatnonzero(test.labels == digit)[2] for digit in range(10)])
y, cache = forward(images[shown], p)
_, dy = categorical(y, test.labels[shown])
dx, _ = backward(-dy, cache, p)

matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(10, 6.4), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(3, 2))
left, right = top.subplots(1, 2)
for (name, error), colour in zip(errors.items(), ("#b5651d", "#d9a441", "#9a9a9a", "#1f5fa8"), strict=True):
    left.loglog(h, np.maximum(error, 1e-17), color=colour, label=name)  # a zero cannot be drawn on this axis
left.axhline(1e-3, color="black", lw=0.8, ls=":")
left.text(1e-12, 1.6e-3, "a gradient wrong by 1.001")
left.set(title="the derivative of $e^{\\sin x}$ at 1", xlabel="step h", ylabel="relative error", ylim=(3e-18, 30))
left.legend(loc=(0.03, 0.22), frameon=False)
right.semilogy(losses, color="#1f5fa8", lw=0.5)
right.set(title=f"digits: {accuracy:.1%} of the test images are right", xlabel="step", ylabel="loss, nats per image")
bottom.suptitle("test images, and where more ink would speak for the digit (red) or against it (blue)")
panels = bottom.subplots(2, 10, subplot_kw={"xticks": [], "yticks": [], "frame_on": False})
for axes, image, gradient in zip(panels.T, images[shown], dx, strict=True):
    picture, slope = image.reshape(28, 28), gradient.reshape(28, 28)
    axes[0].imshow(picture, cmap="gray_r")
    axes[1].imshow(slope, cmap="RdBu_r", vmin=-np.abs(slope).max(), vmax=np.abs(slope).max())
    axes[1].contour(picture, levels=[0.5], colors="black", linewidths=0.7)
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "00_gradients_by_hand.png", dpi=130)
print("figure:", OUT / "00_gradients_by_hand.png")

# %% [markdown]
# ## 9. Sources, and where this departs from them
#
# - Squire and Trapp 1998, "Using complex variables to estimate derivatives of real functions". They treat one variable;
#   here the step is taken through whole networks, along random directions.
# - Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors". They write columns,
#   y = W x; here examples are rows, y = x W, so a batch needs no extra notation.
# - Pearlmutter 1994, "Fast exact multiplication by the Hessian". He applies his R-operator to a whole network; here every
#   layer carries its own share, so that any composition has second derivatives.
#
# Next: the layers in `minigen/layers`, each with its four passes and its derivation; then lesson 03, where the loss itself
# must be derived.

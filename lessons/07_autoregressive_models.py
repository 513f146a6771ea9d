# %% [markdown]
# # Lesson 07: autoregressive models
#
# No latents, no bound, no opponent, no noise: an image is written down pixel by pixel, and a network says how probable each
# one is, given those before it. The likelihood is exact. The lesson derives the convolutions that must not look ahead, proves
# by derivative that they do not, finds the spot in which the first of these networks was blind, and makes sampling fast.
#
# Read it beside `minigen/models/raster.py`, `minigen/models/pixelcnn.py`, `minigen/models/gated_pixelcnn.py` and
# `minigen/layers/masked_conv2d.py`. Lesson 00 explains the notation, lesson 03 the Bernoulli pixel. Run it from the root of the
# repository: `python lessons/07_autoregressive_models.py`. It takes about a minute and puts its figure into `lessons/out`. Two
# environment variables change that: `MINIGEN_LESSON_STEPS` is the number of training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import json
import os
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from minigen.check import prove
from minigen.data import Batches, Dataset, Glyphs
from minigen.layers.gated import GatedUnit
from minigen.layers.masked_conv2d import MaskedConv2d, raster
from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.pixelcnn import PixelCNN
from minigen.random import Key

FULL = 800
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)

# %% [markdown]
# ## 1. The chain rule
#
# Number the pixels of an image in *raster order*, row by row from the upper left: x_1 ... x_T. The definition of conditional
# probability, used T - 1 times, says
#
#     p(x) = p(x_1) p(x_2 | x_1) p(x_3 | x_1, x_2) ... p(x_T | x_1 ... x_(T-1))
#
#     -log p(x) = - sum_t log p(x_t | x_1 ... x_(t-1))                                          nats, for an image
#
# Nothing is approximated. If every factor is a distribution over the values of one pixel, the product is one over images:
# summed over all images it is 1, whatever the network that computes the factors. Here a pixel is 0 or 1, the network puts out
# one logit l_t for it, and its term is that of lesson 03, log(1 + e^l) - x l with the gradient s(l) - x.
#
# The network must keep one promise: l_t does not depend on x_t, nor on any pixel after it. Then *one* forward pass gives all T
# terms. This one has random weights, and the images are so small that all of them can be listed:

# %%
tiny = PixelCNN((2, 3, 1), key, np.float64, width=8, layers=2)
tiny.theta += 0.5 * key.at("tiny").normal(tiny.theta.shape, np.float64)
every = np.array(list(product((0.0, 1.0), repeat=6))).reshape(64, 2, 3, 1)
p = np.exp(tiny.log_likelihood(every))
print(f"{len(every)} images of 2 x 3 pixels: probabilities from {p.min():.4f} to {p.max():.4f}, together {p.sum():.12f}")
assert abs(p.sum() - 1) < 1e-12

# %% [markdown]
# ## 2. Masks
#
# A convolution sees a square around its pixel, and half of that is the future. Van den Oord et al. (2016, "Pixel recurrent
# neural networks") multiply the kernel by a mask. **A** hides the pixel itself and all after it; **B** shows the pixel itself.
# The first layer is of kind A: from then on the number computed *for* a pixel knows only pixels before it, so that later
# layers may look at it: kind B.
#
#     A   1 1 1      B   1 1 1          y = sum over taps of  window(tap) @ kernel[tap]         kernel already masked
#         1 0 0          1 1 0          dx's window(tap) += dy @ kernel[tap]'
#         0 0 0          0 0 0          dkernel[tap] = mask[tap] window(tap)' dy
#
# `MaskedConv2d` has no mask. Half of the kernel would be multiplied by zero, so it is not there: W holds one matrix for each
# live tap. The two are the same function with the same gradient:


# %%
def mask(kind, k):
    flat = np.arange(k * k)
    return (flat <= k * k // 2 if kind == "B" else flat < k * k // 2).reshape(k, k, 1, 1).astype(float)


def windows(framed, k):
    H, W = framed.shape[1] - k + 1, framed.shape[2] - k + 1
    return {(r, s): framed[:, r : r + H, s : s + W] for r in range(k) for s in range(k)}  # views


def masked(x, kernel):
    frame = len(kernel) // 2
    seen = windows(np.pad(x, ((0, 0), (frame, frame), (frame, frame), (0, 0))), len(kernel))
    return sum(window @ kernel[tap] for tap, window in seen.items()), seen


def masked_backward(dy, kernel, seen):
    N, H, W, C = seen[0, 0].shape
    frame = len(kernel) // 2
    dframed, dkernel = np.zeros((N, H + 2 * frame, W + 2 * frame, C)), np.zeros_like(kernel)
    for tap, dwindow in windows(dframed, len(kernel)).items():
        dwindow += dy @ kernel[tap].T
        dkernel[tap] = np.tensordot(seen[tap], dy, ((0, 1, 2), (0, 1, 2)))
    return dframed[:, frame : frame + H, frame : frame + W], dkernel


x, dy = key.at("x").normal((2, 6, 5, 3), np.float64), key.at("dy").normal((2, 6, 5, 4), np.float64)
for kind, k in (("A", 7), ("B", 3)):
    live = MaskedConv2d(3, 4, raster(kind, k)).initialise(key.at(kind), np.float64)
    kernel = mask(kind, k) * key.at("kernel").normal((k, k, 3, 4), np.float64)
    live.params["W"][...] = kernel.reshape(k * k, 3, 4)[: len(live.taps)]  # in raster order the live taps come first
    (y, seen), (y_live, cache) = masked(x, kernel), live.forward(x)
    dx, dkernel = masked_backward(dy, kernel, seen)
    assert np.abs(y_live - y).max() < 1e-13
    assert np.abs(live.backward(dy, cache) - dx).max() < 1e-13
    assert np.abs(live.grads["W"] - dkernel.reshape(k * k, 3, 4)[: len(live.taps)]).max() < 1e-12
    print(f"mask {kind} of a kernel of {k}: {len(live.taps)} of {k * k} taps are alive")

# %% [markdown]
# ## 3. PixelCNN
#
# A stack of them: one 7x7 A, then 3x3 B with ReLU between, then 1x1 down to one logit a pixel. Going back is the second loop
# above, latest layer first. The complex step proves all of it:

# %%
small = PixelCNN((6, 5, 1), key.at("small"), np.float64, width=4, layers=2)
binary = (key.at("binary").uniform((3, 6, 5, 1), np.float64) < 0.5).astype(float)
worst = max(row.rel_error for row in prove(small, binary, key.at("proof")) if row.method == "complex step")
print(f"the gradient of {small.theta.size} parameters: the complex step differs by at most {worst:.0e}")
assert worst < 1e-9

# %% [markdown]
# ## 4. Who sees whom: a promise kept, and a blind spot
#
# Do not trust a mask, differentiate. Row t of the Jacobian dl_t/dx_s is one backward pass whose cotangent is 1 at pixel t. The
# promise says: zero on the diagonal and above it. The *reach* is where it is not zero.
#
# For the stack of square masks there are zeros *below* the diagonal too, beyond its range and within. From a pixel, B leads to
# the left, or up by one row and one to the right. Pixels in the wedge further to the right, in the rows just above, are never
# seen, however many layers there are: the *blind spot*.
#
# Van den Oord et al. (2016, "Conditional image generation with PixelCNN decoders") split the network in two. The **vertical**
# stack sees full rows, all above: its kernels are rectangles, and rectangles stacked are a rectangle. The **horizontal**
# stack sees its own row to the left, and is told by the vertical one at every layer. Together: all pixels before, no other.


# %%
def jacobian(net, side, weights):
    """|dl_t/dx_s| of all pixels t, s of an image, (T, T)."""
    x = weights.normal((4, side, side, 1), np.float64)  # several images, so that no ReLU hides a path
    _, cache = net.forward(x)
    dlogits = np.eye(side * side).reshape(-1, 1, side, side, 1) * np.ones((1, 4, 1, 1, 1))
    return np.array([np.abs(net.backward(d, cache, param_grads=False)).sum(0).ravel() for d in dlogits])


side, at = 12, (6, 4)
plain = PixelCNN((side, side, 1), key.at("plain"), np.float64, width=16, layers=6)
gated = GatedPixelCNN((side, side, 1), key.at("gated"), np.float64, width=8, layers=7)
reach = {}
for name, network in (("plain", plain), ("gated", gated)):
    J = jacobian(network.net, side, key.at("images"))
    assert (np.triu(J) == 0).all()  # exactly: nothing was multiplied
    reach[name] = J[at[0] * side + at[1]].reshape(side, side) > 0
past = np.arange(side * side).reshape(side, side) < at[0] * side + at[1]
blind = {name: past & ~seen for name, seen in reach.items()}
print(f"of {past.sum()} pixels before {at}: plain does not see {blind['plain'].sum()}, gated {blind['gated'].sum()}")
assert blind["plain"].sum() > 0
assert blind["gated"].sum() == 0

# %% [markdown]
# ## 5. Gated units
#
# The same paper replaces ReLU by a product: half of the channels say what, the other half how much of it,
#
#     y = t s        t = tanh(a),  s = 1 / (1 + e^-b)
#     da = dy s (1 - t^2)            db = dy t s (1 - s)

# %%
a, b, dy = key.at("gate").normal((3, 5, 4), np.float64)
t, s = np.tanh(a), 1 / (1 + np.exp(-b))
y, cache = GatedUnit().forward(np.concatenate((a, b), 1))
assert np.allclose(y, t * s, rtol=1e-14)
assert np.allclose(GatedUnit().backward(dy, cache), np.concatenate((dy * s * (1 - t**2), dy * t * s * (1 - s)), 1), rtol=1e-13)

# %% [markdown]
# ## 6. It learns, and the number is exact
#
# Ten digits in nine faces, thin or bold, all of one size, 16 x 16 pixels, black or white. What is a nat worth? Two prices to
# compare with: a fair coin for every pixel, 256 log 2; and the best that pixels *independent* of each other can do, each with
# its own probability.

# %%
glyphs, n = Glyphs(key.at("plain"), size=16), 9000
factors = glyphs.factors(np.arange(n))
factors |= {name: np.full(n, value) for name, value in (("dx", 0.0), ("dy", 0.0), ("size", 10.0), ("slant", 0.1))}
images = (glyphs.render(factors) > 0.5).astype(np.float32)  # (9000, 16, 16, 1)
train, held_out = Dataset("plain", images[:8000]), images[8000:]
model = GatedPixelCNN(train.shape, key.at("model"), width=16, layers=8)
model.start(4e-3, STEPS)
batches, curve = Batches(train, 16, key.at("batches")), []
for i in range(STEPS):
    curve.append(model.step(next(batches).images, key.at("step", i))["nll"])
nats = -model.log_likelihood(held_out)  # (1000,)
ink = images[:8000].mean(0).clip(1e-4, 1 - 1e-4)
independent = -(held_out * np.log(ink) + (1 - held_out) * np.log(1 - ink)).sum((1, 2, 3)).mean()
print(f"nats per image: coins {256 * np.log(2):.1f}, independent pixels {independent:.1f}, gated PixelCNN {nats.mean():.1f}")
assert STEPS < FULL or nats.mean() < independent / 2

# %% [markdown]
# ## 7. Sampling, and why it need not be slow
#
# Draw x_1 from its logit, run the network again, draw x_2 ... T forward passes for one image, and of each only one number is
# used. But pixel t changed nothing that was computed for the pixels before it: their activations can be kept. A stream
# keeps, for every convolution, just the rows that its taps still look at, and computes one pixel in every layer, once. All
# pixels together cost the multiplications of *one* forward pass, not T, and a pixel's time is the same wherever it lies.
#
# The test is not that the images look alike. At equal random numbers the two samplers draw the same image, and the logits
# met on the way are those that one forward pass gives for the finished image.

# %%
n = 4
images, met = model.draw(n, key.at("slow"))
slow, u = np.zeros((n, 16, 16, 1), np.float32), key.at("slow").uniform((n, 16, 16))
for i, j in np.ndindex(16, 16):
    logit = model.net.forward(slow)[0][:, i, j]  # (n, 1), of a whole forward pass
    slow[:, i, j] = u[:, i, j, None] < 1 / (1 + np.exp(-logit))
assert (images == slow).all()
assert np.abs(model.net.forward(images)[0] - met).max() < 1e-4
drawn = model.sample(64, key.at("drawn"))

# %% [markdown]
# ## 8. What it is used for
#
# *Completion*: give the upper half of a test image, and draw the rest again and again. Any model with a chain rule can do that,
# as long as what is given comes first. *Compression*: -log p is the length of the shortest code, so it can be asked of every
# pixel what it costs. A pixel of paper or within a stroke costs nothing. A sample's own -log p, in the mean, is the entropy of
# the model: how many different images it draws, as a logarithm.

# %%
halves = np.repeat(held_out[:8], 12, 0)  # eight of them, twelve times
completed = model.complete(halves, 8, key.at("completed"))
assert (completed[:, :8] == halves[:, :8]).all()
logits = model.net.forward(held_out)[0]
spent = (np.logaddexp(0, logits) - held_out * logits).mean(0)[..., 0]  # (16, 16) nats of every pixel
assert abs(spent.sum() / nats.mean() - 1) < 1e-4
entropy = -model.log_likelihood(drawn).mean()

# %% [markdown]
# ## 9. Handwriting
#
# A minute is not enough for handwriting: these weights were trained before, on binarised MNIST (`lessons/weights/make.py` says
# how), and the likelihood of its 10,000 test images was measured. It is exact, so it can be held against published ones.

# %%
weights = load_file("lessons/weights/07_gated_pixelcnn.safetensors")
mnist = GatedPixelCNN((28, 28, 1), key, width=16, layers=10)
for path, view in mnist.net.named("net"):
    view[...] = weights[path]
digits = mnist.sample(64, key.at("digits"))
measured = json.loads(Path("benchmarks/results/pixelcnn_mnist.json").read_text())

# %% [markdown]
# ## 10. The same along time
#
# Nothing above needs pixels. A causal convolution over time is a horizontal stack without a vertical one; dilation (every
# second sample, every fourth ...) doubles its reach with each layer; the gated unit is the same. That is WaveNet (van den Oord
# et al. 2016, "WaveNet: a generative model for raw audio"), `Conv1d(..., causal=True)` is its layer, and it has a lesson of its
# own, `lessons/12_wavenet.py`.
#
# ## 11. The figure
#
# Above: how the loss falls; the Jacobian of the gated network, empty on and above the diagonal; what the plain and the gated
# network see of the past (blue), and the blind spot (red). In the middle: samples; upper halves of test images and twelve ways
# to go on; the nats of each pixel. Below: handwriting.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(11, 10.6), layout="constrained")
axes = figure.subplot_mosaic(
    [["curve", "jacobian", "plain", "gated"], ["samples", "completed", "completed", "spent"], ["digits"] * 4],
    height_ratios=(1, 1.1, 1.15),
)
axes["curve"].plot(curve, color="#1f5fa8", lw=0.6)
axes["curve"].axhline(independent, color="black", lw=0.8, ls=":")
axes["curve"].set(title="-log p, and independent pixels", xlabel="step", ylabel="nats per image", ylim=(0, 180), box_aspect=1)
axes["jacobian"].imshow(np.log10(J + 1e-9), cmap="Blues", vmin=-7)
axes["jacobian"].set(title="log |$dl_t / dx_s$|, gated", xlabel="s", ylabel="t", xticks=[], yticks=[])
for name in ("plain", "gated"):
    picture = np.full((side, side, 3), 0.93)
    for where, colour in ((reach[name], (0.55, 0.72, 0.9)), (blind[name], (0.85, 0.3, 0.3)), (at, (0.1, 0.1, 0.1))):
        picture[where] = colour
    axes[name].imshow(picture)
    axes[name].set_title(f"what {name} sees of the past")
for name, title, grid in (
    ("samples", "samples", drawn.reshape(8, 8, 16, 16)),
    ("completed", "given: the upper half of a test image", completed.reshape(8, 12, 16, 16)),
    ("digits", f"handwriting, samples: {measured['nll']:.1f} nats per test image", digits.reshape(4, 16, 28, 28)),
):
    grid = grid[:, :, 2:-2, 2:-2]
    rows, columns, height, width = grid.shape
    axes[name].imshow(grid.swapaxes(1, 2).reshape(rows * height, columns * width), cmap="gray_r", vmin=0, vmax=1)
    axes[name].set_title(title)
bar = axes["spent"].imshow(spent, cmap="magma_r")
axes["spent"].set_title(f"nats of each pixel: {spent.sum():.1f} in all")
figure.colorbar(bar, ax=axes["spent"], shrink=0.6)
for name in ("plain", "gated", "samples", "completed", "spent", "digits"):
    axes[name].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "07_autoregressive_models.png", dpi=130)
print("figure:", OUT / "07_autoregressive_models.png")
print(f"nats per test image: glyphs {nats.mean():.2f} (entropy of the model {entropy:.1f}), handwriting {measured['nll']:.2f}")

# %% [markdown]
# ## 12. Where this departs from the papers
#
# - Van den Oord et al. (2016) reach 81.3 nats on this binarised MNIST, with a deeper PixelCNN and hundreds of epochs. Ours has
#   not even seen all training images once (`python -m benchmarks.pixelcnn_mnist`).
# - The kernels of `gated_pixelcnn` are 3 wide and their taps lie 1, 2, 4 pixels apart in turn. The paper has larger kernels.
# - Their mask for colours orders the channels of a pixel too. Here images are grey; `levels` up to 256 makes the pixel's
#   distribution a softmax over grey levels.
# - Adam with a cosine schedule, where they use RMSProp. The residual blocks of the paper are `--set blocks=residual`.
# - `--set classes=10` makes `gated_pixelcnn` conditional: a class shifts the gates of every layer, as in the second paper.

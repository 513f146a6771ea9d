# %% [markdown]
# # Lesson 01: the autoencoder
#
# A network that must say what it has seen, through a narrow place. What it keeps there, the *code*, is all it has: so it learns
# what the images have in common. The lesson derives its gradient, proves that its linear form is principal component analysis,
# bends it, and then puts it to work: removing noise, storing images in few bits, and noticing what does not belong.
#
# Read it beside `minigen/models/autoencoder.py`. Lesson 00 explains the notation: `dx` is dL/dx, and a product y = x W gives
# dx = dy W', dW = x' dy. Run it from the root of the repository: `python lessons/01_autoencoder.py`. It takes about a minute
# and puts its figure into `lessons/out`. Two environment variables change that: `MINIGEN_LESSON_STEPS` is the number of
# training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from minigen.check import prove
from minigen.data import Batches, Dataset, load
from minigen.metrics.auroc import auroc
from minigen.metrics.compression import Quantiser, entropy_bits, rate_distortion
from minigen.metrics.nearest import nearest
from minigen.metrics.pca import PCA, principal_angles
from minigen.metrics.squared_error import psnr, squared_errors
from minigen.models.autoencoder import Autoencoder
from minigen.models.denoising_autoencoder import DenoisingAutoencoder
from minigen.random import Key

FULL = 2500
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)
train, test = load("glyphs"), load("glyphs", "test")  # images (28, 28, 1), ink 1 on paper 0
seen, images = train.batch(np.arange(4000)), test.batch(np.arange(len(test)))  # (4000, 28, 28, 1), (2000, 28, 28, 1)


def fit(cls, data, steps=STEPS, rate=2e-3, **options):
    model = cls(data.shape, key.at("model"), **options)
    model.start(rate, steps)
    batches = Batches(data, 128, key.at("batches"))
    for i in range(steps):
        model.step(next(batches).images, key.at("step", i))
    return model


# %% [markdown]
# ## 1. The gradient
#
# P pixels, K codes, K much less than P. One layer there and one back; the sigmoid because a pixel lies between 0 and 1, the
# slope of 0.2 below zero because a code unit with slope 0 that never fires would never learn again. Read forward downwards on
# the left, backward upwards on the right:
#
#     a = x W + b             (N, K)        dW = x' da,  db = sum da
#     c = leaky(a)                          da = dc (1 where a > 0, else 0.2)
#     l = c V + d             (N, P)        dV = c' dl,  dd = sum dl,  dc = dl V'
#     y = sigmoid(l)                        dl = dy y (1 - y)                       since y' = y (1 - y)
#     L = sum (y - x)^2 / N                 dy = 2 (y - x) / N
#
# The sum runs over pixels, the mean over images. x stands in L twice, as input and as target, but it is data: no dx is needed.


# %%
def naive(p, x):
    """The loss and the gradients of p, for x (N, P)."""
    W, b, V, d = p
    a = x @ W + b
    slope = np.where(a > 0, 1, 0.2)
    c = a * slope
    y = 1 / (1 + np.exp(-(c @ V + d)))
    dl = 2 * (y - x) / len(x) * y * (1 - y)
    da = dl @ V.T * slope
    return ((y - x) ** 2).sum() / len(x), [x.T @ da, da.sum(0), c.T @ dl, dl.sum(0)]


model = Autoencoder(train.shape, key.at("proof"), np.float64, codes=12)
(objective,), batch = model.objectives, test.batch(np.arange(6), np.float64)
terms, _ = objective(model, batch, objective.draw(model, batch, key))
loss, gradients = naive(model.vector.views(model.theta).values(), batch.reshape(6, -1))
assert abs(terms["squared_error"] / loss - 1) < 1e-13
for (name, theirs), ours in zip(model.vector.views(model.grad).items(), gradients, strict=True):
    assert np.abs(theirs - ours).max() < 1e-12 * np.abs(ours).max(), name
worst = max(row.rel_error for row in prove(model, batch[:4], key.at("proof")) if row.method == "complex step")
print(f"the naive gradient is the library's; the complex step differs by at most {worst:.0e}")

# %% [markdown]
# ## 2. Without bends it is PCA
#
# Leave out leaky and sigmoid: y = (x W + b) V + d. Whatever the parameters, y lies in a flat of K dimensions, so the error is
# at least that of the best flat. Which is it? Let X hold the images minus their mean, and X = U S Q' be its singular value
# decomposition. Eckart and Young (1936): no matrix of rank K is nearer to X than the K largest terms of that sum, and
#
#     error >= sum of s_k^2 for k > K,      reached by W = Q_K,  V = Q_K',  d = mean,  b = -mean Q_K
#
# The columns of Q_K are the principal components. There all four gradients vanish. They also vanish if *other* K columns of Q
# are taken, but those places are saddles, with a way down, and there are no other stationary places of full rank (Baldi and
# Hornik 1989). So descent has one thing to find: not the components, since (W A, A^-1 V) does the same for any invertible
# A, but the space they span. Both statements, in numbers:

# %%
K = 4
exact = seen.astype(np.float64)
pca = PCA.fit(seen, 16)
linear = Autoencoder(train.shape, key.at("linear"), np.float64, codes=K, linear=True)
bound = ((exact - exact.mean(0)) ** 2).sum() / len(exact) - pca.variances[:K].sum()  # all the variance but the K largest parts
for title, chosen in (("the K largest", range(K)), ("the first left out", range(1, K + 1))):
    Q = pca.components[list(chosen)]  # (K, P)
    values = {
        "encoder.linear1.W": Q.T,
        "encoder.linear1.b": -Q @ pca.mean,
        "decoder.linear1.W": Q,
        "decoder.linear1.b": pca.mean,
    }
    for name, value in linear.vector.views(linear.theta).items():
        value[...] = values[name]
    linear.zero_grads()
    terms, _ = objective(linear, exact, objective.draw(linear, exact, key))
    error, slope = terms["squared_error"], np.abs(linear.grad).max()
    print(f"{title}: squared error {error:.3f} (bound {bound:.3f}), gradient at most {slope:.0e}")
    assert slope < 1e-9
    assert abs(error - bound) < 1e-9 or title != "the K largest"

# %% [markdown]
# Now from a random start, by descent. The angles between two spaces of K dimensions are K numbers, all zero where the spaces
# are one; the largest is between the weakest components, whose variances differ least.

# %%
found = fit(Autoencoder, Dataset("seen", seen), rate=5e-3, codes=K, linear=True)
angles = np.degrees(principal_angles(pca.components[:K], found.decoder["linear1"].params["W"]))
least = squared_errors(pca.keep(K).reconstruct(seen), seen).mean()
excess = squared_errors(found.reconstruct(seen), seen).mean() / least - 1
print(f"linear autoencoder: angles to PCA {angles.min():.2f} to {angles.max():.2f} degrees, error {excess:.2%} above the least")
assert excess > -1e-6  # nothing linear is better
assert STEPS < FULL or (angles.max() < 5 and excess < 0.01)

# %% [markdown]
# ## 3. With bends it is better
#
# Images of digits do not lie on a flat: half a shift of a stroke is not the mean of two images. With hidden layers that bend,
# the same number of codes says more. 16 codes, the network 784-256-16-256-784, on images it has not seen:

# %%
bent = fit(Autoencoder, train, codes=16, hidden=256)
mse = {"autoencoder": squared_errors(bent.reconstruct(images), images).mean()}
mse["PCA"] = squared_errors(pca.reconstruct(images, clip=(0, 1)), images).mean()
print("16 codes, mean squared error of a pixel: " + ", ".join(f"{name} {value:.4f}" for name, value in mse.items()))
assert STEPS < FULL or mse["autoencoder"] < 0.7 * mse["PCA"]

# %% [markdown]
# ## 4. Denoising: the direction to the data
#
# Vincent et al. (2008) spoil the input and ask for the clean image. For squared error the best answer to s is the mean of all
# x that may have become s. With Gaussian noise, s = x + sigma e, that answer contains the density p of the spoilt images:
#
#     p(s)        = integral p(x) N(s; x, sigma^2) dx
#     grad p(s)   = integral p(x) N(s; x, sigma^2) (x - s) / sigma^2 dx        the gradient of a Gaussian
#                 = p(s) (E[x|s] - s) / sigma^2                                since p(x) N(s; x, .) / p(s) = p(x|s)
#
#     E[x|s] - s  = sigma^2 grad log p(s)
#
# So who removes noise knows in which direction there are more data; diffusion models (a later lesson) live on that. In the
# plane it can be seen: data on a spiral. As they are finitely many, E[x|s] is a weighted mean of them, exactly.

# %%
turn = np.linspace(0.4, 1, 2000)[:, None]
spiral = (0.5 + 0.4 * turn * np.hstack((np.cos(9 * turn), np.sin(9 * turn)))).astype(np.float32)  # (2000, 2)
sigma = 0.06


def log_density(s):
    """log p(s) up to a constant, (M,), and E[x|s] (M, 2), for s (M, 2)."""
    log_weights = -((s[:, None] - spiral) ** 2).sum(-1) / (2 * sigma**2)  # (M, 2000)
    top = log_weights.max(1, keepdims=True)
    weights = np.exp(log_weights - top)
    return top[:, 0] + np.log(weights.sum(1)), weights @ spiral / weights.sum(1, keepdims=True)


s = spiral[::10].astype(np.float64) + sigma * key.at("spiral").normal((200, 2), np.float64)
slope = [(log_density(s + h)[0] - log_density(s - h)[0]) / 2e-5 for h in 1e-5 * np.eye(2)]
_, answer = log_density(s)
assert np.abs(answer - s - sigma**2 * np.stack(slope, 1)).max() < 1e-8

plane = fit(DenoisingAutoencoder, Dataset("spiral", spiral), codes=64, hidden=64, noise="gaussian", amount=sigma)
learned, exact = plane.reconstruct(s.astype(np.float32)) - s, answer - s
cosine = (learned * exact).sum() / np.sqrt((learned**2).sum() * (exact**2).sum())
print(f"the learned direction to the data and the exact one: cosine {cosine:.3f}")
assert STEPS < FULL or cosine > 0.8

# %% [markdown]
# On images nobody knows p, but the decibels can be counted. Half of the pixels are lost:

# %%
denoiser = fit(DenoisingAutoencoder, train, codes=64, hidden=256, noise="masking", amount=0.5)
noisy = denoiser.corrupt(images, key.at("noise"))
clean = denoiser.reconstruct(noisy)
before, after = psnr(noisy, images).mean(), psnr(clean, images).mean()
print(f"half of the pixels lost: {before:.1f} dB; denoised {after:.1f} dB")
assert STEPS < FULL or after > before + 4

# %% [markdown]
# ## 5. Few bits: rate and distortion
#
# A code is 16 real numbers. Round each to one of 2^b levels. A level that is frequent gets a short word, a rare one a long
# word: the best possible mean length is the entropy, -sum p log2 p bits (Shannon 1948), and arithmetic coders reach it.


# %%
def naive_entropy(column):
    counts = {}
    for level in column.tolist():
        counts[level] = counts.get(level, 0) + 1
    return -sum(n / len(column) * np.log2(n / len(column)) for n in counts.values())


codes = bent.encode(images)
levels = Quantiser.fit(codes, 4).indices(codes)  # (2000, 16) of 0 .. 15
assert np.allclose(entropy_bits(levels), [naive_entropy(column) for column in levels.T], atol=1e-9)

curves = {
    "autoencoder": rate_distortion(bent.encode, bent.decode, seen, images),
    "PCA": rate_distortion(pca.encode, pca.decode, seen, images, common_step=True),
}
for name, points in curves.items():
    print(f"{name}: " + ", ".join(f"{point.rate:.0f} bits {point.mse:.4f}" for point in points))
plain = 784 * 8
print(f"an image is {plain} bits; at 4 bits a unit its code is {curves['autoencoder'][3].rate:.0f}: a factor of "
      f"{plain / curves['autoencoder'][3].rate:.0f}")  # fmt: skip
assert STEPS < FULL or curves["autoencoder"][-1].mse < curves["PCA"][-1].mse

# %% [markdown]
# ## 6. What does not belong
#
# An autoencoder that has seen one kind of image alone has no words for others, so its error tells them. Train on the digit 3
# and score everything. The measure is the AUROC: take one image of each kind; how often has the strange one the higher score?


# %%
def naive_auroc(scores, strange):
    pairs = scores[strange][:, None] - scores[~strange]
    return (pairs > 0).mean() + (pairs == 0).mean() / 2


three, strange = train.at(train.of_class("3")), ~test.of_class("3")
normal = three.batch(np.arange(len(three)))
narrow, few = fit(Autoencoder, three, STEPS // 4, codes=8, hidden=256), PCA.fit(normal, 32)
scores = {
    "autoencoder": squared_errors(narrow.reconstruct(images), images),
    "PCA": squared_errors(few.reconstruct(images), images),
    "nearest neighbours": nearest(images, normal, 5).distances.mean(1),
}
areas = {name: auroc(score, strange) for name, score in scores.items()}
for name, score in scores.items():
    assert abs(areas[name] - naive_auroc(score, strange)) < 1e-12
print("threes against the rest, AUROC: " + ", ".join(f"{name} {100 * area:.1f} %" for name, area in areas.items()))
assert STEPS < FULL or areas["autoencoder"] > 0.9

# %% [markdown]
# ## 7. The figure
#
# The arrows on the left are what a denoiser has learned of the plane. Of the strange images, look at what comes back: threes.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(11, 9.2), layout="constrained")
axes = figure.subplot_mosaic(
    [["arrows", "rate", "scores"], ["rebuilt"] * 3, ["denoised"] * 3, ["strange"] * 3], height_ratios=(5, 2.4, 2.4, 1.7)
)
ticks = np.linspace(0.05, 0.95, 22, dtype=np.float32)
grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
axes["arrows"].scatter(*spiral.T, s=1, color="#d1602d")
axes["arrows"].quiver(*grid.T, *(plane.reconstruct(grid) - grid).T, color="#1f5fa8", angles="xy", scale_units="xy", scale=2)
axes["arrows"].set(title=f"denoised - seen (cosine {cosine:.2f})", aspect="equal", xticks=[], yticks=[])
for (name, points), style in zip(curves.items(), ("o-", "s--"), strict=True):
    axes["rate"].plot([p.rate for p in points], [p.mse for p in points], style, ms=3, label=name)
axes["rate"].set(title="16 codes of 1 to 8 bits", xlabel="bits per image", ylabel="mean squared error of a pixel", yscale="log")
axes["rate"].legend(frameon=False)
for part, name in ((~strange, "threes"), (strange, "the rest")):
    axes["scores"].hist(
        scores["autoencoder"][part], 40, range=(0, scores["autoencoder"].max()), density=True, alpha=0.6, label=name
    )
axes["scores"].set(title=f"error, trained on threes: AUROC {100 * areas['autoencoder']:.1f} %", xlabel="mean squared error")
axes["scores"].legend(frameon=False)
odd = np.flatnonzero(strange)[:20]
for name, title, rows in (
    ("rebuilt", "images; 16 codes of an autoencoder; 16 principal components",
     (images[:20], bent.reconstruct(images[:20]), pca.reconstruct(images[:20], clip=(0, 1)))),
    ("denoised", "images; half of their pixels lost; denoised", (images[:20], noisy[:20], clean[:20])),
    ("strange", "strange images, as one that knows threes sees them", (images[odd], narrow.reconstruct(images[odd]))),
):  # fmt: skip
    strip = np.stack(rows)[..., 0]  # (rows, 20, 28, 28)
    axes[name].imshow(strip.swapaxes(1, 2).reshape(len(rows) * 28, -1), cmap="gray_r", vmin=0, vmax=1)
    axes[name].set_title(title)
    axes[name].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "01_autoencoder.png", dpi=120)
print("figure:", OUT / "01_autoencoder.png")

# %% [markdown]
# ## 8. Where this departs from the papers
#
# - Vincent et al. (2008) tie the decoder to the encoder's transpose, take the cross-entropy as loss, and stack layers that were
#   trained one after the other, to initialise a classifier. Here the weights are free, the loss is squared error (whose best
#   answer is a mean, which section 4 needs), and all layers are trained at once.
# - Hinton and Salakhutdinov (2006), who made deep autoencoders work, initialised theirs by restricted Boltzmann machines. Adam
#   and a sensible first size of the weights have made that unnecessary at this depth.
# - Baldi and Hornik (1989) have no biases and centred data; with biases the centre is learned.
# - The entropies are those of each unit alone, without the cost of telling the receiver the frequencies and the network.
# - Which score notices what is strange was fixed before looking. `minigen use anomaly` does the same for a trained run, and
#   `minigen/training/uses.py` has the other uses.

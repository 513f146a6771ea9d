# %% [markdown]
# # Lesson 03: the variational autoencoder
#
# A model of images that has *causes*: a few hidden numbers z, drawn at random, decide what an image shows. The lesson
# derives what such a model can be trained with, each line of its gradient, and the two mistakes that are made most often.
# Then it trains one on digits and looks at what its hidden numbers have come to mean.
#
# Read it beside `minigen/models/vae.py`. Lesson 00 explains the notation: `dx` is dL/dx, and a product y = x W gives
# dx = dy W', dW = x' dy. Run it from the root of the repository: `python lessons/03_vae.py`. It takes about a minute and
# puts its figure into `lessons/out`. Two environment variables change that: `MINIGEN_LESSON_STEPS` is the number of
# training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from minigen.check import prove
from minigen.data import Batches, Dataset, Glyphs, load
from minigen.models.vae import VAE, reparameterize
from minigen.random import Key

FULL = 2500
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)
train, test = load("glyphs"), load("glyphs", "test")  # images (28, 28, 1), ink 1 on paper 0
images = test.batch(np.arange(len(test)))  # (2000, 28, 28, 1) float32

# %% [markdown]
# ## 1. Why a bound
#
# The model draws z from a fixed distribution, the *prior* p(z) = N(0, 1) in L dimensions, and then the image from
# p(x|z), which a network computes from z, the *decoder*. The probability of an image sums over all causes it may have:
#
#     p(x) = integral p(x|z) p(z) dz
#
# We would like to make log p(x) large for the images of the training set. But the integral has L dimensions, and
# sampling it is hopeless: of the z drawn from the prior, nearly none explains this one x. (Section 7 measures it.)
#
# So guess which z explain x. A second network, the *encoder*, looks at x and puts out a distribution q(z|x), from which
# z is drawn instead. The correction for that is a quotient:
#
#     log p(x) = log E_q [ p(x|z) p(z) / q(z|x) ]           multiply and divide by q(z|x)
#             >= E_q [ log ( p(x|z) p(z) / q(z|x) ) ]       Jensen: the logarithm is concave, log E >= E log
#              = E_q [ log p(x|z) ] - E_q [ log ( q(z|x) / p(z) ) ]
#              = E_q [ log p(x|z) ] - KL(q(z|x) || p(z))    =: elbo, the evidence lower bound
#
# The first term rewards a z from which x can be rebuilt. The second, the Kullback-Leibler divergence, is what it costs,
# in nats, to say where z lies when the receiver knows only the prior.
#
# How much is lost? Replace p(x|z) p(z) by p(z|x) p(x), which is the same number by Bayes' rule:
#
#     elbo = E_q [ log ( p(z|x) p(x) / q(z|x) ) ] = log p(x) - KL(q(z|x) || p(z|x))
#
# The gap is the distance from q to the true posterior p(z|x). To raise the elbo therefore does two things at once: it
# raises log p(x), and it pulls q towards the posterior. The loss is -elbo, in nats per image.
#
# ## 2. The KL term
#
# The encoder puts out two arrays mu and logvar, both (N, L), and q(z|x) = N(mu, e^logvar), every latent by itself. The
# logarithm of the variance, because a network's output may be any number, and a variance may not. For one latent:
#
#     log q = -1/2 ( log 2 pi + logvar + (z - mu)^2 e^-logvar )
#     log p = -1/2 ( log 2 pi + z^2 )
#     KL    = E_q [ log q - log p ] = 1/2 E_q [ z^2 - logvar - (z - mu)^2 e^-logvar ]
#
# Two expectations are needed: E_q z^2 = mu^2 + e^logvar, and E_q (z - mu)^2 e^-logvar = 1. So
#
#     KL    = 1/2 ( mu^2 + e^logvar - 1 - logvar )          dKL/dmu = mu,   dKL/dlogvar = 1/2 (e^logvar - 1)
#
# It is zero at mu = 0, logvar = 0, and there alone. A formula for an expectation can be tested by sampling:

# %%
mu, logvar = 0.8, -1.0
z = mu + np.exp(0.5 * logvar) * key.at("kl").normal(1_000_000, np.float64)
log_ratio = 0.5 * (z**2 - logvar - (z - mu) ** 2 * np.exp(-logvar))  # log q(z) - log p(z)
kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)
print(f"KL: formula {kl:.4f}, mean of a million samples {log_ratio.mean():.4f}")
assert abs(kl - log_ratio.mean()) < 5 * log_ratio.std() / 1000

# %% [markdown]
# ## 3. The pixels
#
# A pixel is 0 or 1, and the decoder says with which probability s it is 1. As its last layer puts out any number, the
# *logit* l, the probability is s = sigmoid(l) = 1 / (1 + e^-l). One pixel:
#
#     -log p(x|z) = -x log s - (1 - x) log(1 - s)
#                 = x log(1 + e^-l) + (1 - x) (l + log(1 + e^-l))       log(1 - s) = -l - log(1 + e^-l)
#                 = log(1 + e^-l) + l - x l
#                 = log(1 + e^l) - x l                                  the softplus of l, minus x l
#
#     dl = e^l / (1 + e^l) - x = s - x
#
# The loss takes logits, never probabilities. In float32, s is rounded to 1 from l = 17 on, and log(1 - s) is then the
# logarithm of zero. The last line has no such place, if softplus is written max(l, 0) + log(1 + e^-|l|).


# %%
def softplus(a):
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


logit = np.float32(20)  # the decoder is sure of ink, and the pixel is empty: x = 0
with np.errstate(divide="ignore"):
    naively = -np.log(1 - sigmoid(logit))
print(f"-log p of an empty pixel at logit 20: through the probability {naively}, from the logit {softplus(logit)}")

# %% [markdown]
# ## 4. The gradient through a sample
#
# The first term is an expectation over z, and the parameters of the encoder are in the *distribution* of z. A sampled
# number has no derivative with respect to the distribution it came from. The way out is to draw the randomness
# elsewhere (the reparameterization of Kingma and Welling 2014):
#
#     z = mu + e^(logvar/2) eps          eps ~ N(0, 1)
#
# Now eps is drawn first, from a distribution without parameters, and z is an ordinary function of mu and logvar:
#
#     dmu     = dz
#     dlogvar = dz e^(logvar/2) eps / 2
#
# The factor 1/2 in the exponent turns a variance into a standard deviation. To forget it is the *first classic mistake*.
# A check of gradients cannot see it, since the gradient is then the right one of a wrong model. A look at the samples can:

# %%
logvar, eps = np.full((100_000, 1), -2.0), key.at("eps").normal((100_000, 1), np.float64)
right, wrong = reparameterize(0 * logvar, logvar, eps), 0 * logvar + np.exp(logvar) * eps
print(f"logvar = -2 means a variance of {np.exp(-2):.4f}; sampled {right.var():.4f}, without the half {wrong.var():.4f}")
assert abs(right.var() / np.exp(-2) - 1) < 0.02 < abs(wrong.var() / np.exp(-2) - 1)

# %% [markdown]
# There is another way, which works for any distribution: d/dmu E_q f(z) = E_q [ f(z) d log q(z)/dmu ], the score
# function. It is right on average, but it knows f only by its value, not by its slope. With f near 100 (our loss has
# that size), mu = 1 and a variance of 1, one sample of each estimates the same derivative like this:

# %%
z = 1 + eps
for name, estimate in {"reparameterized": 2 * z, "score function": (100 + z**2) * (z - 1)}.items():
    print(f"d/dmu E[100 + z^2] = 2, {name:15}: mean {estimate.mean():5.2f}, standard deviation {estimate.std():6.2f}")

# %% [markdown]
# ## 5. The whole gradient
#
# Encoder and decoder have one hidden layer of ReLU each. At fixed eps the loss is a function of ten arrays. Read forward
# downwards on the left, backward upwards on the right. Sums run over pixels and latents, means over the N rows.
#
#     a1 = x W1 + b1,  h1 = relu(a1)             da1 = dh1 [a1 > 0]
#     mu = h1 Wm + bm                            dh1 = dmu Wm' + dlogvar Wv'       two uses, so a sum
#     logvar = h1 Wv + bv
#     z = mu + e^(logvar/2) eps                  dmu     = dz + beta mu / N
#                                                dlogvar = dz e^(logvar/2) eps / 2 + beta (e^logvar - 1) / 2N
#     a2 = z W2 + b2,  h2 = relu(a2)             da2 = dh2 [a2 > 0],  dz = da2 W2'
#     l = h2 W3 + b3                             dh2 = dl W3'
#     loss = sum(softplus(l) - x l) / N          dl = (sigmoid(l) - x) / N
#            + beta KL / N
#
# beta = 1 is the bound. Other values are no bound on log p(x), but they choose between the two terms: Higgins et al.
# (2017) take beta > 1 to get latents that mean one thing each.


# %%
def naive(p, x, eps, beta):
    """The two terms of the loss and the gradients of p. x (N, P) pixels, eps (N, L), H hidden."""
    W1, b1, Wm, bm, Wv, bv, W2, b2, W3, b3 = p
    N = len(x)
    a1 = x @ W1 + b1  # (N, H)
    h1 = np.maximum(a1, 0)
    mu, logvar = h1 @ Wm + bm, h1 @ Wv + bv  # (N, L), (N, L)
    std = np.exp(0.5 * logvar)
    z = mu + std * eps  # (N, L)
    a2 = z @ W2 + b2  # (N, H)
    h2 = np.maximum(a2, 0)
    logits = h2 @ W3 + b3  # (N, P)
    reconstruction = (softplus(logits) - x * logits).sum() / N
    kl = 0.5 * (mu**2 + std**2 - 1 - logvar).sum() / N

    dlogits = (sigmoid(logits) - x) / N
    dW3, db3 = h2.T @ dlogits, dlogits.sum(0)
    da2 = dlogits @ W3.T * (a2 > 0)
    dW2, db2 = z.T @ da2, da2.sum(0)
    dz = da2 @ W2.T
    dmu = dz + beta * mu / N
    dlogvar = dz * eps * std / 2 + beta * (std**2 - 1) / (2 * N)
    dWm, dbm = h1.T @ dmu, dmu.sum(0)
    dWv, dbv = h1.T @ dlogvar, dlogvar.sum(0)
    da1 = (dmu @ Wm.T + dlogvar @ Wv.T) * (a1 > 0)
    return reconstruction, beta * kl, [x.T @ da1, da1.sum(0), dWm, dbm, dWv, dbv, dW2, db2, dW3, db3]


# %% [markdown]
# The library's objective is the same in other words. It must give the same terms and the same gradient for every one of
# the ten arrays. And since two derivations by one hand may share a mistake, `prove` has the last word: the complex step
# of lesson 00, for each array in turn, and central differences as a second opinion.

# %%
model = VAE(train.shape, key.at("model"), np.float64, hidden=50, latents=5, beta=3.0)
(elbo,), batch = model.objectives, test.batch(np.arange(8), np.float64)
noise = elbo.draw(model, batch, key.at("noise"))
terms, _ = elbo(model, batch, noise)
reconstruction, kl, gradients = naive(model.vector.views(model.theta).values(), batch.reshape(8, -1), noise.eps, 3.0)
assert abs(terms["reconstruction"] / reconstruction - 1) < 1e-13
assert abs(terms["kl"] / kl - 1) < 1e-13
for (name, theirs), ours in zip(model.vector.views(model.grad).items(), gradients, strict=True):
    assert np.abs(theirs - ours).max() < 1e-12 * np.abs(ours).max(), name
rows = prove(model, batch[:4], key.at("proof"))
worst = max(row.rel_error for row in rows if row.method == "complex step")
print(f"the naive gradient is the library's; the complex step differs by at most {worst:.0e}")

# %% [markdown]
# ## 6. It learns
#
# `model.step` draws eps, clears the gradients, calls the objective, and lets Adam move the parameters. We train two
# models. One has 20 latents and sees the built-in glyphs: ten digits in nine faces, in any slant, weight, size and place.
# The other has only 2 latents, for a map that can be drawn. Two numbers cannot hold all those causes, so its digits have
# one size, one slant, and stand in the middle.


# %%
def fit(data, latents, beta=1.0, steps=STEPS):
    model = VAE(data.shape, key.at("fit", latents), hidden=256, latents=latents, beta=beta)
    model.start(2e-3, steps)
    batches, curve = Batches(data, 128, key.at("batches")), []
    for i in range(steps):
        terms = model.step(next(batches).images, key.at("step", i))
        curve.append(terms["reconstruction"] + terms["kl"])
    return model, curve


def describe(model, images):
    """Reconstruction and KL in nats per image; the mean KL of every latent (L,); how many latents are active."""
    terms = model.evaluate(images, key.at("evaluate"))
    mu, logvar = model.encode(images)  # (N, L), (N, L)
    unit_kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean(0)
    return terms["reconstruction"], terms["kl"], unit_kl, (mu.var(0) > 0.01).sum()


glyphs, n = Glyphs(key.at("plain")), 8000
factors = glyphs.factors(np.arange(n)) | {
    "dx": np.zeros(n),
    "dy": np.zeros(n),
    "size": np.full(n, 17.0),
    "slant": np.full(n, 0.1),
}
plain = Dataset("plain", glyphs.render(factors), factors["character"])

model, curve = fit(train, 20)
plane, _ = fit(plain, 2)
reconstruction, kl, unit_kl, active = describe(model, images)
binary_entropy = -images * np.log(np.maximum(images, 1e-9)) - (1 - images) * np.log(np.maximum(1 - images, 1e-9))
floor = binary_entropy.sum() / len(images)
print(f"test images: elbo {-reconstruction - kl:.1f} nats per image, reconstruction {reconstruction:.1f}, KL {kl:.1f}")
print(f"of the reconstruction, {floor:.1f} nats are the price of grey pixels")
assert STEPS < FULL or reconstruction + kl < 110

# %% [markdown]
# The last number is a floor. Our pixels are grey, numbers in [0, 1], while a Bernoulli variable is 0 or 1. For a grey x
# the formula of section 3 is a cross-entropy. It is least at s = x, where it still is -x log x - (1 - x) log(1 - x). Not
# even a perfect decoder pays less.
#
# **Is every latent used?** A latent that carries less than it costs is switched off: its q becomes the prior, its KL zero.
# When all are, the decoder ignores z: *posterior collapse*. Burda et al. (2016) call a latent active if the variance of
# its mu over the data is above 0.01.
#
# The *second classic mistake* collapses a model for sure: the mean over pixels in place of the sum. It divides the
# reconstruction by 784 and leaves the KL as it was. Multiply that loss by 784, which Adam does not notice since it
# divides by the size of the gradient, and it is ours with beta = 784: beta in disguise. Three short runs:

# %%
for beta in (1.0, 4.0, 784.0):
    short, _ = fit(train, 20, beta, STEPS // 5)
    pixels, weighted_kl, _, used = describe(short, images)
    print(f"beta {beta:3.0f}: reconstruction {pixels:5.1f}, KL {weighted_kl / beta:5.2f} nats, {used:2} of 20 latents active")
assert STEPS < FULL or used == 0
print(f"the full run: {active} of 20 active; KL of the strongest {unit_kl.max():.2f} nats, of the weakest {unit_kl.min():.2f}")

# %% [markdown]
# ## 7. How far below log p(x)?
#
# The derivation of section 1 began with log p(x) = log E_q [ w ], w = p(x|z) p(z) / q(z|x). Average k draws of w before
# the logarithm is taken: by Jensen again each of these is a bound, and it rises with k (Burda et al. 2016). For our grey
# pixels p(x|z) stands for e^-(cross-entropy), and the inequalities hold all the same.
#
#     L_k = E log ( (w_1 + ... + w_k) / k ),      elbo = L_1 <= L_2 <= ... <= log p(x)
#     log w = sum ( x l - softplus(l) ) + 1/2 sum ( logvar + eps^2 - z^2 )         in log p(z) - log q, 2 pi cancels
#
# With q = p(z), that is mu = logvar = 0, this is the sampling from the prior that section 1 called hopeless.


# %%
def log_mean_exp(a, axis):
    top = a.max(axis, keepdims=True)
    return np.log(np.exp(a - top).mean(axis)) + top.squeeze(axis)


def log_weights(x, mu, logvar, eps):
    """log w (k,) for one image x, with z = mu + e^(logvar/2) eps, eps (k, L)."""
    z = mu + np.exp(0.5 * logvar) * eps  # (k, L)
    logits = model.decoder.forward(z)[0]
    return (x * logits - softplus(logits)).sum((1, 2, 3)) + 0.5 * (logvar + eps**2 - z**2).sum(-1)


bounds = []
for i, (x, mu, logvar) in enumerate(zip(images[:50], *model.encode(images[:50]), strict=True)):
    eps = key.at("weights", i).normal((1000, 20))
    log_w = log_weights(x, mu, logvar, eps)
    prior = log_mean_exp(log_weights(x, 0 * mu, 0 * logvar, eps), 0)
    bounds.append([log_w.mean(), log_mean_exp(log_w.reshape(100, 10), 1).mean(), log_mean_exp(log_w, 0), prior])
elbo, ten, thousand, prior = np.mean(bounds, 0)
print(f"50 test images: elbo {elbo:.1f}, L_10 {ten:.1f}, L_1000 {thousand:.1f}; with 1000 draws from the prior {prior:.1f}")
assert elbo < ten < thousand
assert STEPS < FULL or prior < elbo

# %% [markdown]
# ## 8. The figure
#
# Three things to see. The two-latent model has never been told what a digit is, and yet its codes fall into groups. The
# reconstructions are sharper than the samples: the prior also draws z where no image was ever encoded, and between two
# groups the decoder can only mix. And where a latent's bar is missing, the model found that it did not pay.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(11, 12.2), layout="constrained")
axes = figure.subplot_mosaic(
    [["curve"] * 2 + ["units"] * 2 + ["codes"] * 2, ["samples"] * 3 + ["map"] * 3, ["rebuilt"] * 3 + ["between"] * 3],
    height_ratios=(3, 5, 2.6),
)
axes["curve"].plot(curve, color="#1f5fa8", lw=0.6)
axes["curve"].axhline(floor, color="black", lw=0.8, ls=":")
axes["curve"].set(title="loss: -elbo, and the floor of grey pixels", xlabel="step", ylabel="nats per image", ylim=(0, 400))
axes["units"].bar(range(1, 21), np.sort(unit_kl)[::-1], color="#1f5fa8")
axes["units"].set(title=f"KL of each latent: {active} of 20 are active", xlabel="latent, by size", ylabel="nats")
codes = axes["codes"].scatter(*plane.encode(plain.images)[0].T, c=plain.labels, s=3, cmap="tab10")
axes["codes"].set(title="two latents: mu of plain digits", xlabel="$z_1$", ylabel="$z_2$")
axes["codes"].legend(*codes.legend_elements(), loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, handletextpad=0)

shown = images[:36].reshape(3, 12, 28, 28, 1)
rebuilt = model.reconstruct(images[:36]).reshape(shown.shape)
for name, title, grid in (
    ("samples", "samples: z from the prior, 20 latents", model.sample(100, key.at("samples")).reshape(10, 10, 28, 28, 1)),
    ("map", "what each point of the two latents shows", plane.latent_map(18)[:, :, 4:-4, 4:-4]),
    ("rebuilt", "test images, and under each its reconstruction", np.stack((shown, rebuilt), 1).reshape(6, 12, 28, 28, 1)),
    ("between", "from one test image to another, straight through z",
     np.stack([model.interpolate(images[2 * i], images[2 * i + 1], 12) for i in range(6)])),
):  # fmt: skip
    rows, columns, height, width, _ = grid.shape
    axes[name].imshow(grid.swapaxes(1, 2).reshape(rows * height, columns * width), cmap="gray_r", vmin=0, vmax=1)
    axes[name].set_title(title)
    axes[name].set_axis_off()
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "03_vae.png", dpi=130)
print("figure:", OUT / "03_vae.png")

# %% [markdown]
# ## 9. Where this departs from the paper
#
# - Kingma and Welling (2014, "Auto-encoding variational Bayes") train with Adagrad and a small weight decay, a prior on
#   the parameters. Here it is Adam, and no decay.
# - Their MNIST networks have 500 hidden units and batches of 100. Here 256 units of ReLU and batches of 128; one sample of
#   eps for each image, as theirs.
# - The data are glyphs, drawn from fonts, so the numbers cannot be compared with those on MNIST. And the pixels are grey: for
#   likelihoods in the strict sense they would be made binary first.
# - `minigen.models.vae` defaults to 400 hidden units. `minigen train vae` trains it longer; `conv_vae` has the same objective
#   with networks that know what an image is.

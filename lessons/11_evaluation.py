# %% [markdown]
# # Lesson 11: evaluation, or why each metric lies
#
# A model that samples beautifully may have a likelihood of nothing, a model of good likelihood may sample noise, and most
# numbers that are printed next to models are neither. This lesson takes the usual ones in turn: the bound that is quoted as a
# likelihood, Parzen windows, annealed importance sampling, the Frechet distance. Each is derived, and then made to lie, on
# an example whose truth is known. The last sections show what stands beside them, so that it is noticed.
#
# Read it beside `minigen/models/iwae.py`, `minigen/metrics/importance.py`, `minigen/metrics/frechet.py`,
# `minigen/metrics/manifold.py` and `minigen/models/partition.py`. Run it from the root of the repository:
# `python lessons/11_evaluation.py`. It takes about a minute and puts its figure into `lessons/out`. Two environment variables
# change that: `MINIGEN_LESSON_STEPS` is the number of training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from minigen.data import load
from minigen.data.densities import density
from minigen.metrics.frechet import Moments, frechet, frechet_distance
from minigen.metrics.importance import RunningSum, importance_bound
from minigen.metrics.manifold import manifold
from minigen.metrics.memorisation import memorisation
from minigen.metrics.two_sample import two_sample
from minigen.models.iwae import IWAE
from minigen.models.partition import ais, exact_log_z, exact_samples, reverse_ais
from minigen.models.rbm import RBM
from minigen.random import Key

FULL = 1500
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)


def log_mean_exp(l, axis):
    top = l.max(axis, keepdims=True)
    return np.log(np.exp(l - top).mean(axis)) + np.squeeze(top, axis)


# %% [markdown]
# ## 1. The bound that is quoted as a likelihood
#
# Of a model with latents z, p(x) is an integral that nobody can do. But any distribution q(z|x) gives an estimate of it:
#
#     p(x) = integral p(x, z) dz = integral q(z|x) w dz = E_q [w],          w = p(x, z) / q(z|x)
#
# so with z_1 .. z_K drawn from q, (1/K) sum_i w_i has the mean p(x), whatever q is. Its logarithm has not: the logarithm is
# concave, and by Jensen's inequality
#
#     L_K = E [ log (1/K) sum_i w_i ]  <=  log E [ (1/K) sum_i w_i ]  =  log p(x)
#
# L_1 is the ELBO of lesson 03. More samples help: the mean of K weights is the mean of all means of K - 1 of them, and Jensen
# once more gives L_(K-1) <= L_K (Burda et al. 2016, theorem 1). How far L_K is from the truth is a matter of how much the
# weights vary. With v = var(w) / p(x)^2, log(1 + e) = e - e^2 / 2 + ... gives, for large K,
#
#     log p(x) - L_K = v / 2K + ...
#
# A case where all of it is known: z ~ N(0, 1), x|z ~ N(z, 1), so x ~ N(0, 2) and the posterior is N(x/2, 1/2). Let q be
# N(x/2, s^2), with a spread that is wrong.

# %%
x = 1.0
log_p = -0.5 * np.log(2 * np.pi * 2) - x**2 / 4


def log_weights(s, shape, key):
    z = x / 2 + s * key.normal(shape, np.float64)
    log_joint = -0.5 * (z**2 + (x - z) ** 2) - np.log(2 * np.pi)
    return log_joint + 0.5 * ((z - x / 2) / s) ** 2 + 0.5 * np.log(2 * np.pi * s**2)


counts = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500])
gaps = {
    s: np.array([log_p - log_mean_exp(log_weights(s, (4000, K), key.at("w", s, int(K))), 1).mean() for K in counts])
    for s in (0.5**0.5, 1.0, 0.3)
}
assert np.abs(gaps[0.5**0.5]).max() < 1e-12  # q is the posterior: every weight is p(x) itself
assert (np.diff(gaps[0.3]) < 0).all()
w = np.exp(log_weights(1.0, (40_000, 50), key.at("v")) - log_p)  # mean 1, which is known
gap_50 = -(np.log(w.mean(1)) - (w.mean(1) - 1)).mean()  # so what the mean is off by can be taken off: less noise
assert abs(gap_50 / (w.var() / 100) - 1) < 0.05  # v / 2K at K = 50
print(f"log p(x) - L_K, s too large: {gaps[1.0][0]:.3f} at K = 1, {gaps[1.0][-1]:.4f} at K = 500")
print(f"               s too small: {gaps[0.3][0]:.3f} at K = 1, {gaps[0.3][-1]:.4f} at K = 500: narrow is worse than wide")

# %% [markdown]
# With s = 0.3 the samples never visit where p(x, z) still has weight, and rarely does one carry everything: v is infinite as
# soon as s^2 <= 1/4, the formula fails, and the bound creeps. The *effective number of samples* (sum w)^2 / sum w^2 tells: it
# stands beside every bound of `importance_bound`, which adds weights up block by block, as a mantissa and an exponent.

# %%
log_w, total = log_weights(0.3, (5000,), key.at("stream")), RunningSum()
for block in np.split(log_w, 10):
    total.add(block)
assert abs(total.log - np.log(5000) - log_mean_exp(log_w, 0)) < 1e-12
assert abs(total.effective - np.exp(log_w).sum() ** 2 / np.exp(2 * log_w).sum()) < 1e-6
print(f"of 5,000 samples with s = 0.3, {total.effective:.0f} are effective")

# %% [markdown]
# Now a network. `iwae` trains on L_K itself; with r_i = w_i / sum_j w_j the gradient is that of the VAE, sample by sample,
# weighted (derived at the top of `minigen/models/iwae.py`). Two models on glyphs, K = 1 and K = 20, each judged by its ELBO
# and by 500 samples:

# %%
train, test = (load("glyphs", split, binarise="static") for split in ("train", "test"))
held_out, judged = test.batch(np.arange(0, len(test), 20)), {}
for K in (1, 20):
    model = IWAE(train.shape, key.at("iwae"), hidden=100, latents=8, samples=K)
    model.start(2e-3, STEPS)
    for i in range(STEPS):
        rows = key.at("rows", i).integers(len(train), 64)
        model.step(train.batch(rows), key.at("step", i))
    bounds = [importance_bound(model, lambda i: held_out[i : i + 1], len(held_out), n, key.at("judge")) for n in (1, 500)]
    judged[K] = [-bound.bound.mean() for bound in bounds]
    print(f"trained with K = {K:2}: -L_1 {judged[K][0]:.1f}, -L_500 {judged[K][1]:.1f} nats per glyph")
assert all(few > many for few, many in judged.values())
loose = {K: few - many for K, (few, many) in judged.items()}
assert STEPS < FULL or loose[20] > 3 * loose[1]

# %% [markdown]
# The ELBO is a nat from the likelihood of the first model and ten from that of the second, so by their ELBOs the two differ by
# half of what they differ by in truth. Trained with many samples, q is no longer asked to be the posterior; trained with one,
# the decoder is asked to keep its posterior simple, and pays for it. *A bound compares a model with its own encoder, not with
# other models.*
#
# ## 2. Parzen windows
#
# A generator has samples and no density. So put a Gaussian of width h on each of n samples y_j and call that its density:
#
#     p_h(x) = (1/n) sum_j N(x; y_j, h^2 I)
#
# with h chosen on held-out data. In two dimensions that converges. In 784 it would take more samples than there are atoms, and
# what is left measures how near the samples lie to the *middle* of the data (Theis et al. 2016). Hold the truth itself, fresh
# glyphs, against something that no glyph looks like: averages, the centres of k means. As many of each:

# %%
n = 200
pixels = train.batch(np.arange(4000)).reshape(4000, -1).astype(np.float64)
unseen = test.batch(np.arange(500)).reshape(500, -1).astype(np.float64)
centres = pixels[:n].copy()
for _ in range(10):  # Lloyd: each row to its nearest centre, each centre to the mean of its rows
    near = ((pixels**2).sum(1)[:, None] - 2 * pixels @ centres.T + (centres**2).sum(1)).argmin(1)
    centres = np.stack([pixels[near == c].mean(0) if (near == c).any() else centres[c] for c in range(n)])


def parzen(samples, x, h):
    squares = (x**2).sum(1)[:, None] - 2 * x @ samples.T + (samples**2).sum(1)
    return (log_mean_exp(-squares / (2 * h * h), 1) - 784 * np.log(h * np.sqrt(2 * np.pi))).mean()


widths = np.linspace(0.12, 0.4, 15)
scores = {
    name: max(parzen(samples, unseen, h) for h in widths)
    for name, samples in (("fresh glyphs", pixels[-n:]), ("centres", centres))
}
print(f"Parzen windows, {n} samples: the truth {scores['fresh glyphs']:.0f} nats, averages of it {scores['centres']:.0f}")
assert scores["centres"] > scores["fresh glyphs"] + 20

# %% [markdown]
# The truth loses, by tens of nats, against blurs. *A Parzen window ranks averages above data.* minigen has none.
#
# ## 3. Annealing that flatters
#
# An energy model's likelihood needs log Z, and annealed importance sampling (lesson 06) estimates it: E w = Z / Z_0, exactly,
# and log of the mean weight is too low on average, by Jensen again. But here the sign turns: -log p = F + log Z, so a log Z
# that is too low makes the model look too *good*, and the fewer steps the better it looks. A small machine with two deep,
# unequal valleys, where Z can be summed:

# %%
machine = RBM((4, 4, 1), key.at("rbm"), np.float64, hidden=8)
W, b, c = (machine.energy.params[name] for name in "Wbc")
W[...], b[...], c[...] = 1.5 * key.at("W").normal(W.shape, np.float64), 0.0, 0.0
base, log_z = np.full(16, 0.5), exact_log_z(machine.energy)
lengths, chains = (3, 10, 30, 100, 300, 1000), 100
forward = [ais(machine.energy, base, chains=chains, steps=k, key=key.at("ais", k)).value - log_z for k in lengths]
start = exact_samples(machine.energy, chains, key.at("exact"))
back = [reverse_ais(machine.energy, base, start, steps=k, key=key.at("back", k)).value - log_z for k in lengths]
for k, there, home in zip(lengths, forward, back, strict=True):
    print(f"annealing in {k:4} steps: log Z off by {there:+.2f} on the way there, {home:+.2f} on the way back")
assert forward[0] < -0.3 < 0 < back[0]
assert abs(forward[-1]) < 0.3
assert abs(back[-1]) < 0.3

# %% [markdown]
# *One way alone is a promise; both ways are a bracket.* Where they meet, log Z is known.
#
# ## 4. The Frechet distance
#
# Of two sets, take means m, n and covariances S, T, as if they were Gaussian:
#
#     d = |m - n|^2 + tr(S + T - 2 (S^1/2 T S^1/2)^1/2)
#
# First lie: it depends on how many samples there are. Take n rows of N(0, I) in D dimensions, and n others. The means are, of
# variance 1/n on either side, 2 D / n apart, squared. The covariances are I + E and I + E'; to first order their roots are
# I + E/2 and I + E'/2, and the trace is the sum of squares |E - E'|^2 / 4. An entry of E has the variance 1/n, on the diagonal
# 2/n, so that is 2 (D^2 + D) / 4n, and
#
#     d = 2 D / n + D (D + 1) / 2n + ...        for the truth against the truth, where 0 would be right

# %%
D, sizes = 32, (100, 200, 400, 800, 1600, 3200)
same = []
for n in sizes:
    pair = key.at("frechet", n).normal((8, 2, n, D), np.float64)
    same.append(np.mean([frechet_distance(a, b) for a, b in pair]))
predicted = [(2 * D + D * (D + 1) / 2) / n for n in sizes]
assert abs(same[-1] / predicted[-1] - 1) < 0.1
print(f"Frechet distance of the truth from itself: {same[0]:.2f} with {sizes[0]} rows, {same[-1]:.3f} with {sizes[-1]}")

# %% [markdown]
# So the number of samples is in the name of every Frechet distance of minigen, and the distance of held-out data beside it.
#
# Second lie: it sees means and covariances alone. The ring of eight Gaussians has the mean 0, and its covariance is a multiple
# of the identity: a symmetry of more than two turns leaves no other. So have every second Gaussian of the ring alone, and one
# round blob of the right size. Three distributions, one of them right:

# %%
ring, n = density("ring8"), 2000
truth, other = ring.sample(n, key.at("truth")), ring.sample(n, key.at("other"))
angle = np.round(np.arctan2(*other.T[::-1]) / (np.pi / 4)).astype(int)  # which of the eight, counted from the x axis
turn = (angle % 2)[:, None] * np.pi / 4  # every second one is turned onto its neighbour: four modes, of double weight
half = np.concatenate((np.cos(turn) * other[:, :1] - np.sin(turn) * other[:, 1:],
                       np.sin(turn) * other[:, :1] + np.cos(turn) * other[:, 1:]), 1)  # fmt: skip
blob = np.sqrt(0.5) * key.at("blob").normal((n, 2), np.float64)
moments, table = Moments.of(truth), {}
for name, samples in (("the truth", other), ("four of eight", half), ("one blob", blob)):
    d, parts = frechet(moments, Moments.of(samples)), manifold(truth, samples).means
    test_of_two = two_sample(truth, samples, key.at("two", name))
    table[name] = d, parts["precision"], parts["coverage"], test_of_two.accuracy
    print(f"{name:14} Frechet {d:.4f}  precision {parts['precision']:.2f}  coverage {parts['coverage']:.2f}  "
          f"told apart by the nearest neighbour {100 * test_of_two.accuracy:.0f} %")  # fmt: skip
assert max(d for d, *_ in table.values()) < 0.01  # to the Frechet distance all three are right
assert table["one blob"][1] < 0.3 < 0.9 < table["four of eight"][1]  # precision: are the samples like data?
assert table["four of eight"][2] < 0.7 < 0.9 < table["the truth"][2]  # coverage: is all of the data there?
assert abs(table["the truth"][3] - 0.5) < 0.05 < min(table[name][3] - 0.5 for name in ("four of eight", "one blob"))

# %% [markdown]
# *Quality and variety are two numbers.* Precision asks whether samples lie where data lie, coverage whether data have samples
# near them, and a classifier by the nearest neighbour whether anything at all tells the two apart.
#
# ## 5. What none of them sees
#
# A generator that returns its training rows passes every test above: its samples *are* data. Held-out rows show it, for they
# lie farther from the training set than copies do:

# %%
learned, fresh = ring.sample(n, key.at("learned")), ring.sample(n, key.at("fresh"))
copies = learned[key.at("copy").integers(n, n)]
by_heart, honest = (memorisation(s, learned, fresh, key.at("memory")) for s in (copies, truth))
print(f"nearer to the training set than 99 % of held-out rows: copies {100 * by_heart.closer:.0f} %, "
      f"honest samples {100 * honest.closer:.1f} %; their Frechet distances {frechet_distance(copies, truth):.4f}, "
      f"{frechet_distance(other, truth):.4f}")  # fmt: skip
assert by_heart.closer == 1 > 0.05 > honest.closer

# %% [markdown]
# So a figure in `RESULTS.md` says what it is, exact, a bound or an estimate, of how many rows, by which protocol, with an
# interval, beside what the truth itself scores. `minigen reproduce NAME` makes one, `minigen report` the page.
#
# ## 6. The figure

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(11, 10), layout="constrained")
axes = figure.subplot_mosaic([["bound", "annealing", "frechet"], ["truth", "half", "blob"], ["glyphs", "glyphs", "centres"]])
for s, colour in zip((1.0, 0.3), ("#1f5fa8", "#b3541e"), strict=True):
    axes["bound"].loglog(counts, gaps[s], "o-", ms=3, color=colour, label=f"q of spread {s:g}")
axes["bound"].loglog(counts, w.var() / (2 * counts), ":", color="#1f5fa8", label="v / 2K")
axes["bound"].set(title="the bound: nats below log p(x)", xlabel="samples K")
axes["annealing"].semilogx(lengths, forward, "o-", ms=3, color="#1f5fa8", label="there")
axes["annealing"].semilogx(lengths, back, "o-", ms=3, color="#b3541e", label="back")
axes["annealing"].axhline(0, color="#8a8a8a", lw=0.8)
axes["annealing"].set(title="annealing: log Z less the truth", xlabel="steps")
axes["frechet"].loglog(sizes, same, "o", ms=4, color="#1f5fa8", label="measured")
axes["frechet"].loglog(sizes, predicted, ":", color="#8a8a8a", label="2D/n + D(D+1)/2n")
axes["frechet"].set(title="Frechet distance of the truth from itself", xlabel="rows")
for name in ("bound", "annealing", "frechet"):
    axes[name].legend(frameon=False)
for name, title, samples in (("truth", "the truth", other), ("half", "four of eight", half), ("blob", "one blob", blob)):
    d, precision, coverage, _ = table[title]
    axes[name].plot(*samples.T, ".", ms=1.5, color="#1f5fa8")
    axes[name].set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xticks=[], yticks=[])
    axes[name].set_title(f"{title}: Frechet {d:.3f},\nprecision {precision:.2f}, coverage {coverage:.2f}")
for name, rows, across in (("glyphs", pixels[-40:], 10), ("centres", centres[:20], 5)):
    axes[name].imshow(rows.reshape(4, across, 28, 28).swapaxes(1, 2).reshape(112, 28 * across), cmap="gray_r")
    axes[name].set_axis_off()
axes["glyphs"].set_title(f"glyphs: {scores['fresh glyphs']:.0f} nats by Parzen windows")
axes["centres"].set_title(f"averages: {scores['centres']:.0f} nats")
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "11_evaluation.png", dpi=130)
print("figure:", OUT / "11_evaluation.png")

# %% [markdown]
# ## 7. Where this departs from the papers
#
# - Burda et al. (2016) judge by 5,000 samples on MNIST; here it is 500 on a hundred glyphs, so that a minute is enough. The
#   protocol of the paper is `minigen reproduce iwae --budget cpu`.
# - Theis et al. (2016) show the Parzen window's preference on patches of photographs and on MNIST, with 10,000 samples.
# - Precision and coverage are those of Kynkaanniemi et al. (2019) and Naeem et al. (2020), whose features are a network's; in
#   the plane the points are their own features.

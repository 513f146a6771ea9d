# %% [markdown]
# # Lesson 12: WaveNet, sound and text
#
# Lesson 07 writes an image pixel by pixel, each with a probability that depends on the pixels before it. A sound is a sequence
# too, of 8,000 numbers a second, and so is a text. What is new is the distance: the period of a string is dozens of samples,
# and a bracket may be closed long after it was opened. The lesson derives the convolution that looks far back at little cost,
# samples without computing anything twice, listens to the result, and measures a model of text against the exact entropy of
# its language.
#
# Read it beside `minigen/models/causal_stack.py`, `minigen/models/wavenet.py` and `minigen/layers/conv1d.py`. Lesson 00
# explains the notation. Run it from the root of the repository: `python lessons/12_wavenet.py`. It takes about a minute and
# puts a figure and a sound into `lessons/out`. Two environment variables change that: `MINIGEN_LESSON_STEPS` is the number of
# training steps, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from minigen.check import prove
from minigen.data import Batches, load
from minigen.data.grammar import EXPRESSIONS
from minigen.data.mu_law import decode, encode
from minigen.data.plucked import NOTES
from minigen.data.sequences import as_text
from minigen.layers import Conv1d
from minigen.losses import log_softmax
from minigen.models.char_wavenet import CharWaveNet
from minigen.models.wavenet import Rows, WaveNet
from minigen.random import Key
from minigen.training.audio import decibels, save_wav

FULL = 400
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)

# %% [markdown]
# ## 1. Sound as symbols: mu-law
#
# The chain rule of lesson 07 needs a distribution over the values of a sample. A softmax has no opinion on the shape of that
# distribution: it may have two peaks, or a sharp edge. But it needs few values. *Mu-law companding*, made for telephones,
# keeps 256 levels, evenly spaced on a logarithmic scale:
#
#     f(x) = sign(x) log(1 + 255 |x|) / log 256               level = floor((f(x) + 1) / 2 * 255 + 1/2)
#
# The error is then about 2 % of x, small where it would be heard. With 256 even levels it would be 1/255 everywhere.

# %%
x = np.linspace(-1, 1, 20_001)
f = np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)
assert np.array_equal(encode(x), np.floor((f + 1) / 2 * 255 + 0.5))
assert np.array_equal(encode(decode(np.arange(256))), np.arange(256))
quiet = np.abs(x) < 0.01
print(f"largest error where |x| < 0.01: {np.abs(decode(encode(x)) - x)[quiet].max():.5f}, in even levels {1 / 255:.5f}")

# %% [markdown]
# ## 2. Dilation
#
# A causal convolution looks back only. With two taps and *dilation* d it sees now and d steps ago; before the beginning there
# are zeros:
#
#     y_t = x_t W_1 + x_(t-d) W_0 + b
#
#     dx_s = dy_s W_1' + dy_(s+d) W_0'        dW_1 = sum_t x_t' dy_t,   dW_0 = sum_t x_(t-d)' dy_t        db = sum_t dy_t
#
# Stack L layers with dilations 1, 2, 4, ..., 2^(L-1). Every distance from 0 to 2^L - 1 is a sum of some of these numbers, and
# of just one choice of them: its binary digits. So the last layer sees 2^L positions, each by exactly one path. Reach doubles
# with a layer, where without dilation it would grow by one. For the 41 samples of our
# lowest string 6 layers do.


# %%
def convolve(x, W, b, d):
    """(T, C) -> (T, M)."""
    ago = np.concatenate((np.zeros((d, x.shape[1])), x))[: len(x)]
    return x @ W[1] + ago @ W[0] + b, ago


def convolve_backward(dy, x, ago, W, d):
    """dx, dW, db."""
    later = np.concatenate((dy, np.zeros((d, dy.shape[1]))))[d:]  # dy_(s+d)
    return dy @ W[1].T + later @ W[0].T, np.stack((ago.T @ dy, x.T @ dy)), dy.sum(0)


x, dy = key.at("x").normal((20, 3), np.float64), key.at("dy").normal((20, 4), np.float64)
layer = Conv1d(3, 4, 2, dilation=5, causal=True).initialise(key.at("conv"), np.float64)
(y, ago), (theirs, cache) = convolve(x, layer.params["W"], layer.params["b"], 5), layer.forward(x[None])
dx, dW, db = convolve_backward(dy, x, ago, layer.params["W"], 5)
assert np.abs(theirs[0] - y).max() < 1e-13
assert np.abs(layer.backward(dy[None], cache)[0] - dx).max() < 1e-13
assert np.abs(layer.grads["W"] - dW).max() < 1e-12
assert np.abs(layer.grads["b"] - db).max() < 1e-12

# %% [markdown]
# ## 3. The network, and how it is streamed
#
# Every layer has a gate and says one thing u, twice: to the next layer, which gets the sum h + u, and to the end.
#
#     (a, b) = dilated convolution of h, plus a vector of the label          u = W (tanh(a) s(b)) + c
#     h <- h + u                                                             logits = head(u_0 + u_1 + ...)
#
# The head is ReLU, dense, ReLU, dense. The way back is the mirror image: what comes back from the head goes into *every*
# layer's u, and dh runs past all layers and gathers what they send (`CausalStack.unwire`).
#
# In training all positions are computed at once, from the sequence shifted by one: at t the network sees the symbols up to
# t - 1, and at 0 a symbol of its own that says "nothing before". In sampling, a symbol is known only when it has been drawn: a
# second of sound would be 8,000 forward passes over all that came before. But at t a layer needs nothing that was not
# computed already: its own input, now and d steps ago. So every layer keeps its last d inputs, and a position costs the same
# wherever it lies. Here is the whole model in this form. It is the plainest way to write it down, too.


# %%
def stream(net, before, label):
    """The logits (T, V), position by position and tap by tap, from the symbols before each (T,)."""
    p, logits, past = dict(net.named("net")), [], [[] for _ in net.blocks]  # past: what each layer got, so far
    for symbol in before:
        h, skips = p["net.embed.E"][symbol], 0
        for i, got in enumerate(past):
            W, b, V, out, c = (p[f"net.blocks.{i}.{name}"] for name in ("conv.W", "conv.b", "label.E", "out.W", "out.b"))
            got.append(h)
            ago = got[-1 - 2**i] if len(got) > 2**i else 0 * h
            what, gate = np.split(h @ W[1] + ago @ W[0] + b + V[label], 2)
            u = np.tanh(what) / (1 + np.exp(-gate)) @ out + c
            h, skips = h + u, skips + u
        hidden = np.maximum(skips, 0) @ p["net.head.dense.W"] + p["net.head.dense.b"]
        logits.append(np.maximum(hidden, 0) @ p["net.head.out.W"] + p["net.head.out.b"])
    return np.array(logits)


small = WaveNet((60,), key.at("small"), np.float64, classes=3, width=4, hidden=5, layers=4, hertz=8000)
met: list[np.ndarray] = []
drawn = small.sample_of([2], 1, key.at("drawn"), met=met)  # (1, 60), and the logits (1, 256) it met
before = np.concatenate(([256], drawn[0, :-1]))
parallel, _ = small.net.forward((before[None], np.array([2])))
assert np.abs(stream(small.net, before, 2) - parallel[0]).max() < 1e-12
assert np.abs(np.concatenate(met) - parallel[0]).max() < 1e-12
rows = prove(small, Rows(drawn[:, :20], np.array([2])), key.at("proof"))
worst = max(row.rel_error for row in rows if row.method == "complex step")
print(f"naive, streamed and parallel logits are equal; the complex step differs by at most {worst:.0e}")

# %% [markdown]
# The promise again, by derivative: a symbol of its own at each position makes row s of the embedding's gradient the derivative
# by position s. With dilations 1, 2, 4, 8 position 40 sees itself and 15 before it.

# %%
parallel, cache = small.net.forward((np.arange(60)[None], np.array([2])))
dlogits = np.zeros_like(parallel)
dlogits[0, 40] = key.at("one").normal(256, np.float64)
small.zero_grads()
small.net.backward(dlogits, cache, need_dx=False)
seen = np.flatnonzero(np.abs(small.net.embed.grads["E"]).sum(1))
assert seen.tolist() == list(range(25, 41))
print(f"position 40 depends on the positions {seen[0]} to {seen[-1]}: reach {small.net.reach}")

# %% [markdown]
# ## 4. Strings
#
# Karplus and Strong (1983) make a plucked string of nothing but noise: p + 1 random numbers run around a loop, and each time
# neighbours are averaged. The pitch is rate / (p + 1/2), overtones fade first.
#
#     x_t = decay (x_(t-p) + x_(t-p-1)) / 2
#
# After its first turn the sound is nearly determined, if one knows where to look: p back, and p is another one for each of the
# five notes. The note is the label. The weights were trained before, by `minigen train wavenet` (`lessons/weights/make.py`).

# %%
wavenet = WaveNet((1000,), key, classes=5, hertz=8000)
weights = load_file("lessons/weights/12_wavenet.safetensors")
for path, view in wavenet.net.named("net"):
    view[...] = weights[path]
strings = load("plucked", "test")
first = [int(np.flatnonzero(strings.labels == i)[0]) for i in range(5)]
real = strings.batch(first)  # (5, 1000) levels: one string of each note
before = np.insert(real[:, :-1], 0, 256, 1)
log_p = log_softmax(wavenet.net.forward((before, np.arange(5)))[0])  # (5, 1000, 256)
nats = -np.take_along_axis(log_p, real[..., None], -1)[..., 0]  # (5, 1000): what each sample costs
print(
    f"nats per sample: first turn {nats[:, :24].mean():.2f}, after 0.1 s {nats[:, 800:].mean():.2f}, no idea {np.log(256):.2f}"
)

sounds = decode(wavenet.sample_of(range(5), 5, key.at("sounds"), length=1000 if STEPS < FULL else 4000))  # (5, T)
OUT.mkdir(parents=True, exist_ok=True)
save_wav(OUT / "12_wavenet.wav", sounds, 8000)


def strength(sound, f):
    """The spectrum at f, 2 f, 3 f and 4 f, minus that halfway below each."""
    spectrum = np.abs(np.fft.rfft(sound[:1000] * np.hanning(1000), 1 << 15))
    return sum(spectrum[round(k * f * 4.096)] - spectrum[round((k - 0.5) * f * 4.096)] for k in range(1, 5))


def heard(sounds):
    """The strongest of the five notes in each sound."""
    return [int(np.argmax([strength(sound, 8000 / (p + 0.5)) for p in NOTES.values()])) for sound in sounds]


assert heard(decode(real)) == list(range(5))
print(f"asked for {' '.join(NOTES)}\nheard     {' '.join(list(NOTES)[i] for i in heard(sounds))}")
assert sum(i == k for k, i in enumerate(heard(sounds))) >= 4

# %% [markdown]
# ## 5. Text, and a floor
#
# The same stack reads characters. Its language is drawn from a grammar in which every production begins with another character:
#
#     E -> x | y | z | 2 | (EOE) | [EOE] | sin(E) | cos[E]              O -> + | - | * | /              a line is an E
#
# So a text tells by which productions it was made, and its probability is their product. The entropy is known too: an E makes
# 0.72 new ones on average, so a line has v = 1 + 0.72 v of them, each worth H_E nats. *No* model can have fewer nats per
# character on average, for E[-log q] = H(p) + KL(p || q). Closing brackets cost nothing, for who remembers what was opened.

# %%
E, O = np.array([0.22, 0.16, 0.1, 0.06, 0.16, 0.1, 0.1, 0.1]), np.array([0.4, 0.3, 0.2, 0.1])
v_E = 1 / (1 - (2, 2, 1, 1) @ E[4:])  # E's in a line
v_O = v_E * E[4:6].sum()
written = v_E * (E @ (1, 1, 1, 1, 2, 2, 5, 5)) + v_O + 1  # characters in a line
entropy = (v_E * -(E * np.log(E)).sum() + v_O * -(O * np.log(O)).sum()) / written
assert abs(entropy - EXPRESSIONS.entropy) < 1e-12
print(f"{written:.1f} characters in a line, {entropy:.4f} nats in a character")

train, test = load("grammar", rows=4000), load("grammar", "test")
held_out = test.images.astype(np.int64)  # (500, 128)
truth = -EXPRESSIONS.log_probability(held_out).mean() / 128
model = CharWaveNet(train.shape, key.at("characters"), **train.traits)
model.start(5e-3, STEPS)
batches, curve = Batches(train, 32, key.at("batches")), []
for i in range(STEPS):
    curve.append(model.step(model.batch_of(next(batches)), key.at("step", i))["nll"])
short = -model.log_probability(Rows(held_out, None)).mean() / 128
weights = load_file("lessons/weights/12_char_wavenet.safetensors")
for path, view in model.net.named("net"):
    view[...] = weights[path]
long = -model.log_probability(Rows(held_out, None)).mean() / 128
frequency = np.bincount(train.images.reshape(-1)) / train.images.size
alone = -np.log(frequency[held_out]).mean()
print(
    f"nats per character: characters alone {alone:.4f}, {STEPS} steps {short:.4f}, 3,000 steps {long:.4f}, grammar {truth:.4f}"
)
assert truth < long < truth + 0.05
assert STEPS < FULL or long < short < 0.5 * alone
print("drawn:", " ".join(as_text(model.sample(1, key.at("text"))[0], train.traits["characters"]).split("\n")))

# %% [markdown]
# ## 6. The figure
#
# Above: strings and what WaveNet draws for the same notes, as spectrograms: equally spaced overtones, the high ones fading
# first. In the middle: the distributions of the first 400 samples of a string given all before, dark where the model is sure,
# and the string itself. In the first turn nobody could know what comes; then the model is surer with every turn. Below: what
# each sample costs; and the loss of the text model, with the grammar's own -log p of the test rows, below which it cannot fall.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(11, 10), layout="constrained")
axes = figure.subplot_mosaic(
    [[f"real{i}" for i in range(5)], [f"drawn{i}" for i in range(5)], ["sure"] * 5, ["cost"] * 2 + ["curve"] * 3],
    height_ratios=(1.6, 1.6, 2.2, 1.8),
)
for i, name in enumerate(NOTES):
    for kind, sound in (("real", decode(real[i])), ("drawn", sounds[i, :1000])):
        ax = axes[f"{kind}{i}"]
        ax.imshow(decibels(sound, hop=8), aspect="auto", origin="lower", cmap="magma", extent=(0, 125, 0, 4))
        ax.set(xticks=[0, 100], yticks=[0, 4] if i == 0 else [])
    axes[f"real{i}"].set_title(name)
axes["real0"].set_ylabel("strings, kHz")
axes["drawn0"].set(ylabel="WaveNet, kHz", xlabel="ms")
shown = 0  # G3
axes["sure"].imshow(np.exp(log_p[shown, :400].T) ** 0.5, aspect="auto", origin="lower", cmap="Blues", vmax=0.7)
axes["sure"].plot(real[shown, :400], color="#c0392b", lw=0.5)
axes["sure"].set(title="p(level | all samples before), and the string (red)", xlabel="sample", ylabel="level")
axes["cost"].plot(nats.mean(0), color="#1f5fa8", lw=0.5)
axes["cost"].set(title="what a sample costs, mean of five strings", xlabel="sample", ylabel="nats", ylim=(0, None))
axes["curve"].plot(curve, color="#1f5fa8", lw=0.6)
axes["curve"].axhline(truth, color="black", lw=0.8, ls=":")
axes["curve"].set(title=f"text: {STEPS} steps, and the grammar's entropy", xlabel="step", ylabel="nats per character")
axes["curve"].set_ylim(0.8, 1.6)
figure.savefig(OUT / "12_wavenet.png", dpi=130)
print("figure:", OUT / "12_wavenet.png", " sound:", OUT / "12_wavenet.wav")
print(f"excess over the grammar: {long - truth:.4f} nats per character")

# %% [markdown]
# ## 7. Where this departs from the paper
#
# - Van den Oord et al. (2016, "WaveNet: a generative model for raw audio") stack 1, 2, 4, ..., 512 several times, at 16 kHz,
#   and learn from many hours of speech. Here it is one stack of 6 with 32 channels, 8 kHz, and eighths of a second.
# - Their first layer is a convolution of one-hot symbols. A table of rows is the same thing; here its first values make
#   neighbouring levels alike, which spares the network to find out that levels have an order.
# - Residual and skip outputs are one and the same u, as in their figure 4; many later versions give each a layer of its own.
# - Adam with a cosine schedule. `minigen train wavenet --data fsdd` learns spoken digits with the same code.

# %% [markdown]
# # Lesson 09: making it fast
#
# A convolution is seven loops, and the seven loops as a textbook writes them use less than one part in a hundred of what a
# processor can do. The lesson climbs from there, rung by rung. Before each rung stands the reason why it should be faster and,
# in numbers, how much; after it stands what the clock said. At the end all of them are drawn into one picture with the two
# limits that no program passes: how fast the machine multiplies, and how fast it moves memory.
#
# Read it beside the rungs, `loops.py`, `im2col.py`, `direct.py` and `winograd.py` in `kernels/conv2d`, and beside
# `kernels/matmul/register_tile.py`. Run it from the root of the repository: `python lessons/09_making_it_fast.py`. It takes
# about a minute and puts its figure into `lessons/out`. Two environment variables change that: `MINIGEN_LESSON_STEPS` is the
# number of timings of each rung, `MINIGEN_LESSON_OUT` the folder. Let nothing else run meanwhile: the numbers are of a machine
# that has nothing else to do.

# %%
import os
import time
from pathlib import Path

import matplotlib
import numba
import numpy as np
from matplotlib.figure import Figure

from minigen.backend import aligned_zeros
from minigen.kernels import conv2d, pool
from minigen.kernels.conv2d import definition, direct, im2col, loops
from minigen.kernels.conv2d import winograd as fewer
from minigen.kernels.matmul import matmul
from minigen.kernels.tally import tally
from minigen.random import Key

FULL = 60
STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", FULL))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)
threads = pool.thread_count()  # one pool of threads, Numba's: see kernels/pool.py

# %% [markdown]
# ## 1. The sum
#
# N images of H x W pixels with C channels, a kernel of 3 x 3 taps, M channels out, and a frame of zeros one pixel wide:
#
#     y[n, p, q, m] = sum over r, s, c of  x[n, p + r, q + s, c] w[r, s, c, m]
#
# Each number of y needs 9 C multiplications and as many additions, each a *flop*. How fast a rung is will be said in flops a
# second, and every rung has the same number of them by definition, those of this sum: so a rate is a time, turned around.

# %%
N, H, W, C, M = (8 if STEPS >= FULL else 2), 14, 14, 64, 64
x = key.at("x").normal((N, H, W, C))
w = key.at("w").normal((3, 3, C, M)) / np.sqrt(9 * C, dtype=np.float32)
framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))  # (N, H + 2, W + 2, C)
exact = definition.forward(x.astype(np.float64), w.astype(np.float64), padding=1)
flops = 2 * N * H * W * M * 9 * C


def error(y):
    return np.linalg.norm(y - exact) / np.linalg.norm(exact)


def seconds(call):
    """The lower quartile: what else the machine has to do only ever adds time."""
    times = []
    for _ in range(STEPS + 1):  # the first one compiles, and wakes the threads
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[STEPS // 4]


# %% [markdown]
# ## 2. Two roofs
#
# A program multiplies and it moves numbers, and whichever takes longer is what it waits for. If it makes I flops for every byte
# that it moves (its *arithmetic intensity*), the rate is at most
#
#     min(peak, I * bandwidth)                            the roofline (Williams, Waterman and Patterson 2009)
#
# The peak we take from the best product of two large matrices there is here, the bandwidth from a copy of memory that is too
# large for any cache.


# %%
@numba.njit(parallel=True)
def copy(source, target):
    for part in numba.prange(64):
        size = source.size // 64
        target[part * size : (part + 1) * size] = source[part * size : (part + 1) * size]


side = 1024 if STEPS >= FULL else 256
a, b = key.at("a").normal((side, side)), key.at("b").normal((side, side))
source = np.ones((64 if STEPS >= FULL else 4) << 18, np.float32)  # 64 MiB
target = np.empty_like(source)
peak = 2 * side**3 / seconds(lambda: matmul(a, b))
bandwidth = 2 * source.nbytes / seconds(lambda: copy(source, target))
assert np.array_equal(source, target)
print(
    f"{threads} threads: {peak / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.0f} GB/s; they meet at {peak / bandwidth:.1f} flops a byte"
)

# %% [markdown]
# What must be moved at all is x, w and y, once. That is some hundred flops for every byte of it, far to the right of where the
# roofs meet: a convolution with that many channels *can* run at the peak. `tally` counts both for every operation of a program;
# it leaves out the taps that look at the frame, since multiplying by zero is no work, and so has a little less than `flops`.

# %%
with tally() as seen:
    conv2d.forward(x, w, padding=1)
least = seen[0].read + seen[0].written  # bytes
assert least == x.nbytes + w.nbytes + exact.size * 4
inside = (3 * H - 2) * (3 * W - 2) / (9 * H * W)
assert seen[0].flops == round(inside * flops)
assert flops / least > 30

rates, intensities, predicted = {}, {}, {}


def climb(name, rung, intensity, expected):
    """The rung's result is asserted, its time taken and put beside the expected one."""
    assert error(rung(x, w)) < 1e-6, name
    rates[name], intensities[name], predicted[name] = flops / seconds(lambda: rung(x, w)), intensity, flops / expected
    miss = rates[name] / predicted[name]
    print(f"{name:13} predicted {predicted[name] / 1e9:6.1f}, measured {rates[name] / 1e9:6.1f} GFLOP/s: {miss:.2f} of it")


# %% [markdown]
# ## 3. Seven loops
#
# The sum as it stands, compiled: `kernels/conv2d/loops.py`. Its inmost lines are
#
#     for r in range(kh):
#         for s in range(kw):
#             for c in range(channels):
#                 total += x[n, p + r, q + s, c] * w[r, s, c, m]
#     y[n, p, q, m] = total
#
# within loops over n, p, q and m; strides and groups make the file's a little longer. *Prediction.* Each addition waits for the
# one before it, since all of them go into one number. An addition takes about 4 cycles, at some 3.5 GHz that is 1.1 ns for two
# flops: 1.8 GFLOP/s. Two numbers are fetched for every multiplication, a quarter of a flop for each byte.

# %%
climb("loops", lambda x, w: loops.forward(x, w, padding=1), 1 / 4, 1.1e-9 * flops / 2)

# %% [markdown]
# ## 4. Another order
#
# Nothing is changed but the order: m runs innermost. Neighbouring m are neighbours in w and in y, so one instruction works on a
# whole vector of them (16 numbers with AVX-512), and none waits for another, for they are different sums. And images go to all
# threads. *Prediction.* Each vector of products fetches a vector of w, fetches one of y and stores it: three accesses, of which
# a core makes about two in a cycle. So 1.5 cycles for 32 flops, were they always in the nearest cache: 75 GFLOP/s a thread.
# But the kernel, 147 kB, lies in the second one, which hands out some 32 bytes in a cycle: 2 more. 3.5 cycles in all make 32
# GFLOP/s a thread. All of that holds if y begins where a line of the cache does. Elsewhere every vector of it lies in two
# lines, and what one step stores the next one cannot fetch before it has reached the cache: less than half the speed, when we
# tried.


# %%
@numba.njit(parallel=True, fastmath={"contract"})
def vectors(framed, w, y):
    N, H, W, M = y.shape
    for n in numba.prange(N):
        y[n] = 0
        for p in range(H):
            for q in range(W):
                for r in range(3):
                    for s in range(3):
                        for c in range(w.shape[2]):
                            for m in range(M):
                                y[n, p, q, m] += framed[n, p + r, q + s, c] * w[r, s, c, m]


def ordered(x, w):
    y = aligned_zeros(exact.size, np.float32).reshape(exact.shape)
    vectors(framed, w, y)
    return y


climb("order", ordered, 2 / 12, 3.5 / 3.5e9 * flops / 32 / threads)

# %% [markdown]
# ## 5. Copy, then multiply
#
# What one row of the product needs of x, 9 C numbers, is copied out side by side: a matrix of patches (N H W, 9 C). Then the
# convolution *is* a matrix product, and the library's product keeps a tile of 8 x 32 results in registers: for 8 numbers of
# one factor and 32 of the other it makes 256 multiplications. This is im2col (Chellapilla et al. 2006), and the definition
# of minigen is its kin: one product for each tap. The file is `kernels/conv2d/im2col.py`, with both gradients. *Prediction.*
# The product at the peak; and before it the patches, nine times as much as x, are written and read.

# %%
patch_bytes = 2 * 9 * x.nbytes  # written and read
assert patch_bytes > 4 * least
expected = flops / peak + patch_bytes / bandwidth
climb("im2col", lambda x, w: im2col.forward(x, w, padding=1), flops / (least + patch_bytes), expected)

# %% [markdown]
# ## 6. Multiply without the copy
#
# The product reads its first factor number by number. It need not be told where they lie by a matrix: a table of positions
# does, one entry for each tap and channel, beside the position at which a pixel's patch begins. So the patches are never
# written, and the tile, the order of its loops and its speed remain those of the product. That is `kernels/conv2d/direct.py`,
# with its loops in `tiles.py`; the input gradient is the same kernel with other tables. *Prediction.* The peak, less the few
# bytes of x, w and y.

# %%
climb("direct", lambda x, w: direct.forward(x, w, padding=1), flops / least, flops / peak + least / bandwidth)

# %% [markdown]
# ## 7. Fewer multiplications
#
# Above the peak there is only doing less. Two neighbours of a sum of three taps take six multiplications. From sums and
# differences of four inputs d and of the taps g they take four (Winograd 1980):
#
#     p0 = (d0 - d2) g0,  p1 = (d1 + d2) (g0 + g1 + g2) / 2,  p2 = (d2 - d1) (g0 - g1 + g2) / 2,  p3 = (d1 - d3) g2
#     y0 = p0 + p1 + p2,  y1 = p1 - p2 - p3
#
# As matrices: y = A' [(G g) * (B' d)], number by number. Along both axes, 4 pixels of y take 16 multiplications instead of 36,
# and the sums over channels are 16 matrix products (Lavin and Gray 2016). *Prediction.* 36 / 16 = 2.25 times the peak for the
# products; but the maps of x are 4 times as large as x, those of y 4 times y, each written and read, and here with NumPy,
# one thread, in some ten passes. That eats the gain: it is worth having only where the maps stay in a cache.

# %%
B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)  # B'
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)  # A'
d, g = key.at("d").normal((4,), np.float64), key.at("g").normal((3,), np.float64)
assert np.allclose(A @ ((G @ g) * (B @ d)), [d[0:3] @ g, d[1:4] @ g], rtol=0, atol=1e-14)


def winograd(x, w):
    tiles = np.lib.stride_tricks.sliding_window_view(framed, (4, 4), (1, 2))[:, ::2, ::2]  # (N, H / 2, W / 2, C, 4, 4)
    V = np.einsum("ia,nhwcab,jb->ijnhwc", B, tiles, B, optimize=True).reshape(16, -1, C)
    U = np.einsum("ir,rscm,js->ijcm", G, w, G, optimize=True).reshape(16, C, M)
    P = np.stack([matmul(V[i], U[i]) for i in range(16)]).reshape(4, 4, N, H // 2, W // 2, M)
    return np.einsum("ai,ijnhwm,bj->nhawbm", A, P, A, optimize=True).reshape(N, H, W, M)


maps = 4 * x.nbytes + 4 * exact.size * 4
passes = 10 * maps / (bandwidth / threads)
climb("maps in NumPy", winograd, flops / (least + 2 * maps), flops * 16 / 36 / peak + passes)

# %% [markdown]
# `kernels/conv2d/winograd.py` does it for a few tiles at a time, so that their maps never leave the second-level cache.
# *Prediction.* The products at 2.25 times the peak; the maps, written and read once, at 32 bytes in a cycle of each core; and
# x, w and y from memory. It is the one rung that may stand above the flat roof: its flops are counted as the sum's.

# %%
in_cache = 2 * maps / (32 * 3.5e9 * threads)
expected = flops * 16 / 36 / peak + in_cache + least / bandwidth
climb("winograd", lambda x, w: fewer.forward(x, w, padding=1), flops / least, expected)
assert error(conv2d.forward(x, w, padding=1)) < 1e-6  # the library takes the rung that pays at a size

# %% [markdown]
# ## 8. The picture
#
# Each rung stands over its intensity: flops for every byte that it asks for outside the registers. Below the slanted roof a
# program waits for memory, below the flat one for the multipliers. A full circle is what was measured, an empty one what was
# predicted. A rung above the slanted roof is no contradiction: its numbers come out of a cache, which is a faster memory.

# %%
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(12, 5), layout="constrained")
roofs, bars = figure.subplots(1, 2, width_ratios=(1.5, 1))
span = np.geomspace(0.08, 200, 200)
roofs.loglog(span, np.minimum(peak, span * bandwidth) / 1e9, color="black", lw=1.2)
roofs.text(1.1, bandwidth / 1e9, f"memory: {bandwidth / 1e9:.0f} GB/s", va="top")
roofs.text(peak / bandwidth, 1.06 * peak / 1e9, f"products: {peak / 1e9:.0f} GFLOP/s", va="bottom")
colors = dict(zip(rates, ("#8a8a8a", "#c9a227", "#d1602d", "#1f5fa8", "#a8a83c", "#3c8f4a"), strict=True))
for name, color in colors.items():
    at = intensities[name]
    roofs.plot([at, at], [predicted[name] / 1e9, rates[name] / 1e9], color=color, lw=0.8)
    roofs.plot(at, predicted[name] / 1e9, "o", mfc="white", color=color, ms=7)
    roofs.plot(at, rates[name] / 1e9, "o", color=color, ms=7)
    roofs.annotate(name, (at, rates[name] / 1e9), (7, -9), textcoords="offset points", color=color)
roofs.set(xlabel="flops for every byte", ylabel="GFLOP/s", title="the roofline: measured (full) and predicted (empty)")
bars.barh(list(rates), [rate / 1e9 for rate in rates.values()], color=list(colors.values()))
bars.axvline(peak / 1e9, color="black", lw=0.8, ls=":")
for name, rate in rates.items():
    bars.text(rate / 1e9, name, f" {rate / rates['loops']:.0f} x", va="center")
bars.invert_yaxis()
bars.set(xlabel="GFLOP/s; dotted: the peak", title="the ladder, in multiples of the loops")
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "09_making_it_fast.png", dpi=130)
times = {name: rates[name] / rates["loops"] for name in ("direct", "winograd")}
print(f"direct {times['direct']:.1f} and winograd {times['winograd']:.1f} times the loops")
print("figure:", OUT / "09_making_it_fast.png")

# %% [markdown]
# ## 9. What the predictions were worth
#
# On the machine where this was written (two cores with AVX-512; yours prints its own) five of six held to a quarter:
#
# - *loops*, 1.0 of the prediction.
# - *order*, 0.8 of it: a guess, what the second cache hands out in a cycle, was a little too high. With a y that began in the
#   middle of a line it was 0.3.
# - *im2col*, 0.9 to 1.0 of it.
# - *direct*, 0.85 to 0.95 of it: the tables are read too, and a tile is fed number by number.
# - *maps in NumPy*, 0.55 to 0.75 of it, a miss, and a fifth of `direct`: fewer multiplications alone are worth nothing.
# - *winograd*, 0.9 to 1.0 of it, and far above the flat roof: twice `direct`, where 36 / 16 promised 2.25.
#
# ## 10. Where this departs from the papers
#
# - Williams, Waterman and Patterson (2009) count the bytes that reach memory. Here they are those that a rung asks for outside
#   its registers, which a program can be read for; caches then show as points above the roof.
# - Chellapilla et al. (2006) copy the patches of one image at a time; here it is the whole batch at once.
# - Lavin and Gray (2016) choose the size of the tile by layer; larger ones save more and lose digits.
#
# Next: `python -m benchmarks.kernels conv2d` has every rung on every shape, with PyTorch's kernel beside it.

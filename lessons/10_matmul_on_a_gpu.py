# %% [markdown]
# # Lesson 10: a matrix product from scratch on a GPU
#
# The textbook's matrix product, given to the ten thousand threads of a GPU, reaches about one part in a hundred of what the
# chip can multiply. Ten rungs lead from there to the tensor cores. Each changes one thing, and before each stands a count: in
# how many cycles the memory nearest to the multipliers can hand out what a multiplication needs. That number can be read off
# the addresses in the source, without a GPU; and it says which rung must be faster than which, and by how much.
#
# Read it beside the rungs, `kernels/matmul/naive.cu` to `kernels/matmul/bf16.cu`; the first three are there in Python too,
# `kernels/matmul/numba_cuda.py`. Run it from the root of the repository: `python lessons/10_matmul_on_a_gpu.py`. Where there is
# a GPU it runs the rungs there, and measures them. Where there is none it runs the same files on the CPU, by way of g++
# (`kernels/cuda/on_cpu.py`), on small matrices: it proves that they are right, and says nothing of speed. The figure goes to
# `lessons/out`. `MINIGEN_LESSON_STEPS` is the number of timings of each rung, `MINIGEN_LESSON_OUT` the folder.

# %%
import os
import re
import time
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from minigen import backend
from minigen.kernels import rounding
from minigen.kernels.cuda import on_cpu, resources
from minigen.kernels.matmul import cuda as rungs
from minigen.random import Key

STEPS = int(os.environ.get("MINIGEN_LESSON_STEPS", 20))
OUT = Path(os.environ.get("MINIGEN_LESSON_OUT", "lessons/out"))
key = Key(0)
try:
    cupy = backend.cupy()
    print("a GPU: every rung runs there, and is measured")
except RuntimeError as error:
    cupy = None
    print(f"{error}\nnothing is measured: the rungs run on the CPU, from the same source, to be proved right")

# %% [markdown]
# ## 1. The sum, and who computes it
#
# a has M rows and K columns, b has K rows and N columns:
#
#     c[m, n] = sum over k of a[m, k] b[k, n]                M N K multiply-adds, two flops each
#
# A GPU has processors, 132 in an H100. A processor runs *blocks* of up to 1024 threads, 32 threads of a block go in step: a
# *warp*, and one instruction of a warp is 32 multiply-adds. In each cycle a processor can do
#
# - 128 multiply-adds in float32: four warps. So a warp's multiply-add costs at least **a quarter of a cycle**;
# - one access to its own memory, which is *shared memory* and the nearest cache in one: 32 banks hand out 4 bytes each.
#
# Every multiply-add needs two numbers. If both came from that memory, it would cost two cycles, eight times what the
# multipliers take. So the whole lesson is one question: how many multiplications can be made of a number once it has been
# fetched?
#
# Two rules for the cost of one access by a warp, in cycles:
#
# - *shared memory*: word i lies in bank i mod 32, and a bank hands out one word in a cycle, to all lanes that ask for it. So
#   the cost is that of the bank of which most different words are asked;
# - *global memory*, the large one: what the cache holds are lines of 128 bytes, 32 numbers, and it opens one in a cycle.


# %%
def passes(words):
    """Cycles in which shared memory hands out these words."""
    return np.bincount(np.unique(words) % 32).max()


def lines(numbers):
    """Cycles in which the cache opens the lines of these numbers of a global array."""
    return np.unique(numbers // 32).size


def quads(first):
    """The four neighbours from each of these on: an access of 16 bytes."""
    return np.add.outer(first, np.arange(4))


lane = np.arange(32)
assert passes(lane) == passes(0 * lane) == 1  # neighbours; all the same
assert passes(32 * lane) == 32  # all in one bank
assert passes(33 * lane) == 1  # ... which a row that is one longer prevents
assert (lines(lane), lines(4096 * lane), lines(quads(4 * lane))) == (1, 32, 4)

# %% [markdown]
# A rung is counted over a piece of its inner loop: `of` multiply-adds of a warp, and every access that they need, as (how
# often, the addresses of the 32 lanes). How often the *compiler* fetches from shared memory stands in a committed table,
# `kernels/cuda/resources.txt`; it may read four neighbours at once where the text reads them one by one. The count is held
# against it: same number of loads (LDS) for the same number of multiply-adds (FFMA).

# %%
FP32 = 0.25  # cycles of a warp's multiply-add: four warps in a cycle
L = 4096  # the length of a row of a, b and c
SHAPE = (150, 70, 90)  # M, N, K of the proof: no tile divides them
a, b = (key.at(name).normal(shape) for name, shape in (("a", SHAPE[::2]), ("b", SHAPE[:0:-1])))
exact = a.astype(np.float64) @ b.astype(np.float64)
cycles, predicted = {}, {}


def compiled(rung, instruction):
    """How often it stands in the code for sm_90."""
    line = re.search(rf"^matmul/{rung}.cu +sm_90 .*$", resources.TABLE.read_text(), re.MULTILINE)[0]
    return int(re.search(rf"\b{re.escape(instruction)} (\d+)", line)[1])


def prove(name, bound=1e-6):
    """The rung runs, on the GPU or on the CPU, and its result is right."""
    precision = name if name in rounding.PRECISIONS else "float32"
    if cupy is None and on_cpu.compiler() is None:
        print(f"{name}: not run, there is neither a GPU nor g++ here")
        return
    with rounding.precision(precision):
        there = (a, b) if cupy is None else (cupy.asarray(a), cupy.asarray(b))
        c = backend.to_device(rungs.teach(name, *there) if name in rungs.TEACHING else rungs.matmul(*there), "cpu")
    assert np.isfinite(c).all(), name  # before the norm: NaN is larger than no bound
    assert np.linalg.norm(c - exact) < bound * np.linalg.norm(exact), name


def climb(name, of, memory, reads=(), writes=(), multiplier=FP32, bound=1e-6):
    """Counts a rung and proves it. Cycles of a warp's multiply-add: what opens lines, writes tiles, reads tiles."""
    prove(name, bound)
    costs = (sum(n * lines(x) for n, x in memory), *(sum(n * passes(x) for n, x in part) for part in (writes, reads)))
    cycles[name] = np.array(costs) / of
    predicted[name] = FP32 / max(multiplier, cycles[name].sum())
    asked = sum(n * np.unique(x).size for n, x in memory) * 4 / (32 * of)  # bytes of global memory
    shown = " + ".join(f"{part:.3f}" for part in cycles[name])
    print(f"{name:12} {asked:6.3f} bytes, {shown} = {cycles[name].sum():6.3f} cycles: {predicted[name]:6.1%} of float32's peak")
    return asked


# %% [markdown]
# ## 2. naive
#
# A thread for each number of c, which runs the textbook's loop. threadIdx.x counts fastest through a warp, and here it counts
# *rows*. The block is 16 x 16, so a warp is 16 rows by 2 columns: its lanes read 16 numbers of a that lie K apart, in 16
# lines, and two neighbours of b, in one. *Prediction.* 17 cycles, where the multipliers need a quarter: 1.5 %.

# %%
k = 7  # any
x, y = lane % 16, lane // 16  # threadIdx
climb("naive", 1, [(1, x * L + k), (1, k * L + y)])
assert cycles["naive"].sum() == 17
assert compiled("naive", "LDG.E") == 2 * compiled("naive", "FFMA")  # the compiler, too, loads two for each

# %% [markdown]
# ## 3. coalesced
#
# One change: x counts columns. Now 16 lanes read the same number of a, and neighbours of b: three lines in all. The
# arithmetic is the same to the last bit. *Prediction.* 3 cycles: 5.7 times as fast, for the swap of two letters.

# %%
asked = climb("coalesced", 1, [(1, y * L + k), (1, k * L + x)])
assert cycles["coalesced"].sum() == 3

# %% [markdown]
# ## 4. shared_tile
#
# A block of 32 x 32 threads makes 32 x 32 of c. In steps of 32 along k it copies what all its threads need of a and b to
# shared memory, each thread one number of each, and then every thread runs 32 steps of its sum out of there:
#
#     tile_a[y][x] = a[row, start + x]     tile_b[y][x] = b[start + y, column]     barrier
#     32 times: sum += tile_a[y][k] * tile_b[k][x]                                 barrier
#
# The first barrier: nobody reads what others have not written. The second: nobody overwrites what others still read. Each
# number now comes from afar once for 32 multiplications. That is needed: at the peak the chip makes 3 10^13 multiply-adds a
# second, and the 2.25 bytes that coalesced asks for each are 67 TB/s, twenty times what global memory gives. With a tile of
# 32 it is a quarter of a byte, with the 128 of the later rungs a sixteenth, which is less than it gives.
#
# A warp is one row of the block, y the same in all lanes. Of a they read one word (the compiler: four k at once), of b 32
# neighbours. *Prediction.* 1.25 cycles for the reads, an eighth for the copying: 18 %. Shared memory alone is no cure.

# %%
T = 32
asked_of_tile = climb(
    "shared_tile",
    T,
    memory=[(1, lane), (1, lane)],
    writes=[(1, lane), (1, lane)],
    reads=[(T / 4, quads(0 * lane)), (T, lane)],
)
assert asked_of_tile == 8 / T  # two numbers of 4 bytes, each used 32 times
assert compiled("shared_tile", "LDS") / compiled("shared_tile", "FFMA") == (T / 4 + T) / T
H100 = {"processors": 132, "clock": 1.755e9, "bytes": 3.35e12}  # as its maker states: in a second
peak = H100["processors"] * H100["clock"] / FP32 * 32  # multiply-adds
assert round(peak * asked / H100["bytes"]) == 20
assert peak * 8 / 128 < H100["bytes"] < peak * asked_of_tile

# %% [markdown]
# ## 5. column_tile
#
# A thread keeps *eight* sums in registers, of eight rows below each other. A number of b, once read, serves eight
# multiplications: 9 reads for 8 of them instead of 16. The tile is 64 x 64 by 512 threads, 8 deep: a thread still copies one
# number of a and of b for 64 multiply-adds. *Prediction.* The compiler reads a in fours along k, 16 loads, and b eight times:
# 24 accesses for 64 multiply-adds, 7 more for the copies. Half a cycle: 52 %.

# %%
ay, ax = lane // 8, lane % 8  # what a lane copies of a; of b, 32 neighbours
climb(
    "column_tile",
    64,
    memory=[(1, ay * L + ax), (1, lane)],
    writes=[(1, ay * 8 + ax), (1, lane)],
    reads=[(16, quads(0 * lane)), (8, lane)],
)
assert compiled("column_tile", "LDS") / compiled("column_tile", "FFMA") == 24 / 64

# %% [markdown]
# ## 6. square_tile
#
# Eight rows *and* eight columns: an outer product in registers. 16 numbers make 64 multiplications; on a CPU, lesson 09 did the
# same for the same reason. The tile is 128 x 128 by 256 threads. The rows of tile_a are 9 long, so that a lane's block of 8 x 8
# is one piece, which the compiler reads in 18 quads; b's are 16. *Prediction.* The quads of b lie 8 apart, so that of the 32
# banks only 16 are ever asked: four cycles each. 0.22 cycles in all, for the first time less than the multipliers need.

# %%
x, y = lane % 16 * 8, lane // 16 * 8  # the lane's square
climb(
    "square_tile",
    512,
    memory=[(4, ay * L + ax), (4, lane)],
    writes=[(4, ay * 9 + ax), (4, lane)],
    reads=[(18, quads(y * 9)), (16, quads(x))],
)
assert passes(quads(x)) == 4
assert compiled("square_tile", "LDS") / compiled("square_tile", "FFMA") == (18 + 16) / 512

# %% [markdown]
# From here on the count says "at the peak", and a clock will say less: what is left is waiting. A load takes some 30 cycles to
# come back from shared memory, 500 and more from global memory, and while all warps wait nobody multiplies. Fewer accesses are
# still worth having, because they leave the memory free for the ones that somebody waits for.
#
# ## 7. vectorised
#
# Everything moves in fours. a's tile is stored the other way round, [k][m], so that its eight numbers come in two loads like
# those of b; and a lane's columns are two runs of four, half a tile apart: neighbouring lanes now read neighbouring quads.
# *Prediction.* The same 16 loads of b in two cycles instead of four. 0.15 cycles.

# %%
x, y = lane % 16 * 4, lane // 16 * 4
ay, ax = lane // 2, lane % 2 * 4  # the quad that a lane copies of a
copied = [(1, quads(ay * L + ax)), (1, quads(4 * lane))]
stored = [(4, ax * 132 + ay), (1, quads(4 * lane))]  # a's four go to four rows of the tile, 132 apart
climb("vectorised", 512, copied, [(16, quads(y)), (16, quads(x))], stored)
assert passes(quads(x)) == 2
assert compiled("vectorised", "LDS.128") / compiled("vectorised", "FFMA") == 32 / 512

# %% [markdown]
# ## 8. warp_tile
#
# A warp's lanes lay 2 x 16; together they read 16 + 128 numbers in a step of k. Laid 4 x 8 they make 32 x 64 of c, and read
# 32 + 64: a square has the shortest edge. *Prediction.* Every load is one cycle: 0.12 cycles.

# %%
x, y = lane % 8 * 4, lane // 8 * 4
climb("warp_tile", 512, copied, [(16, quads(y)), (16, quads(x))], stored)
assert cycles["warp_tile"][2] == 32 / 512  # one cycle a load
assert compiled("warp_tile", "LDS.128") / compiled("warp_tile", "FFMA") == 32 / 512

# %% [markdown]
# ## 9. pipelined
#
# Two tiles: while one is multiplied, the next travels by `cp.async`, past the registers, and nobody waits for it before it is
# needed. A copy cannot turn the tile round, so a lies [m][k] again, and a lane reads it in fours along k; its rows are 20
# long, and 20, 40, 60 mod 32 are four different groups of banks. *Prediction.* No fewer cycles: it hides waiting. The engine's
# own rung, `float32.cu`, does this with three tiles, ragged and transposed operands, and bias and ReLU at the end.

# %%
ay, ax = lane // 4, lane % 4 * 4
tiles = {"memory": [(2, quads(ay * L + ax)), (2, quads(4 * lane))], "writes": [(2, quads(ay * 20 + ax)), (2, quads(4 * lane))]}
climb("pipelined", 1024, **tiles, reads=[(32, quads(lane // 8 * 20)), (32, quads(x))])
assert passes(quads(lane // 8 * 20)) == 1
assert compiled("pipelined", "LDS.128") / compiled("pipelined", "FFMA") == 64 / 1024
prove("float32")

# %% [markdown]
# ## 10. Tensor cores
#
# One instruction of a warp multiplies 16 x 8 by 8 x 8 numbers, rounded to 10 bits of fraction (tf32), and adds in float32:
# 1024 multiply-adds, of which an H100 makes as many in a cycle. A multiply-add of 32 then costs 1/32 of a cycle, and memory is
# the limit again. A warp makes 32 x 64 of c: for 8 k it loads 8 words a lane of a, 16 of b, and makes 16 products.
# *Prediction.* 24 loads without conflict, and the copies: 0.086 cycles. 2.9 times the peak of float32, not the 8 that the
# multipliers have. bf16 halves the instructions, but as many words are loaded: by this count it is no faster. A lane's k is
# then even, and with rows of 136 words lanes 0 and 2 would meet in one bank, 544 words apart: b's tile has rows of 132.

# %%
g, q = lane // 4, lane % 4  # of a lane: its row or column, its k
reads = [(16, g * 20 + q), (32, q * 136 + g)]
climb("tf32", 1024, **tiles, reads=reads, multiplier=1 / 32, bound=1e-3)
assert {passes(words) for _, words in reads} == {1}
reads = [(8, np.add.outer(g * 20 + 2 * q, np.arange(2))), (32, 2 * q * 132 + g)]
climb("bf16", 1024, **tiles, reads=reads, multiplier=1 / 64, bound=6e-3)
assert [passes(words) for _, words in reads] == [2, 1]  # two words a lane of a's need two cycles
assert passes(2 * q * 136 + g) == 2

# %% [markdown]
# ## 11. The clock
#
# Where there is a GPU: matrices of 4096 x 4096 normal numbers (zeros would be faster: they switch fewer transistors), the
# median of several calls, a warm machine, and the library's product, cuBLAS in float32, beside it.


# %%
def rate(call):
    """Multiply-adds a second, and so a share of the peak."""
    times = []
    for _ in range(STEPS + 2):  # the first ones compile, and wake the machine
        cupy.cuda.Device().synchronize()
        start = time.perf_counter()
        call()
        cupy.cuda.Device().synchronize()
        times.append(time.perf_counter() - start)
    return L**3 / np.median(times[2:])


measured, library = {}, None
if cupy is not None:
    A, B = (cupy.asarray(key.at(name).normal((L, L))) for name in ("A", "B"))
    library = rate(lambda: cupy.matmul(A, B))
    for name in predicted:
        with rounding.precision(name if name in rounding.PRECISIONS else "float32"):
            run = rungs.matmul if name in rounding.PRECISIONS else lambda a, b, rung=name: rungs.teach(rung, a, b)
            measured[name] = rate(lambda run=run: run(A, B)) / library
        print(f"{name:12} measured {measured[name]:6.1%} of cuBLAS in float32")

# %% [markdown]
# ## 12. The picture
#
# Left, the count: cycles of a processor's memory for one multiply-add of a warp, and what they are spent on. The dotted line is
# what the multipliers need: a rung to the right of it waits for memory. Right, the prediction of it, beside what Boehm (2022)
# measured of rungs like these on another GPU (an A6000, as a share of cuBLAS there), and what this machine measured, if it has
# a GPU. Without one the figure says so.

# %%
BOEHM = dict(zip(predicted, (1.3, 8.5, 12.8, 36.5, 68.7, 78.4, 93.7), strict=False))
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
figure = Figure(figsize=(12, 4.6), layout="constrained")
counts, ladder = figure.subplots(1, 2)
parts = {"opening lines of global memory": "#d1602d", "writing tiles": "#c9a227", "reading tiles": "#1f5fa8"}
where = np.arange(len(predicted))
for i, (part, color) in enumerate(parts.items()):
    counts.barh(where + 0.25 * (i - 1), [cost[i] for cost in cycles.values()], color=color, height=0.24, label=part)
totals = [cost.sum() for cost in cycles.values()]
counts.plot(totals, where, "|", color="black", ms=15, label="together")
for at, total in enumerate(totals):
    counts.text(total * 1.12, at, f"{total:.2g}", va="center", bbox={"fc": "white", "ec": "none", "pad": 0.5})
counts.axvline(FP32, color="black", lw=0.8, ls=":", zorder=0)
counts.set(xscale="log", xlim=(0.01, 60), yticks=where, yticklabels=list(cycles), ylim=(-1.1, len(where) - 0.4))
counts.set(xlabel="cycles for a warp's multiply-add", title="what a multiply-add costs the memory")
counts.legend(loc="lower right", frameon=False)
counts.text(FP32 * 1.06, -0.8, "the multipliers need 0.25", va="center")
ladder.barh(where, [100 * share for share in predicted.values()], color="#c8d4e3", height=0.7, label="predicted, of the peak")
ladder.plot(list(BOEHM.values()), where[: len(BOEHM)], "o", mfc="white", color="#3c8f4a", label="Boehm 2022, of cuBLAS, A6000")
if measured:
    ladder.plot([100 * share for share in measured.values()], where, "o", color="black", label="measured here, of cuBLAS")
ladder.axvline(100, color="black", lw=0.8, ls=":", zorder=0)
ladder.set(yticks=where, yticklabels=list(predicted), xscale="log", xlim=(1, 500), ylim=(-1.1, len(where) - 0.4))
ladder.set_xlabel("per cent; dotted: float32's peak")
said = "the ladder, measured as a share of cuBLAS in float32" if measured else "the ladder: no GPU here, nothing measured"
ladder.set_title(said)
ladder.legend(loc="upper right", framealpha=1, edgecolor="none")
for axis in (counts, ladder):
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter("{x:g}")
OUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT / "10_matmul_on_a_gpu.png", dpi=130)
gain = cycles["naive"].sum() / cycles["warp_tile"].sum()
print(f"from naive to warp_tile the memory has {gain:.1f} times less to do for the same sum")
print("figure:", OUT / "10_matmul_on_a_gpu.png")

# %% [markdown]
# ## 13. What the count is worth
#
# When this was written none of these rungs had run on a GPU: every speed above that is not Boehm's is a prediction. His
# measurements, of rungs that are cut in the same way, hold the count up where memory is the limit, 1.3 where it says 1.5 and
# 8.5 where it says 8.3; below the line it says what is possible, and 12.8 against 18 or 37 against 52 is what waiting takes.
# `python -m benchmarks.gpu` measures the whole ladder, beside cuBLAS.
#
# ## 14. Where this departs from published texts
#
# - Boehm (2022, "How to optimize a CUDA matmul kernel for cuBLAS-like performance") tests squares of multiples of 128. Here
#   every rung takes ragged sizes, and pays for the questions. His double buffer lost to his vectorised rung.
# - The rules for a cycle are simple ones. Accesses of 16 bytes go out in quarters of a warp, lines come in sectors of 32
#   bytes, and copies past the registers are counted as two accesses.
# - The guides' examples check with a tolerance that NaN passes. Here a result must be finite first.
#
# Next: `kernels/cuda/main_loop.cuh`, which makes a convolution's three passes of the same loop with other gathers.

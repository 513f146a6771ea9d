"""Every CUDA kernel at every size against float64: on the CPU in every order of threads and blocks, and on a GPU."""

from __future__ import annotations

import combine_cases
import conv_cases
import cuda_cases
import layer_cases
import numpy as np
import pass_cases
import pytest

from minigen.kernels import rounding
from minigen.kernels.cuda import tiling
from minigen.kernels.matmul import cuda as matmul
from minigen.random import Key

CASES = [case for cases in (conv_cases, layer_cases, pass_cases, combine_cases) for case in cases.cases()]
CASES += cuda_cases.MATRIX_CASES


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case, place):
    assert case() == 1


def test_cases_have_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_orders_agree_to_the_last_bit():
    """Sums have one order, whatever the order of threads: also where k is shared out."""
    from minigen.kernels.cuda import on_cpu

    a, b, _ = cuda_cases.factors((70, 65, 700))
    results = []
    for order in on_cpu.ORDERS:
        with on_cpu.running(order):
            results.append(matmul.matmul(a, b).copy())
    assert tiling.tiling(70, 65, 700).parts > 1
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_sums_have_the_same_bits_in_every_order_of_threads_and_blocks():
    from minigen.kernels.cuda import on_cpu, sums
    from minigen.kernels.normalise import cuda as normalise

    x, results = Key(3).normal((2, 1500, 5)), []
    assert sums.Walk(*x.shape).many > 1
    for order in on_cpu.ORDERS:
        with on_cpu.running(order):
            results.append(np.stack((sums.sums(x), *normalise.statistics(x, eps=1e-5))))
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_walks():
    """Every row of every channel is somebody's, and blocks stay within 256 threads."""
    from minigen.kernels.cuda.sums import Walk

    for B, R, C in ((1, 1, 1), (1, 10**7, 1), (1, 65536, 64), (70000, 3, 1), (2, 50, 3), (128, 49, 512)):
        walk = Walk(B, R, C)
        w, h = walk.block
        assert w * h <= 256
        assert walk.across * w >= B * C
        assert (walk.many - 1) * walk.chunk < R <= walk.many * walk.chunk
        assert walk.many <= 1024
    assert Walk(1, 65536, 64).block == (32, 8)
    assert Walk(70000, 3, 1).block == (1, 4)
    assert Walk(9, 100000, 1, whole=True).many == 1


def test_a_draw_begins_with_every_shorter_draw():
    from minigen.kernels.philox import cuda as philox

    key, dtype = Key(1).words, np.dtype(np.float32)
    for draw in (philox.uniform, philox.normal):
        assert np.array_equal(draw(key, 1100, dtype)[:37], draw(key, 37, dtype))
    assert np.array_equal(philox.bernoulli(key, 0.5, 1100, dtype)[:37], philox.bernoulli(key, 0.5, 37, dtype))
    assert np.array_equal(philox.integers(key, 9, 1100)[:37], philox.integers(key, 9, 37))


def test_activations_far_out():
    """No overflow, no NaN, and a NaN stays one."""
    from minigen.kernels.activation import cuda as activation

    x = np.array([-np.inf, -200, -30, 0, 30, 200, np.inf, np.nan], np.float32)
    for kind, left, right in (("tanh", -1, 1), ("sigmoid", 0, 1), ("leaky", 0, np.inf), ("softplus", 0, np.inf)):
        y = activation.forward(kind, x)
        assert (y[0], y[6]) == (left, right)
        slope = activation.gradient(kind, np.ones_like(x), x)
        assert np.isfinite(slope[:7]).all()
        assert np.isnan(y[7])
    assert np.array_equal(activation.forward("silu", x[1:6]), np.array([0, -30 * np.exp(-30.0), 0, 30, 200], np.float32))


def test_softmax_and_attention_far_out():
    """Large numbers do not overflow, masked ones count nothing, a NaN stays within its row."""
    from minigen.kernels.attention import cuda as attention
    from minigen.kernels.softmax import cuda as softmax

    x = np.zeros((4, 40), np.float32)
    x[0] = 3e38
    x[1, 1:] = -np.inf
    x[2, 7] = np.nan
    y = softmax.forward(x)
    assert np.allclose(y[0], 1 / 40)
    assert np.array_equal(y[1], np.eye(40)[0])
    assert np.isnan(y[2]).all()
    assert np.isfinite(y[3]).all()
    q, k, v = (100 * Key(i).normal((1, 20, 4)) for i in range(3))
    y, log_sum = attention.forward(q, k, v, causal=True)
    assert np.array_equal(y[:, 0], v[:, 0])
    assert np.isfinite(log_sum).all()
    with pytest.raises(ValueError, match="129 channels of a head, and the kernel has room for 128"):
        attention.forward(*np.zeros((3, 1, 2, 129), np.float32))
    with pytest.raises(ValueError, match="causal, with 2 queries and 3 keys"):
        attention.forward(*(np.zeros((1, n, 4), np.float32) for n in (2, 3, 3)), causal=True)


def test_a_label_that_is_no_class_makes_nan(order):
    """Nothing is read beyond the row, and the other rows are as they were; a NaN stays within its row too."""
    from minigen.kernels.categorical import cuda as categorical

    x, labels = Key(1).normal((6, 40)), np.array([3, -1, 40, 5, 39, 2**40])
    x[4, 7] = np.nan
    value, dx = categorical.loss(x, labels)
    assert np.isnan(value)
    assert np.isnan(dx).all(1).tolist() == [False, True, True, False, True, True]
    kept = [0, 3]
    assert np.isfinite(dx[kept]).all()
    np.testing.assert_allclose(dx[kept] * 3, categorical.loss(x[kept], labels[kept])[1], rtol=3e-7)


def test_a_categorical_far_out(order):
    """Large logits do not overflow, and a masked one counts nothing."""
    from minigen.kernels.categorical import cuda as categorical

    x = np.zeros((3, 40), np.float32)
    x[0] = 3e38
    x[1, 1:] = -np.inf
    x[2, 7] = 1e4
    value, dx = categorical.loss(x, np.array([5, 0, 6]))
    assert value == pytest.approx((np.log(40) + 1e4) / 3)
    assert np.allclose(dx[0] * 3, 1 / 40 - np.eye(40)[5])
    assert not dx[1].any()
    assert np.allclose(dx[2] * 3, np.eye(40)[7] - np.eye(40)[6])


def test_losses_have_the_same_bits_in_every_order_of_threads_and_blocks():
    from minigen.kernels.categorical import cuda as categorical
    from minigen.kernels.clip import cuda as clip
    from minigen.kernels.cuda import on_cpu
    from minigen.kernels.games import cuda as games
    from minigen.kernels.squares import cuda as squares

    x, labels, found = Key(3).normal((9001, 3)), Key(4).integers(3, 9001), []
    for order in on_cpu.ORDERS:
        with on_cpu.running(order):
            losses = categorical.loss(x, labels)[0], squares.loss(x, x / 3)[0], games.loss("saturating", x, 0.0)[0]
            found.append([float(value) for value in (*losses, clip.to_norm(x[:, 0].copy(), limit=1.0))])
    assert found[0] == found[1] == found[2]


def test_what_no_norm_can_scale():
    """A NaN leaves a gradient alone, which is how a run hears of it; squares that float32 cannot hold are no infinity."""
    from minigen.kernels.clip import cuda as clip

    g = np.array([1, np.nan, 2], np.float32)
    assert np.isnan(clip.to_norm(g, limit=0.5))
    assert np.array_equal(g, np.array([1, np.nan, 2], np.float32), equal_nan=True)
    g = np.full(4, 3e30, np.float32)
    assert clip.to_norm(g, limit=1.0) == pytest.approx(6e30)
    assert np.allclose(g, 0.5)
    x = np.array([np.nan, -np.inf, np.inf, 0.25], np.float32)
    clip.to_range(x, 0.5)
    assert np.array_equal(x, np.array([np.nan, -0.5, 0.5, 0.25], np.float32), equal_nan=True)


def test_the_largest_of_a_window_with_a_nan_is_nan():
    from minigen.kernels.resample import cuda as resample
    from minigen.layers.pooling import MaxPool2d

    x = Key(1).normal((1, 4, 4, 1))
    x[0, 1, 1] = np.nan
    y, winner = resample.largest(x, MaxPool2d(2).geometry(x.shape))
    assert np.isnan(y[0, 0, 0, 0])
    assert winner[0, 0, 0, 0] == 3
    assert np.isfinite(y).sum() == 3


def test_rungs_that_only_move_numbers_otherwise_have_the_same_bits():
    a, b, _ = cuda_cases.factors((130, 141, 37))
    first = matmul.teach("naive", a, b)
    for rung in matmul.TEACHING:
        assert np.array_equal(matmul.teach(rung, a, b), first), rung


@pytest.mark.parametrize("precision", rounding.PRECISIONS)
def test_nan_and_infinity_come_through(precision):
    a, b, _ = cuda_cases.factors((33, 40, 50))
    a[5, 3] = np.nan
    a[7, 2] = np.inf
    with rounding.precision(precision):
        c = matmul.matmul(a, b, leak=0.0)
    assert np.isnan(c[5]).all()
    assert set(c[7]) == {np.inf, 0.0}  # ReLU of plus and minus infinity
    assert np.isfinite(np.delete(c, (5, 7), 0)).all()


def test_tensor_cores_round_as_they_say():
    """A factor with more bits than fit is rounded, not cut: 1 + 2^-11 + 2^-12 goes up in tf32, a half to even in bf16."""
    one = np.ones((1, 1), np.float32)
    with rounding.precision("tf32"):
        assert matmul.matmul(one * np.float32(1 + 2**-11 + 2**-12), one) == 1 + 2**-10
    with rounding.precision("bf16"):
        assert matmul.matmul(one * np.float32(1 + 2**-8), one) == 1
        assert matmul.matmul(one * np.float32(1 + 3 * 2**-8), one) == 1 + 2**-6


def test_tilings():
    assert tiling.tiling(4096, 4096, 64).large
    assert tiling.tiling(4096, 4096, 1 << 20).parts == 1
    small = tiling.tiling(65, 64, 4096)
    assert (small.large, small.side, small.threads, small.grid) == (False, 64, 128, (2, 1, 16))
    phases = tiling.tiling(64, 64, 1024, 4)  # of a convolution with stride 2: four products in one launch
    assert (phases.large, phases.parts, phases.grid) == (False, 4, (1, 1, 16))
    assert tiling.tiling(4096, 256, 1024, 4).large
    assert not tiling.tiling(4096, 256, 1024).large
    with (
        pytest.raises(ValueError, match="unknown precision 'fp16': choose one of 'float32', 'tf32', 'bf16'"),
        rounding.precision("fp16"),
    ):
        pass


def test_views_and_given_outputs():
    a, b, expected = cuda_cases.factors((20, 34, 10))
    whole = np.full((3, 20, 34), 7, np.float32)
    assert matmul.matmul(np.asfortranarray(a), b.T.copy().T, out=whole[1]).base is whole
    cuda_cases.close(whole[1], expected, 1e-6)
    assert (whole[[0, 2]] == 7).all()
    assert Key(1).normal(3).dtype == np.float32

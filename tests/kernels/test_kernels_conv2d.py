"""The convolution and its two gradients on every rung: against the definition, against each other, against PyTorch."""

from __future__ import annotations

import importlib

import kernel_cases
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minigen import backend, kernels
from minigen.kernels import conv2d, rungs
from minigen.random import Key

RUNGS = pytest.mark.parametrize("mode", ["definition", "numba"])


@st.composite
def convolutions(draw):
    """x's shape, w's shape and the keywords of a convolution whose kernel fits."""
    size = st.sampled_from((1, 2, 3, 5, 7, 8, 9, 13))
    n, h, w = draw(st.sampled_from((1, 2, 3))), draw(size), draw(size)
    c, m = (
        draw(st.sampled_from((1, 2, 3, 16, 17, 33, 48))),
        draw(st.sampled_from((1, 3, 5, 16, 17, 31, 32, 33, 48, 64, 65, 96))),
    )
    pair = lambda low, high: st.one_of(st.integers(low, high), st.tuples(st.integers(low, high), st.integers(low, high)))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    keywords = {"stride": draw(pair(1, 3)), "padding": draw(pair(0, 3)), "dilation": draw(pair(1, 3))}
    try:
        conv2d.output_shape((h, w), kernel, **keywords)
    except ValueError:
        assume(False)
    return (n, h, w, c), (*kernel, c, m), keywords


@st.composite
def grouped_convolutions(draw):
    """The same in groups, depthwise among them: channels of one group, of a tile and beside it."""
    (n, h, w, _), (*kernel, _, _), keywords = draw(convolutions())
    groups = draw(st.sampled_from((1, 2, 3, 5)))
    c, m = (groups * draw(st.sampled_from((1, 2, 3, 16, 17, 32))) for _ in range(2))
    if draw(st.booleans()):
        groups = c = m = draw(st.sampled_from((1, 7, 8, 9, 15, 16, 17, 33)))
    return (n, h, w, c), (*kernel, c // groups, m), {**keywords, "groups": groups}


def arrays(key, x_shape, w_shape, keywords, dtype=np.float32):
    output = conv2d.output_shape(x_shape[1:3], w_shape[:2], **{k: v for k, v in keywords.items() if k != "groups"})
    x, w = key.at("x").normal(x_shape, dtype), key.at("w").normal(w_shape, dtype)
    return x, w, key.at("dy").normal((x_shape[0], *output, w_shape[3]), dtype)


def all_three(x, w, dy, keywords, of=conv2d):
    return (
        of.forward(x, w, **keywords),
        of.input_gradient(dy, w, x.shape, **keywords),
        of.weight_gradient(x, dy, w.shape[:2], **keywords),
    )


@given(
    case=st.one_of(convolutions(), grouped_convolutions()),
    few=st.sampled_from((0, 512)),
    wide=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=200)
def test_numba_equals_definition(case, few, wide, seed):
    """With `few` = 0, small images take the way of large ones: weights in panels, the pixels of dw shared out."""
    dtype = np.dtype(np.float64 if wide else np.float32)
    x, w, dy = arrays(Key(seed), *case, dtype)
    with rungs("definition"):
        expected = all_three(x.astype(np.float64), w.astype(np.float64), dy.astype(np.float64), case[2])
    with pytest.MonkeyPatch.context() as patch, backend.workspace(backend.Workspace(poison=True)), rungs("numba"):
        patch.setattr(conv2d.LADDER.load("direct"), "FEW_PIXELS", few)
        got = all_three(x, w, dy, case[2])
    for result, reference in zip(got, expected, strict=True):
        assert result.dtype == dtype
        kernel_cases.check_close(result, reference)


@pytest.mark.parametrize("name", conv2d.LADDER.between)
@given(case=st.one_of(convolutions(), grouped_convolutions()), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_rungs_for_readers_equal_the_definition(name, case, seed):
    x, w, dy = arrays(Key(seed), *case)
    with rungs("definition"):
        expected = all_three(x.astype(np.float64), w.astype(np.float64), dy.astype(np.float64), case[2])
    with backend.workspace(backend.Workspace(poison=True)):
        got = all_three(x, w, dy, case[2], of=conv2d.LADDER.load(name))
    for result, reference in zip(got, expected, strict=True):
        assert result.dtype == np.float32
        kernel_cases.check_close(result, reference)


@pytest.mark.parametrize("name", conv2d.LADDER.between)
def test_rungs_for_readers_write_where_they_are_told(name):
    rung, keywords = conv2d.LADDER.load(name), {"stride": 2, "padding": 1, "groups": 2}
    x, w, dy = arrays(Key(18), (2, 6, 6, 4), (4, 4, 2, 6), keywords)
    y, dx, dw = all_three(x, w, dy, keywords, of=rung)
    into_y, into_dx, into_dw = np.full_like(y, 9), np.full_like(dx, 9), np.full_like(dw, 9)
    assert rung.forward(x, w, out=into_y, **keywords) is into_y
    assert rung.input_gradient(dy, w, x.shape, out=into_dx, **keywords) is into_dx
    assert rung.weight_gradient(x, dy, (4, 4), out=into_dw, accumulate=True, **keywords) is into_dw
    assert np.array_equal(y, into_y)
    assert np.array_equal(dx, into_dx)
    kernel_cases.check_close(into_dw, 9 + dw.astype(np.float64))


@given(case=st.one_of(convolutions(), grouped_convolutions()), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_gradients_are_adjoint(case, seed):
    """<dy, conv(x, w)> = <input_gradient(dy), x> = <weight_gradient(dy), w>: the convolution is linear in both."""
    x, w, dy = arrays(Key(seed), *case, np.float64)
    for mode in ("definition", "numba"):
        with rungs(mode):
            y, dx, dw = all_three(x, w, dy, case[2])
        scale = np.linalg.norm(dy) * np.linalg.norm(y) + 1e-30
        assert abs(np.vdot(dy, y) - np.vdot(dx, x)) / scale <= 1e-13
        assert abs(np.vdot(dy, y) - np.vdot(dw, w)) / scale <= 1e-13


def test_definition_is_the_formula():
    """Seven loops, which nobody can misread."""
    x, w, _ = arrays(Key(7), (2, 5, 6, 2), (2, 3, 2, 3), {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 1)}, np.float64)
    with rungs("definition"):
        y = conv2d.forward(x, w, stride=(2, 1), padding=(1, 2), dilation=(2, 1))
    expected = np.zeros_like(y)
    for n, p, q, m in np.ndindex(y.shape):
        for r, s, c in np.ndindex(w.shape[:3]):
            row, column = p * 2 + r * 2 - 1, q + s - 2
            if 0 <= row < 5 and 0 <= column < 6:
                expected[n, p, q, m] += x[n, row, column, c] * w[r, s, c, m]
    kernel_cases.check_close(y, expected)


@RUNGS
@pytest.mark.parametrize(("groups", "c", "m"), [(2, 4, 6), (17, 17, 17), (3, 3, 6)])
def test_groups_are_convolutions_side_by_side(mode, groups, c, m):
    """Each group alone gives its channels, and a kernel of zeros between the groups gives all of them."""
    keywords = {"stride": (1, 2), "padding": 1}
    x, w, dy = arrays(Key(17), (2, 6, 5, c), (3, 2, c // groups, m), {**keywords, "groups": groups}, np.float64)
    with rungs(mode):
        y, dx, dw = all_three(x, w, dy, {**keywords, "groups": groups})
        whole = np.zeros((3, 2, c, m))
        for g in range(groups):
            i, o = slice(g * c // groups, (g + 1) * c // groups), slice(g * m // groups, (g + 1) * m // groups)
            whole[:, :, i, o] = w[..., o]
            alone = all_three(x[..., i], w[..., o], dy[..., o], keywords)
            for got, expected in zip((y[..., o], dx[..., i], dw[..., o]), alone, strict=True):
                kernel_cases.check_close(got, expected)
        kernel_cases.check_close(y, conv2d.forward(x, whole, **keywords))
        kernel_cases.check_close(dx, conv2d.input_gradient(dy, whole, x.shape, **keywords))


@RUNGS
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "keywords"),
    [
        ((2, 9, 8, 5), (3, 3, 5, 7), {"stride": 1, "padding": 1}),
        ((2, 9, 8, 5), (4, 4, 5, 34), {"stride": 2, "padding": 1}),
        ((1, 7, 11, 3), (3, 2, 3, 4), {"stride": (3, 2), "padding": (0, 2), "dilation": (2, 3)}),
        ((2, 9, 8, 6), (3, 3, 2, 9), {"stride": 2, "padding": 1, "groups": 3}),
        ((2, 9, 8, 20), (5, 3, 1, 20), {"stride": (1, 2), "padding": (2, 1), "groups": 20}),
    ],
)
def test_against_torch(mode, x_shape, w_shape, keywords):
    torch = pytest.importorskip("torch", reason="outside evidence: PyTorch is an extra for development")
    x, w, dy = arrays(Key(8), x_shape, w_shape, keywords)
    theirs_x = torch.tensor(x.transpose(0, 3, 1, 2).astype(np.float64), requires_grad=True)
    theirs_w = torch.tensor(w.transpose(3, 2, 0, 1).astype(np.float64), requires_grad=True)
    theirs_y = torch.nn.functional.conv2d(theirs_x, theirs_w, **keywords)
    theirs_y.backward(torch.tensor(dy.transpose(0, 3, 1, 2).astype(np.float64)))
    with rungs(mode):
        y, dx, dw = all_three(x, w, dy, keywords)
    kernel_cases.check_close(y, theirs_y.detach().numpy().transpose(0, 2, 3, 1))
    kernel_cases.check_close(dx, theirs_x.grad.numpy().transpose(0, 2, 3, 1))
    kernel_cases.check_close(dw, theirs_w.grad.numpy().transpose(2, 3, 1, 0))


@RUNGS
@pytest.mark.parametrize(("groups", "c", "m"), [(1, 3, 5), (2, 4, 6), (18, 18, 18)])
def test_out_and_accumulate(mode, groups, c, m):
    keywords = {"stride": 2, "padding": 1, "groups": groups}
    x, w, dy = arrays(Key(9), (2, 6, 6, c), (4, 4, c // groups, m), keywords)
    with rungs(mode):
        y, dx, dw = all_three(x, w, dy, keywords)
        into_y, into_dx, into_dw = np.full_like(y, 9), np.full_like(dx, 9), np.full_like(dw, 9)
        assert conv2d.forward(x, w, out=into_y, **keywords) is into_y
        assert conv2d.input_gradient(dy, w, x.shape, out=into_dx, **keywords) is into_dx
        assert conv2d.weight_gradient(x, dy, (4, 4), out=into_dw, **keywords) is into_dw
        assert np.array_equal(y, into_y)
        assert np.array_equal(dx, into_dx)
        assert np.array_equal(dw, into_dw)
        conv2d.weight_gradient(x, dy, (4, 4), out=into_dw, accumulate=True, **keywords)
    kernel_cases.check_close(into_dw, 2 * dw.astype(np.float64))


@RUNGS
def test_non_contiguous_inputs(mode):
    keywords = {"stride": 1, "padding": 0}
    x, w, dy = arrays(Key(10), (2, 6, 5, 3), (2, 2, 3, 4), keywords)
    far_x, far_w, far_dy = (np.asfortranarray(a) for a in (x, w, dy))
    with rungs(mode):
        for got, expected in zip(all_three(far_x, far_w, far_dy, keywords), all_three(x, w, dy, keywords), strict=True):
            kernel_cases.check_close(got, expected)


@RUNGS
def test_inputs_are_not_changed(mode):
    x, w, dy = arrays(Key(11), (2, 6, 5, 3), (3, 3, 3, 4), {"padding": 1})
    before = x.copy(), w.copy(), dy.copy()
    with rungs(mode):
        all_three(x, w, dy, {"padding": 1})
    assert all(np.array_equal(a, b) for a, b in zip((x, w, dy), before, strict=True))


@RUNGS
def test_the_gradient_of_an_image_without_rows(mode):
    """Padding gives it an output."""
    keywords = {"padding": (2, 1)}
    _, w, dy = arrays(Key(20), (1, 0, 5, 3), (3, 3, 3, 4), keywords)
    with rungs(mode):
        assert conv2d.input_gradient(dy, w, (1, 0, 5, 3), **keywords).shape == (1, 0, 5, 3)


@RUNGS
def test_empty_batch(mode):
    x, w, dy = arrays(Key(12), (0, 6, 5, 3), (3, 3, 3, 4), {"padding": 1})
    with rungs(mode):
        y, dx, dw = all_three(x, w, dy, {"padding": 1})
    assert (y.shape, dx.shape) == (dy.shape, x.shape)
    assert not dw.any()


@pytest.mark.parametrize("groups", [1, 2, 40])
def test_weight_gradient_is_deterministic(groups):
    keywords = {"padding": 1, "groups": groups}
    x, _, dy = arrays(Key(13), (5, 9, 9, 40), (3, 3, 40 // groups, 40), keywords)
    with rungs("numba"):
        for n in (1, 2):
            if n > kernels.pool.thread_limit():
                continue
            with kernels.threads(n):
                first = conv2d.weight_gradient(x, dy, (3, 3), **keywords).copy()
                assert np.array_equal(first, conv2d.weight_gradient(x, dy, (3, 3), **keywords))


@pytest.mark.parametrize("pixels", [(1,), (57,), (300, 7, 0), (900, 900, 890, 890)])
@pytest.mark.parametrize(("columns", "threads"), [(1, 1), (32, 2), (100, 2), (100, 16)])
def test_every_tile_of_a_product_belongs_to_one_task(pixels, columns, threads):
    tiles = importlib.import_module("minigen.kernels.conv2d.tiles")
    depths, width = tuple(3 * i + 2 for i in range(len(pixels))), 32
    panels = -(-columns // width)
    made = np.zeros((sum(pixels), panels), int)
    phase = np.repeat(np.arange(len(pixels)), pixels)
    for first, end, offset, depth, begin, apart, left, right in tiles.tasks(pixels, depths, columns, width, threads).astype(
        int
    ):
        made[first:end, left:right] += 1
        (own,) = set(phase[first:end])  # a task stays within one product
        before = sum(depths[:own])
        assert (offset, depth, begin, apart) == (before, depths[own], before * panels * width, depths[own] * width)
    assert (made == 1).all()


def test_images_are_folded_one_by_one():
    """Towards one channel, and so many numbers that threads share the images out."""
    keywords = {"stride": 2, "padding": 1}
    _, w, dy = arrays(Key(19), (7, 28, 28, 1), (4, 4, 1, 32), keywords)
    with rungs("numba"):
        dx = conv2d.input_gradient(dy, w, (7, 28, 28, 1), **keywords)
        for n in range(7):
            assert np.array_equal(dx[n : n + 1], conv2d.input_gradient(dy[n : n + 1], w, (1, 28, 28, 1), **keywords))


@RUNGS
def test_nan_comes_through(mode):
    x, w, dy = arrays(Key(14), (1, 5, 5, 2), (3, 3, 2, 4), {"padding": 1})
    x[0, 2, 2, 1] = np.nan
    with rungs(mode):
        y, _, dw = all_three(x, w, dy, {"padding": 1})
    assert np.isnan(y[0, 1:4, 1:4]).all()
    assert np.isfinite(y[0, 0]).all()
    assert np.isnan(dw[:, :, 1]).all()
    assert np.isfinite(dw[:, :, 0]).all()


def test_complex_step():
    x, w, dy = arrays(Key(15), (1, 5, 5, 2), (3, 3, 2, 4), {"padding": 1}, np.float64)
    y = conv2d.forward(x + 1e-30j * x, w, padding=1)
    np.testing.assert_allclose(y.imag / 1e-30, conv2d.forward(x, w, padding=1), rtol=1e-12)
    assert conv2d.weight_gradient(x + 0j, dy, (3, 3), padding=1).dtype == np.complex128


def test_output_shape():
    assert conv2d.output_shape((28, 28), (4, 4), stride=2, padding=1) == (14, 14)
    assert conv2d.output_shape((5, 7), (1, 3), stride=(1, 2), padding=(0, 1), dilation=(1, 2)) == (5, 3)
    with pytest.raises(ValueError, match=r"kernel \(3, 3\) with dilation \(2, 2\) covers \(5, 5\).*padded input has \(4, 9\)"):
        conv2d.output_shape((4, 9), (3, 3), dilation=2)
    with pytest.raises(ValueError, match="stride must be one or two integers of at least 1, got 0"):
        conv2d.output_shape((4, 9), (3, 3), stride=0)


def test_errors_say_what_to_do():
    x, w, dy = arrays(Key(16), (2, 6, 5, 3), (3, 3, 3, 4), {"padding": 1})
    with pytest.raises(ValueError, match=r"x \(2, 3, 6, 5\) has 5 channels, w .* takes 3: images are \(N, H, W, C\)"):
        conv2d.forward(x.transpose(0, 3, 1, 2), w)
    with pytest.raises(ValueError, match="groups=2 does not divide 3 channels in and 4 out"):
        conv2d.forward(x, w, groups=2)
    with pytest.raises(ValueError, match="groups=2 does not divide 3 channels in and 4 out"):
        conv2d.input_gradient(dy, w, x.shape, padding=1, groups=2)
    with pytest.raises(ValueError, match="groups=0 does not divide 3 channels in and 4 out"):
        conv2d.weight_gradient(x, dy, (3, 3), padding=1, groups=0)
    with pytest.raises(ValueError, match=r"has 4 channels, w \(3, 3, 3, 4\) takes 2 groups of 3"):
        conv2d.forward(np.concatenate((x, x[..., :1]), 3), w, groups=2)
    with pytest.raises(ValueError, match="takes 2 groups of 3 channels"):
        conv2d.input_gradient(dy, w, (2, 6, 5, 4), padding=1, groups=2)
    with pytest.raises(ValueError, match="w must have 4 axes"):
        conv2d.forward(x, w[0])
    with pytest.raises(TypeError, match="mixed precisions"):
        conv2d.forward(x, w.astype(np.float64))
    with pytest.raises(ValueError, match=r"give an output of \(2, 4, 3, 4\), but dy is \(2, 6, 5, 4\)"):
        conv2d.input_gradient(dy, w, x.shape)
    with pytest.raises(ValueError, match=r"give an output of \(2, 4, 3, 4\), but dy is \(2, 6, 5, 4\)"):
        conv2d.weight_gradient(x, dy, (3, 3))
    with pytest.raises(ValueError, match=r"x_shape must be \(N, H, W, C\)"):
        conv2d.input_gradient(dy, w, (6, 5, 3))
    with pytest.raises(ValueError, match="out must be"):
        conv2d.forward(x, w, out=np.empty((2, 6, 5, 4), np.float32))
    with pytest.raises(ValueError, match="accumulate=True adds into out"):
        conv2d.weight_gradient(x, dy, (3, 3), padding=1, accumulate=True)

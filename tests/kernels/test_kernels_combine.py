"""Sums of products, arrays side by side, copies: against NumPy's expressions, by the complex step, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.kernels import combine
from minigen.kernels.combine.walk import rows_apart, walk_of
from minigen.random import Key

X, Z, E = (Key(1).at(name).normal((3, 4, 2, 5), np.float64) for name in "xze")
ROW, SHIFT = E[:, :1, :1, :1], Z[:, :1, :1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_sums_of_products(dtype):
    x, z, e, row, shift = (a.astype(dtype) for a in (X, Z, E, ROW, SHIFT))
    for got, exact in (
        (combine.add(x), x),
        (combine.add(x, z), x + z),
        (combine.add(x, shift), x + shift),
        (combine.add((row, x), (0.5, z)), row * x + 0.5 * z),
        (combine.add((-1, e, x), z, (2.0, np.float64(3.0), e)), z - e * x + 6 * e),
        (combine.add((x[..., :2], row)), row * x[..., :2]),
        (combine.add((np.float32(2), x), (x, z)), 2 * x + x * z),
    ):
        assert got.dtype == dtype
        assert got.shape == exact.shape
        np.testing.assert_allclose(
            got, exact, rtol=2e-6 if dtype == np.float32 else 1e-14, atol=1e-6 if dtype == np.float32 else 1e-15
        )


def test_a_sum_is_a_new_array():
    alone = combine.add(X)
    assert not np.shares_memory(alone, X)
    assert not np.shares_memory(combine.add(X, Z), X)


def test_into_a_view_and_into_a_term():
    wide = np.zeros((3, 4, 2, 12))
    into = wide[..., 3:8]
    assert combine.add(X, (ROW, Z), out=into) is into
    np.testing.assert_array_equal(wide[..., 3:8], X + ROW * Z)
    assert not wide[..., [0, 1, 2, 8, 9, 10, 11]].any()
    x = X.copy()
    assert combine.add(Z, (2.0, x), x, E, Z, out=x) is x
    np.testing.assert_allclose(x, 3 * X + 2 * Z + E)
    y = np.empty_like(x)
    np.testing.assert_allclose(combine.add(Z, E, E, out=y), Z + 2 * E)  # the last term twice
    with pytest.raises(TypeError, match="needs floating-point arrays"):
        combine.add(np.ones(3, int), np.ones(3, int), out=np.ones(3, int))
    combine.add(x, x, out=x)
    np.testing.assert_allclose(x, 2 * (3 * X + 2 * Z + E))


def test_by_the_complex_step():
    x_dot, e_dot = Key(2).normal(X.shape, np.float64), Key(3).normal(E.shape, np.float64)
    moved = combine.add((0.5, E + 1e-30j * e_dot, X + 1e-30j * x_dot), Z + 0j).imag / 1e-30
    np.testing.assert_allclose(moved, combine.add((0.5, e_dot, X), (0.5, E, x_dot)), rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 3, -1])
def test_side_by_side(axis):
    parts = X, Z[..., ::-1], X.swapaxes(0, 1).copy().swapaxes(0, 1)
    together = combine.concatenate(parts, axis)
    assert together.flags.c_contiguous
    np.testing.assert_array_equal(together, np.concatenate(parts, axis))
    with pytest.raises(ValueError, match="must match exactly"):
        combine.concatenate((X, Z[:2, :3, :1]), axis)


def test_taken_apart():
    for axis, sizes in ((-1, (2, 0, 3)), (1, (1, 3)), (0, (3,))):
        for got, part in zip(combine.split(X, sizes, axis), np.split(X, np.cumsum(sizes)[:-1], axis), strict=True):
            np.testing.assert_array_equal(got, part)
    with pytest.raises(ValueError, match=r"x \(3, 4, 2, 5\) has 5 along axis -1, and the sizes \(2, 2\) another sum"):
        combine.split(X, (2, 2))


def test_a_copy_only_where_there_are_gaps():
    assert combine.contiguous(X) is X
    for view in (X[..., 1:], X.transpose(3, 1, 0, 2), X[::-1], X.astype(np.float32)[:, ::2]):
        copy = combine.contiguous(view)
        assert copy.flags.c_contiguous
        assert copy.dtype == view.dtype
        np.testing.assert_array_equal(copy, view)


def test_a_nan_is_seen_and_a_zero_does_not_hide_it():
    x = X.copy()
    x[1, 2, 1, 3] = np.nan
    for y in (combine.add(x, Z), combine.add((0.0, x), Z), combine.add((0.0 * E, x))):
        assert np.argwhere(np.isnan(y)).tolist() == [[1, 2, 1, 3]]


def test_a_copy_takes_the_type_of_where_it_goes():
    wide = np.zeros((3, 4, 2, 12), np.float32)
    combine.copy(X, wide[..., 3:8])
    np.testing.assert_array_equal(wide[..., 3:8], X.astype(np.float32))
    combine.copy(ROW, wide[..., :2])
    np.testing.assert_array_equal(wide[..., :2], np.broadcast_to(ROW, (3, 4, 2, 2)).astype(np.float32))
    places = np.zeros(4, np.int64)
    combine.copy(np.arange(4), places)
    assert places.tolist() == [0, 1, 2, 3]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shapes \(3, 4, 2, 5\), \(2, 5, 1\) cannot be broadcast together"):
        combine.add(X, X[0, 0, :, :, None])
    with pytest.raises(ValueError, match=r"out must be \(3, 4, 2, 5\) float64, got \(4, 2, 5\) float64"):
        combine.add(X, Z, out=np.zeros((4, 2, 5)))
    with pytest.raises(ValueError, match=r"out must be .* float64, got .* float32"):
        combine.add(X, Z, out=np.zeros(X.shape, np.float32))
    with pytest.raises(ValueError, match="one or two arrays, and one has 3"):
        combine.add((X, Z, E), X)
    with pytest.raises(ValueError, match="one or two arrays, and one has 0"):
        combine.add((2.0, 3), X)
    with pytest.raises(TypeError, match="mixed precisions"):
        combine.add(X, Z.astype(np.float32))
    with pytest.raises(TypeError, match="needs floating-point arrays"):
        combine.add(X, (X > 0, Z))


# ---- walks


def read(walk, memory, start, v):
    """What a kernel reads of view v."""
    places = np.indices(walk.sizes).reshape(len(walk.sizes), -1)
    return memory[start + np.array(walk.steps[v]) @ places]


@given(
    st.permutations(range(4)),
    st.lists(st.sampled_from((slice(None), slice(1, None), slice(None, None, -1))), min_size=4, max_size=4),
)
def test_a_walk_reads_what_the_view_holds(order, parts):
    memory = np.arange(X.size)
    view = memory.reshape(X.shape)[tuple(parts)].transpose(order)
    start = (view.__array_interface__["data"][0] - memory.__array_interface__["data"][0]) // memory.itemsize
    alone, beside = walk_of(view.shape, view), walk_of(view.shape, np.empty(view.shape), view)
    assert len(alone.sizes) <= len(beside.sizes) <= view.ndim
    np.testing.assert_array_equal(read(alone, memory, start, 0), view.ravel())
    np.testing.assert_array_equal(read(beside, memory, start, 1), view.ravel())


def test_axes_become_few():
    assert walk_of(X.shape, X, Z) == ((120,), ((1,), (1,)))
    assert walk_of(X.shape, X, SHIFT).sizes == (3, 8, 5)
    assert walk_of(X.shape, X, SHIFT).steps == ((40, 5, 1), (40, 0, 1))
    assert walk_of(X.shape, X, ROW, None).steps == ((40, 1), (40, 0), (0, 0))
    assert walk_of((3, 4, 2, 2), X[..., 1:3]).sizes == (24, 2)
    assert walk_of((1, 1), X[:1, 0, 0, :1]) == ((1,), ((0,),))


def test_how_far_rows_are_apart():
    assert rows_apart(X, 3) == 5
    assert rows_apart(X[..., 1:3], 3) == 5
    assert rows_apart(X[:, 1:3], 1) == 40
    assert rows_apart(X, 0) == 0
    assert rows_apart(X[..., 1:3], 2) is None
    assert rows_apart(X[..., ::2], 3) is None
    assert rows_apart(X.swapaxes(0, 1), 2) is None

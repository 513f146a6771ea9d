"""Rows at places: taken, put and added up, on the CPU and in CUDA C on the array that stands for a GPU's."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.check.device_array import DEVICE, running_cuda, to_host, to_test_device
from minigen.kernels import rows
from minigen.kernels.cuda import on_cpu
from minigen.random import Key

needs_compiler = pytest.mark.skipif(on_cpu.compiler() is None, reason="CUDA kernels run on the CPU through g++: install it")
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(params=["cpu", pytest.param(DEVICE, marks=needs_compiler)])
def there(request):
    if request.param == "cpu":
        yield lambda x: x
    else:
        with running_cuda():
            yield to_test_device


@TYPES
@pytest.mark.parametrize("width", [(), (1,), (3,), (4, 5)])
def test_rows_are_taken(there, dtype, width):
    table, ids = Key(1).normal((7, *width), dtype), Key(2).integers(7, (4, 5))
    taken = rows.take(there(table), there(ids))
    assert taken.dtype == dtype
    np.testing.assert_array_equal(to_host(taken), table[ids])
    np.testing.assert_array_equal(to_host(rows.take(there(table), there(ids.astype(np.uint8)))), table[ids])
    np.testing.assert_array_equal(to_host(rows.take(there(table)[::2], there(ids[:0]))), table[ids[:0]])


@needs_compiler
@TYPES
def test_on_a_device_a_row_that_is_none_is_nan(dtype):
    with running_cuda():
        taken = rows.take(to_test_device(np.ones((3, 2), dtype)), to_test_device(np.array([2, 3, -1, 0])))
    assert np.isnan(to_host(taken)).tolist() == [[False] * 2, [True] * 2, [True] * 2, [False] * 2]
    with pytest.raises(IndexError):
        rows.take(np.ones((3, 2), dtype), np.array([3]))


@TYPES
def test_rows_are_put(there, dtype):
    table, ids, values = Key(1).normal((9, 2, 3), dtype), Key(2).permutation(9)[:4], Key(3).normal((4, 2, 3), dtype)
    expected = table.copy()
    expected[ids] = values
    moved = there(table.copy())
    rows.put(moved, there(ids), there(values))
    np.testing.assert_array_equal(to_host(moved), expected)


@TYPES
def test_rows_are_added_up_where_integers_say(there, dtype):
    """By `take`, whose transpose it is; a place that occurs twice counts twice."""
    ids, dy = Key(1).integers(7, 20), Key(2).normal((20, 3), dtype)  # 20 places, and no more than 7 rows of 3
    expected = np.zeros((7, 3), dtype)
    for n, place in enumerate(ids):
        expected[place] += dy[n]
    made = rows.add_up(there(ids), there(dy), 7)
    np.testing.assert_allclose(to_host(made), expected, rtol=1e-5, atol=1e-6)
    again = rows.add_up(there(ids), there(dy), 7, out=made, accumulate=True)
    assert again is made
    np.testing.assert_allclose(to_host(again), 2 * expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_host(rows.add_up(there(ids), there(dy), 7, out=made)), expected, rtol=1e-5, atol=1e-6)
    assert to_host(made).dtype == dtype
    table, tolerance = Key(3).normal((7, 3), np.float64), 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose((expected * table).sum(), (dy * rows.take(table, ids)).sum(), rtol=tolerance)


def test_what_does_not_fit_is_refused():
    table, ids, dy = np.ones((7, 3), np.float32), np.arange(4), np.ones((4, 3), np.float32)
    for call in (lambda i: rows.take(table, i), lambda i: rows.put(table, i, dy), lambda i: rows.add_up(i, dy, 7)):
        with pytest.raises(TypeError, match="ids must be integers, got float64"):
            call(ids.astype(float))
    with pytest.raises(ValueError, match=r"rows \(4, 3\) must be \(n, \*W\), one for each of ids \(3,\), of table \(7, 3\)"):
        rows.put(table, ids[:3], dy)
    with pytest.raises(TypeError, match="dtypes differ"):
        rows.put(table, ids, dy.astype(float))
    with pytest.raises(ValueError, match="must be C-contiguous"):
        rows.put(table[:, ::2], ids, dy[:, ::2])
    with pytest.raises(ValueError, match=r"dy \(4, 3\) must be \(n, W\), with a row for each of ids \(3,\)"):
        rows.add_up(ids[:3], dy, 7)
    with pytest.raises(ValueError, match="adds into out: pass out="):
        rows.add_up(ids, dy, 7, accumulate=True)
    with pytest.raises(ValueError, match=r"out must be \(7, 3\) float32"):
        rows.add_up(ids, dy, 7, out=table[:6])

"""Rows added where integers say: on a GPU by a product, in a fixed order, and on the CPU one by one."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.check.device_array import DEVICE, running_cuda, to_host, to_test_device
from minigen.kernels.cuda import on_cpu
from minigen.layers.embedding import add_rows
from minigen.random import Key

needs_compiler = pytest.mark.skipif(on_cpu.compiler() is None, reason="CUDA kernels run on the CPU through g++: install it")


@pytest.fixture(params=["cpu", pytest.param(DEVICE, marks=needs_compiler)])
def there(request):
    if request.param == "cpu":
        yield lambda x: x
    else:
        with running_cuda():
            yield to_test_device


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_added_where_integers_say(there, dtype):
    ids, dy = Key(1).integers(7, (4, 5)), Key(2).normal((4, 5, 3), dtype)  # 20 places, and no more than 7 rows of 3
    expected = np.zeros((7, 3), dtype)
    for place in np.ndindex(ids.shape):
        expected[ids[place]] += dy[place]
    made = add_rows(there(ids), there(dy), (7, 3))
    np.testing.assert_allclose(to_host(made), expected, rtol=1e-5)
    again = add_rows(there(ids), there(dy), (7, 3), out=made, accumulate=True)
    np.testing.assert_allclose(to_host(again), 2 * expected, rtol=1e-5)
    np.testing.assert_allclose(to_host(add_rows(there(ids), there(dy), (7, 3), out=made)), expected, rtol=1e-5)
    assert to_host(made).dtype == dtype

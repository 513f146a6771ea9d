"""The tally counts what the definition has to do, whichever rung runs, and is silent when it is closed."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.kernels import adam, conv2d, masked_conv2d, matmul, rungs
from minigen.kernels.tally import Operation, floor, tally


def ones(*shape):
    return np.ones(shape, np.float32)


def test_a_product_and_its_memory():
    with tally() as seen:
        matmul.matmul(ones(5, 3), ones(5, 7), transpose_a=True)
        matmul.matmul(ones(3, 5), ones(5, 7), out=(c := ones(3, 7)))
        matmul.matmul(ones(3, 5), ones(5, 7), out=c, accumulate=True)
    matmul.matmul(ones(3, 5), ones(5, 7))
    flops, factors, result = 2 * 3 * 5 * 7, 4 * (15 + 35), 4 * 21
    assert [operation[2:] for operation in seen] == [
        (flops, factors, result),
        (flops, factors, result),
        (flops, factors + result, result),
    ]
    assert {operation.name for operation in seen} == {"matmul.matmul"}


def test_the_rung_is_named_and_does_not_change_the_count():
    counts = {}
    for mode in ("definition", "numba"):
        with rungs(mode), tally() as seen:
            conv2d.forward(ones(2, 6, 6, 3), ones(3, 3, 3, 4), padding=1)
        counts[mode] = seen
    assert counts["definition"][0]._replace(rung="") == counts["numba"][0]._replace(rung="")
    assert counts["definition"][0].rung == "definition" != counts["numba"][0].rung


@pytest.mark.parametrize("options", [{}, {"padding": 1}, {"stride": 2, "padding": 1}, {"padding": 3, "dilation": 2}])
def test_a_convolution_is_counted_by_what_meets(options):
    """On ones the sum of y is the number of multiplications, but for those by the frame; and all passes have the same."""
    x, w = ones(2, 7, 8, 3), ones(3, 4, 3, 5)
    with tally() as seen:
        y = conv2d.forward(x, w, **options)
        conv2d.input_gradient(np.ones_like(y), w, x.shape, **options)
        conv2d.weight_gradient(x, np.ones_like(y), (3, 4), **options)
    assert [operation.flops for operation in seen] == 3 * [2 * int(y.sum())]


def test_groups_and_masks_multiply_less():
    with tally() as seen:
        y = conv2d.forward(ones(2, 5, 5, 6), ones(3, 3, 2, 9), padding=1, groups=3)
        z = masked_conv2d.forward(ones(2, 5, 5, 6), ones(2, 6, 4), ((-1, 1), (0, 0)))
    assert [operation.flops for operation in seen] == [2 * int(y.sum()), 2 * int(z.sum())]


def test_an_update_in_place_reads_and_writes():
    theta, grad, m, v = (i * ones(10) for i in range(4))
    with tally() as seen:
        adam.step(theta, grad, m, v, rate=1.0, beta1=0.5, beta2=0.25, eps=1.0, weight_decay=0.0, t=1)
    (operation,) = seen
    assert operation[2:] == (0, 4 * 40, 3 * 40)


def test_the_floor_is_the_longer_of_the_two():
    seen = [Operation("a", "", 100, 10, 10), Operation("b", "", 100, 0, 400)]
    assert floor(seen, flops=50.0, bandwidth=100.0) == 2 + 4


def test_it_closes_after_an_error():
    with pytest.raises(ValueError, match="inner sizes"), tally() as seen:
        matmul.matmul(ones(2, 3), ones(2, 3))
    matmul.matmul(ones(2, 2), ones(2, 2))
    assert seen == []


def test_a_rung_that_is_asked_for_by_name_is_seen_and_is_one():
    with tally() as seen:
        assert matmul.LADDER.load("definition") is matmul.LADDER.load("definition")
        matmul.LADDER.load("definition").matmul(ones(2, 3), ones(3, 4))
    assert [operation.rung for operation in seen] == ["definition"]

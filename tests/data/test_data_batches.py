"""The data set and the order of its batches: every row once per epoch, and a resumed cursor that loses nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.data import Batches, DataError, Dataset, check_images
from minigen.random import Key


def numbered(n: int) -> Dataset:
    """A data set whose row i holds the number i in every pixel."""
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 2, 3, 1))
    return Dataset("numbered", images, labels=np.arange(n))


SIZES = st.integers(1, 37), st.integers(1, 41), st.integers(0, 2**32)


@given(*SIZES)
@settings(deadline=None, max_examples=40)
def test_every_row_once_per_epoch_in_a_new_order(n, size, seed):
    batches = Batches(numbered(n), size, Key(seed))
    orders = []
    for epoch in range(3):
        assert batches.epoch == epoch
        seen = list(batches.rest_of_epoch())
        assert len(seen) == batches.per_epoch
        assert [len(b.indices) for b in seen[:-1]] == [size] * (len(seen) - 1)
        orders.append(np.concatenate([b.indices for b in seen]))
        assert sorted(orders[-1]) == list(range(n))
        for batch in seen:
            np.testing.assert_array_equal(batch.labels, batch.indices)
            np.testing.assert_array_equal(batch.images[:, 1, 2, 0], batch.indices.astype(np.float32) / 255)
    if n > 20:
        assert not np.array_equal(orders[0], orders[1])


@given(*SIZES, st.integers(0, 30), st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_restored_cursor_continues_exactly(n, size, seed, steps, drop_last):
    size = min(size, n)
    straight = Batches(numbered(n), size, Key(seed), drop_last=drop_last)
    for _ in range(steps):
        next(straight)
    state = straight.cursor_state()
    assert all(type(value) is int for value in state.values())
    resumed = Batches(numbered(n), size, Key(seed), drop_last=drop_last)
    next(resumed)
    resumed.restore(state)
    for _ in range(2 * straight.per_epoch + 1):
        one, other = next(straight), next(resumed)
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_array_equal(one.images, other.images)
    assert straight.cursor_state() == resumed.cursor_state()


def test_the_order_is_a_function_of_key_and_epoch_alone():
    batches, other = Batches(numbered(23), 5, Key(7)), Batches(numbered(23), 4, Key(7))
    later = batches.order(3).copy()
    batches.order(0)
    np.testing.assert_array_equal(later, other.order(3))
    np.testing.assert_array_equal(batches.indices(3, 5), later[5:10])
    assert not np.array_equal(later, Batches(numbered(23), 5, Key(8)).order(3))


def test_drop_last_gives_whole_batches_only():
    batches = Batches(numbered(11), 4, Key(0), drop_last=True)
    assert [len(b.indices) for b in batches.rest_of_epoch()] == [4, 4]
    assert batches.cursor_state()["epoch"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 10}, "rows was 10 when this cursor was saved and is 11 now"),
        ({"batch_size": 3}, "batch_size was 3"),
        ({"drop_last": 1}, "drop_last was 1"),
        ({"position": 11}, "position 11 is no place where a batch begins"),
        ({"position": 3}, "position 3 is no place"),
        ({"epoch": -1}, "epoch -1"),
    ],
)
def test_a_cursor_that_does_not_fit_is_refused(change, message):
    batches = Batches(numbered(11), 4, Key(0))
    with pytest.raises(DataError, match=message):
        batches.restore({**batches.cursor_state(), **change})
    assert batches.cursor_state()["position"] == 0


def test_batches_of_nothing_are_refused():
    with pytest.raises(DataError, match="no rows in split 'train'"):
        Batches(numbered(0), 4, Key(0))
    with pytest.raises(ValueError, match="batch_size is 0"):
        Batches(numbered(3), 0, Key(0))
    with pytest.raises(ValueError, match="drop_last leaves nothing"):
        Batches(numbered(3), 4, Key(0), drop_last=True)


# ---- the data set


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_is_float_and_uint8_is_divided_by_255(dtype):
    data = Dataset("bytes", np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1))
    batch = data.batch([2, 1, 1], dtype)
    assert batch.dtype == dtype
    np.testing.assert_array_equal(batch.reshape(-1), np.array([1, 51, 51], dtype) / np.array([1, 255, 255], dtype))
    assert data.shape == (1, 1, 1)
    assert len(data) == 3


def test_float_rows_and_points_pass_unchanged():
    points = np.linspace(-2, 2, 10, dtype=np.float32).reshape(5, 2)
    data = Dataset("points", points)
    batch = data.batch([4, 0])
    np.testing.assert_array_equal(batch, points[[4, 0]])
    batch[...] = 7  # a batch is a copy
    assert points.max() == 2


def test_columns_must_have_one_value_per_row():
    with pytest.raises(DataError, match="3 images, but 2 values of labels"):
        Dataset("x", np.zeros((3, 1, 1, 1)), labels=np.zeros(2))
    with pytest.raises(DataError, match="3 images, but 4 values of slant"):
        Dataset("x", np.zeros((3, 1, 1, 1)), factors={"slant": np.zeros(4)})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"row 17 holds nan at \(1, 0, 1\), which is not finite"),
        (-np.inf, "row 17 holds -inf"),
        (1.5, r"holds 1.5 .* outside \[0, 1\]"),
        (-1e-3, "holds -0.001 "),
    ],
)
def test_check_images_names_the_first_bad_row(value, message):
    images = np.full((30, 2, 3, 2), 0.5, np.float32)
    check_images(images)
    images[17, 1, 0, 1] = value
    images[20] = np.nan
    with pytest.raises(DataError, match=message):
        check_images(images, name="mine")


def test_check_images_looks_at_every_block_and_at_the_type():
    images = np.zeros((9, 1 << 20, 1), np.float32)
    images[8, 5] = 2
    with pytest.raises(DataError, match=r"row 8 holds 2 at \(5, 0\)"):
        check_images(images)
    check_images(images, high=2)
    check_images(np.zeros((2, 1, 1, 1), np.uint8))
    check_images(np.zeros((0, 4, 4, 1), np.float32))
    with pytest.raises(DataError, match="dtype int64: use uint8"):
        check_images(np.zeros((2, 1, 1, 1), np.int64))

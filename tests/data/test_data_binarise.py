"""Binarised images: the protocols differ in what is drawn anew, and a resumed run sees the rows that it would have seen."""

import hashlib

import numpy as np
import pytest

from minigen.data import Batches, DataError, Dataset, Redrawn, load
from minigen.data.binarise import BLOCK, binarised, sampled, threshold
from minigen.kernels import rungs
from minigen.random import Key


def grey(rows=9, split="train"):
    images = Key(3).at(split).integers(256, (rows, 4, 5, 1)).astype(np.uint8)
    return Dataset("grey", images, np.arange(rows) % 3, None, split, ("a", "b", "c"))


@pytest.mark.parametrize("how", ["threshold", "static", "sampled", "resampled"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_each_protocol_draws_anew(how, split):
    data = binarised(grey(split=split), how, seed=5)
    assert data.name == f"grey-{how}"
    assert (data.shape, data.images.dtype, data.split, data.classes) == ((4, 5, 1), np.uint8, split, ("a", "b", "c"))
    np.testing.assert_array_equal(data.labels, grey().labels)
    assert set(np.unique(data.batch(np.arange(9)))) == {0.0, 1.0}
    anew = (how, split) in {("sampled", "train"), ("resampled", "train"), ("resampled", "test")}
    first, second = data.in_epoch(0).images, data.in_epoch(1).images
    assert np.array_equal(first, second) != anew
    assert np.array_equal(first, binarised(grey(split=split), how, seed=6).images) != anew  # the published draw has no seed
    np.testing.assert_array_equal(second, data.in_epoch(1).images)


def test_the_published_test_split_is_one():
    test = grey(split="test")
    np.testing.assert_array_equal(binarised(test, "static").images, binarised(test, "sampled", seed=9).images)
    published = binarised(test, "static").images
    assert (
        hashlib.sha256(published.tobytes()).hexdigest().startswith("4f24ef22dc87c1d7")
    )  # never to change: figures are quoted with it


def test_threshold_is_above_one_half():
    np.testing.assert_array_equal(threshold(np.array([0, 127, 128, 255], np.uint8)), [0, 0, 255, 255])


def test_the_probability_is_the_intensity():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4000, 1))
    share = sampled(ramp, Key(0), 0).mean(0) / 255
    assert share[0] == 0
    assert share[255] == 1
    p = np.arange(256) / 255
    assert (np.abs(share - p) <= 4.5 * np.sqrt(p * (1 - p) / 4000)).all()


def test_rows_are_drawn_in_blocks_that_do_not_depend_on_how_many_there_are():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (BLOCK + 3, 1))
    whole = sampled(ramp, Key(1), 2)
    np.testing.assert_array_equal(whole[: BLOCK + 1], sampled(ramp[: BLOCK + 1], Key(1), 2))
    assert not np.array_equal(whole[0], whole[BLOCK])


def test_every_rung_draws_the_same():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (BLOCK, 1))
    with rungs("definition"):
        wanted = sampled(ramp, Key(1), 0)
    with rungs("numba"):
        np.testing.assert_array_equal(sampled(ramp, Key(1), 0), wanted)


def test_batches_of_redrawn_rows_resume_exactly():
    data = binarised(grey(), "sampled", seed=1)
    straight, resumed = Batches(data, 4, Key(2)), Batches(data, 4, Key(2))
    for _ in range(4):  # into the second epoch
        next(straight)
    resumed.restore(straight.cursor_state())
    for _ in range(7):
        one, other = next(straight), next(resumed)
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, one.indices % 3)
    batches = Batches(data, 9, Key(2))
    epochs = [batch.images[np.argsort(batch.indices)] for batch in (next(batches), next(batches))]
    np.testing.assert_array_equal(epochs[0], data.batch(np.arange(9)))
    np.testing.assert_array_equal(epochs[1], data.in_epoch(1).batch(np.arange(9)))
    assert not np.array_equal(*epochs)


def test_an_epoch_is_drawn_once():
    asked = []

    def draw(epoch):
        asked.append(epoch)
        return np.full((5, 2), epoch, np.float32)

    batches = Batches(Redrawn("counted", draw(0), draw=draw), 2, Key(0))
    assert [next(batches).images[0, 0] for _ in range(9)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert asked == [0, 1, 2]
    assert batches.rows(0).images.max() == 0


def test_what_cannot_be_binarised_is_refused():
    with pytest.raises(DataError, match=r"binarise='fixed' is unknown: there are threshold, static.*binarized_mnist"):
        binarised(grey(), "fixed")
    with pytest.raises(DataError, match="rows of float32 cannot be binarised"):
        binarised(Dataset("x", np.zeros((2, 3, 3, 1), np.float32)), "static")


def test_glyphs_are_binarised_by_the_same_protocols():
    glyphs = load("glyphs", rows=20, binarise="threshold")
    assert glyphs.name == "glyphs-threshold"
    np.testing.assert_array_equal(glyphs.images, threshold(load("glyphs", rows=20).images))
    assert isinstance(load("glyphs", rows=20, binarise="sampled"), Redrawn)
    with pytest.raises(DataError, match="binarise='grey' is unknown"):
        load("glyphs", rows=20, binarise="grey")

"""The generator's bits: the published vectors of Random123, and every rung bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.kernels import philox, rungs
from minigen.kernels.philox.definition import philox as cipher
from minigen.random import Key

ONES = 0xFFFFFFFF
VECTORS = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_published_vectors(counter, key, expected):
    words = cipher(tuple(np.uint64(word) for word in counter), key)
    assert " ".join(f"{int(word):08x}" for word in words) == expected


@pytest.mark.parametrize("mode", ["definition", "numba"])
def test_a_draw_is_the_cipher_at_the_counters(mode):
    key = Key(0).at("some", 3).words
    with rungs(mode):
        drawn = philox.words(key, 11)
    blocks = [cipher(tuple(np.uint64(v) for v in (block, 0, key[2], key[3])), key[:2]) for block in range(3)]
    assert drawn.dtype == np.uint32
    assert drawn.tolist() == [int(word) for block in blocks for word in block][:11]


@pytest.mark.parametrize("mode", ["definition", "numba"])
def test_first_block_of_the_zero_key(mode):
    with rungs(mode):
        assert " ".join(f"{word:08x}" for word in philox.words((0, 0, 0, 0), 4)) == VECTORS[0][2]


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 1000, 16_383, 16_384, 16_385, 100_003])
def test_all_rungs_give_the_same_bits(n):
    for key in (Key(n), Key((1 << 64) - 1).at("a")):
        with rungs("definition"):
            expected = philox.words(key.words, n)
        for mode in ("numba", "auto"):
            with rungs(mode):
                assert np.array_equal(philox.words(key.words, n), expected)


def test_negative_count():
    with pytest.raises(ValueError, match="-1 words cannot be drawn"):
        philox.words((0, 0, 0, 0), -1)

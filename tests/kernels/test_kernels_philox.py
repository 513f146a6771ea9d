"""The generator's bits: the published vectors of Random123, and every rung bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from minigen import kernels
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


@pytest.mark.parametrize("n", [0, 1, 5, 1023, 1024, 1025, 20_001])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_uniform_numbers_are_the_same_bits(n, dtype):
    key = Key(n).at("u").words
    with rungs("definition"):
        expected = philox.uniform(key, n, np.dtype(dtype))
        word = philox.words(key, n)
    with rungs("numba"):
        assert np.array_equal(philox.uniform(key, n, np.dtype(dtype)), expected)
    assert expected.dtype == dtype
    exact = (word >> 8) * 2.0**-24 if dtype == np.float32 else (word + 0.5) * 2.0**-32
    assert np.array_equal(expected, exact.astype(dtype))


@pytest.mark.parametrize("n", [0, 1, 5, 1023, 1024, 1025, 20_001])
@pytest.mark.parametrize("dtype", [np.bool_, np.float16, np.float32, np.float64, np.complex128])
def test_events_are_the_same_bits(n, dtype):
    """Where the word's upper 24 bits are below p 2^24: at p = u not, at the next number above u yes."""
    key = Key(n).at("events").words
    with rungs("definition"):
        u = philox.uniform(key, n, np.dtype(np.float32))
    mixed = np.where(np.arange(n) % 2, u, np.nextafter(u, np.float32(2)))  # odd places just do not happen
    for p in (0.3, 0.0, 1.0, mixed, mixed.astype(np.float64), np.full(n, np.nan, np.float32), mixed.repeat(2)[::2]):
        expected = (u < p).astype(dtype)
        for mode in ("definition", "numba", "auto"):
            with rungs(mode):
                happens = philox.bernoulli(key, p, n, np.dtype(dtype))
            assert happens.dtype == dtype
            assert np.array_equal(happens, expected)
    assert np.array_equal(expected.real, np.arange(n) % 2 == 0)


@pytest.mark.parametrize("n", [0, 1, 5, 1025, 20_001])
def test_integers_are_the_same_bits(n):
    key = Key(n).at("integers").words
    word = philox.words(key, n).astype(object)
    for high, start in ((1, 0), (7, 0), (3, -1), (1000, 1), (1 << 32, 0), ((1 << 32) - 1, -5)):
        for mode in ("definition", "numba", "auto"):
            with rungs(mode):
                drawn = philox.integers(key, high, n, start=start)
            assert drawn.dtype == np.int64
            assert np.array_equal(drawn, word * high // 2**32 + start)


def box_muller(key, n, bits):
    """In float64, from the upper `bits` of the words."""
    with rungs("definition"):
        words = (philox.words(key, n + n % 2) >> (32 - bits)).astype(np.float64) / 2**bits
    u, v = words[0::2] + 2.0**-bits, words[1::2]
    radius = np.sqrt(-2 * np.log(u))
    return np.stack((radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)), 1).reshape(-1)[:n]


@pytest.mark.parametrize(("mode", "bound"), [("definition", 3e-6), ("numba", 1e-6)])
@pytest.mark.parametrize("n", [0, 1, 2, 1023, 1024, 1025, 200_000])
def test_normal_numbers(mode, bound, n):
    key = Key(n).at("z").words
    with rungs(mode):
        single, double = (philox.normal(key, n, np.dtype(dtype)) for dtype in (np.float32, np.float64))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert (np.abs(single - box_muller(key, n, 24)) <= bound).all()
    assert (np.abs(double - box_muller(key, n, 32)) <= 1e-14).all()


def test_normal_numbers_to_the_last_place():
    """4 units: a few roundings each, in no case more where a factor is nearly 0."""
    exact = box_muller(Key(3).words, 500_000, 24)
    with rungs("numba"):
        z = philox.normal(Key(3).words, 500_000, np.dtype(np.float32))
    assert (np.abs(z - exact) <= 4 * np.spacing(np.abs(exact).astype(np.float32))).all()


def test_normal_numbers_of_extreme_words():
    """u = 1 has the radius 0, the smallest u the largest; v at every eighth of a turn."""
    from minigen.kernels.philox.one_pass import CHUNK, normal_float32

    for first, largest in ((0xFFFFFFFF, 0.0), (0, 5.77)):
        w, z = np.zeros((4, CHUNK), np.uint32), np.full((4, CHUNK), np.nan, np.float32)
        w[0::2], w[1::2] = first, np.arange(CHUNK, dtype=np.uint32) << 24
        normal_float32(z, w)
        radius = np.sqrt(-2 * np.log(((first >> 8) + 1) * 2.0**-24))
        turn = np.arange(CHUNK) / CHUNK
        assert np.abs(z[0] - radius * np.cos(2 * np.pi * turn)).max() <= 1e-6
        assert np.abs(z[1] - radius * np.sin(2 * np.pi * turn)).max() <= 1e-6
        assert np.abs(z).max() == pytest.approx(largest, abs=0.01)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_do_not_depend_on_length_or_threads(dtype):
    with rungs("numba"):
        z = philox.normal(Key(4).words, 10_000, np.dtype(dtype)).copy()
        for n in (1, 77, 1024, 4099):
            with kernels.threads(1):
                assert np.array_equal(philox.normal(Key(4).words, n, np.dtype(dtype)), z[:n])


def test_an_order_is_that_of_the_numbers():
    """The upper half decides, then the lower one, then the place."""
    words = np.array([[1, 5], [0, 7], [1, 2], [ONES, 0], [0, 7], [1, 5], [0, ONES]], np.uint32)
    for mode in ("definition", "numba", "auto"):
        with rungs(mode):
            order = philox.order(words)
        assert order.dtype == np.int64
        assert order.tolist() == [1, 4, 6, 2, 0, 5, 3]
    assert philox.order(words[::2]).tolist() == [2, 3, 1, 0]  # (1, 5), (1, 2), (0, 7), (0, ONES): a view with gaps
    assert philox.order(words[:0]).shape == (0,)


def test_what_is_no_row_of_halves_has_no_order():
    with pytest.raises(ValueError, match=r"words are \(n, 2\), the halves of n numbers, got shape \(4,\)"):
        philox.order(np.zeros(4, np.uint32))
    with pytest.raises(ValueError, match=r"got shape \(2, 3\)"):
        philox.order(np.zeros((2, 3), np.uint32))
    with pytest.raises(TypeError, match="words are uint32, got int64"):
        philox.order(np.zeros((2, 2), np.int64))


def test_negative_count():
    for draw in (philox.uniform, philox.normal):
        with pytest.raises(ValueError, match="-1 words cannot be drawn"):
            draw((0, 0, 0, 0), -1, np.dtype(np.float32))
    with pytest.raises(ValueError, match="-1 words cannot be drawn"):
        philox.words((0, 0, 0, 0), -1)
    with pytest.raises(ValueError, match="-1 words cannot be drawn"):
        philox.bernoulli((0, 0, 0, 0), 0.5, -1, np.dtype(bool))
    with pytest.raises(ValueError, match="-1 words cannot be drawn"):
        philox.integers((0, 0, 0, 0), 7, -1)


def test_as_many_chances_as_events():
    for p in (np.zeros(2, np.float32), np.zeros((3, 1), np.float32), np.float32(0.5)):
        with pytest.raises(ValueError, match=r"philox\.bernoulli: p .* must be a number or \(3,\), a chance for each"):
            philox.bernoulli((0, 0, 0, 0), p, 3, np.dtype(bool))

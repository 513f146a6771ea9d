"""Keys: pure, independent, equal on every path, and with the moments they promise."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

from minigen.kernels import rungs
from minigen.random import Key, philox

N = 200_000


def z_score(sample_mean, mean, variance):
    """How many standard deviations the mean of N numbers lies from its expectation."""
    return abs(sample_mean - mean) / np.sqrt(variance / N)


def test_published_vector():
    words = philox(
        tuple(np.uint64(word) for word in (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)), (0xA4093822, 0x299F31D0)
    )
    assert [f"{int(word):08x}" for word in words] == ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]


def test_drawing_changes_nothing():
    key = Key(5)
    first = key.normal((3, 4))
    key.uniform(100)
    key.at("child").bits(5)
    assert np.array_equal(key.normal((3, 4)), first)
    assert key == Key(5)
    with pytest.raises(AttributeError, match="immutable"):
        key.words = (0, 0, 0, 0)


def test_a_shorter_draw_is_the_beginning_of_a_longer_one():
    long = Key(6).bits(20_000)
    for n in (0, 1, 5, 16_383, 16_384):
        assert np.array_equal(Key(6).bits(n), long[:n])
    assert np.array_equal(Key(6).bits((4, 5)).ravel(), long[:20])


def test_paths():
    key = Key(7)
    assert key.at("a", 1) == key.at("a").at(1)
    assert key.at() == key
    assert key.split(3) == (key.at(0), key.at(1), key.at(2))
    assert len(key.split()) == 2


def test_children_differ_from_each_other_and_from_their_parent():
    root = Key(0)
    keys = [Key(seed) for seed in range(4)] + list(root.split(40))
    keys += [root.at(name) for name in ("0", "1", "a", "b", "", "ab")] + [
        root.at("a", "b"),
        root.at("b", "a"),
        root.at(0, 0),
        root.at(-1),
    ]
    assert len(set(keys)) == len(keys)
    draws = [tuple(key.bits(4)) for key in keys]
    assert len(set(draws)) == len(draws)


def test_names_and_numbers_are_different_worlds():
    assert Key(0).at("1") != Key(0).at(1)
    assert Key(0).at(np.int64(3)) == Key(0).at(3)


def test_a_draw_is_never_a_child():
    """The cipher's uses are kept apart: the words of a child are not found among the numbers its parent draws."""
    key = Key(9)
    blocks = {tuple(int(word) for word in block) for block in key.bits((64, 4))}
    assert not blocks & {tuple(child.words) for child in key.split(64)}


@pytest.mark.parametrize("pair", list(itertools.combinations(["root", "a", "b", 0, 1], 2)))
def test_streams_are_uncorrelated(pair):
    streams = [Key(1) if name == "root" else Key(1).at(name) for name in pair]
    u, v = (key.normal(N, np.float64) for key in streams)
    assert z_score((u * v).mean(), 0, 1) < 4.5


def test_consecutive_seeds_are_uncorrelated():
    u, v = Key(1).normal(N, np.float64), Key(2).normal(N, np.float64)
    assert z_score((u * v).mean(), 0, 1) < 4.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_moments(dtype):
    u = Key(2).uniform(N, dtype)
    assert u.dtype == dtype
    assert u.min() >= 0
    assert u.max() < 1
    u = u.astype(np.float64)
    assert z_score(u.mean(), 1 / 2, 1 / 12) < 4.5
    assert z_score((u**2).mean(), 1 / 3, 4 / 45) < 4.5
    counts, _ = np.histogram(u, 50, (0, 1))
    assert ((counts - N / 50) ** 2 / (N / 50)).sum() < 49 + 5 * np.sqrt(98)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_moments(dtype):
    z = Key(3).normal(N, dtype)
    assert z.dtype == dtype
    assert np.isfinite(z).all()
    z = z.astype(np.float64)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert z_score((z**power).mean(), mean, variance) < 4.5
    assert z_score((z[0::2] * z[1::2]).mean() / np.sqrt(2), 0, 1) < 4.5  # Box and Muller's pairs


def test_bernoulli_moments():
    hits = Key(4).bernoulli(0.3, N)
    assert hits.dtype == bool
    assert z_score(hits.mean(), 0.3, 0.21) < 4.5
    p = np.array([0.0, 1.0, 0.5], np.float32)
    drawn = np.stack([Key(4).at(i).bernoulli(p) for i in range(200)])
    assert not drawn[:, 0].any()
    assert drawn[:, 1].all()
    assert 60 < drawn[:, 2].sum() < 140


def test_events_are_those_of_the_uniform_numbers():
    u, p = Key(4).uniform((3, 70)), Key(5).uniform(70)
    assert np.array_equal(Key(4).bernoulli(0.3, (3, 70)), u < np.float32(0.3))
    assert np.array_equal(Key(4).bernoulli(np.float64(0.3), (3, 70)), u < np.float32(0.3))
    assert np.array_equal(Key(4).bernoulli(p, (3, 70)), u < p)  # broadcast
    assert np.array_equal(Key(4).bernoulli(np.broadcast_to(p, u.shape)), u < p)
    for dtype in (np.float32, np.float64, np.complex64):
        drawn = Key(4).bernoulli(p, (3, 70), dtype)
        assert drawn.dtype == dtype
        assert np.array_equal(drawn, u < p)


def test_integers():
    drawn = Key(5).integers(7, N)
    assert drawn.dtype == np.int64
    counts = np.bincount(drawn, minlength=7)
    assert counts.size == 7
    assert ((counts - N / 7) ** 2 / (N / 7)).sum() < 6 + 5 * np.sqrt(12)
    assert Key(5).integers(1, 10).tolist() == [0] * 10
    assert np.array_equal(Key(5).integers(7, 10, start=-3), drawn[:10] - 3)
    assert Key(5).integers(1 << 32, 100).max() >= 1 << 31
    for high in (0, -1, (1 << 32) + 1):
        with pytest.raises(ValueError, match="outside 1"):
            Key(5).integers(high, 1)


def test_permutation():
    order = Key(6).permutation(1000)
    assert np.array_equal(np.sort(order), np.arange(1000))
    assert not np.array_equal(order, Key(7).permutation(1000))
    assert order[:5].tolist() == [707, 395, 370, 480, 238]  # the same in every version: runs are resumed
    assert Key(6).permutation(0).shape == (0,)
    first = [int(Key(6).at(i).permutation(3)[0]) for i in range(600)]
    assert min(np.bincount(first)) > 140


def test_precisions_agree():
    """The same words make both: they differ by rounding alone."""
    key = Key(8)
    assert np.abs(key.uniform(1000, np.float32) - key.uniform(1000, np.float64)).max() <= 2.0**-24
    assert np.abs(key.normal(1000, np.float32) - key.normal(1000, np.float64)).max() < 1e-3


def test_like_gives_the_real_type():
    assert Key(9).normal(3, like=np.zeros(1, np.complex128)).dtype == np.float64
    assert Key(9).uniform(3, like=np.zeros(1, np.float32)).dtype == np.float32
    assert Key(9).normal(3).dtype == np.float32


def test_an_odd_count_of_normal_numbers():
    assert np.array_equal(Key(10).normal(5), Key(10).normal(6)[:5])
    assert Key(10).normal(0).shape == (0,)
    assert Key(10).normal(()).shape == ()


def test_every_rung_draws_the_same():
    draws = []
    for mode in ("definition", "numba", "auto"):
        with rungs(mode):
            draws.append((Key(11).bits(20_001), Key(11).uniform(20_001), Key(11).normal(20_001)))
    for bits, uniform, normal in draws[1:]:
        assert np.array_equal(draws[0][0], bits)
        assert np.array_equal(draws[0][1], uniform)
        assert np.abs(draws[0][2] - normal).max() <= 4e-6  # the same words, but ln and cos of their own


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_draws_of_normal_numbers(dtype):
    """Beyond the size where another rung begins, too: pure, equal in both precisions, and begun as a short draw begins."""
    z = Key(13).normal((200, 101), dtype)
    assert np.array_equal(z, Key(13).normal((200, 101), dtype))
    assert np.abs(z - Key(13).normal((200, 101), np.float64)).max() < 1e-3
    assert np.abs(z.ravel()[:100] - Key(13).normal(100, dtype)).max() <= (4e-6 if dtype == np.float32 else 1e-14)


def test_copies():
    key = Key(12).at("x", 3)
    assert pickle.loads(pickle.dumps(key)) == key
    assert copy.deepcopy(key) == key
    assert Key.from_words(key.words) == key
    assert Key.from_words(tuple(np.array(key.words))) == key
    assert repr(key) == f"Key({' '.join(f'{word:08x}' for word in key.words)})"


def test_seeds():
    assert Key((1 << 64) - 1) != Key(0)
    for seed in (-1, 1 << 64):
        with pytest.raises(ValueError, match="outside 0"):
            Key(seed)

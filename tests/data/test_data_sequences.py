"""Sequences: integers stay integers; mu-law and its inverse; strings with the right pitch; a grammar with the right entropy."""

import itertools
import math
import wave

import numpy as np
import pytest

from minigen.data import Batches, DataError, load
from minigen.data.grammar import EXPRESSIONS, Grammar
from minigen.data.mu_law import LEVELS, MU, compress, decode, encode, expand
from minigen.data.plucked import HERTZ, NOTES, pluck
from minigen.data.sequences import Sequences, as_rows, as_text
from minigen.random import Key

KEY = Key(0)

# ---- rows of integers


def rows_of(**given):
    rows = Key(1).integers(5, (7, 6)).astype(np.uint8)
    return Sequences("some", rows, np.arange(7) % 2, {"n": np.arange(7)}, classes=("a", "b"), symbols=5, **given)


def test_batches_hold_the_integers_themselves():
    data = rows_of(traits={"characters": "abcde"})
    batch = next(Batches(data, 3, KEY, dtype=np.float64))
    assert batch.images.dtype == np.int64
    np.testing.assert_array_equal(batch.images, data.images[batch.indices])
    np.testing.assert_array_equal(batch.labels, batch.indices % 2)


def test_a_part_of_it_is_of_its_kind():
    part = rows_of(traits={"hertz": 9}).at(np.array([4, 1]))
    assert isinstance(part, Sequences)
    assert (len(part), part.symbols, part.traits, part.shape) == (2, 5, {"hertz": 9}, (6,))
    assert part.factors["n"].tolist() == [4, 1]
    assert rows_of().of_class("b").tolist() == [False, True, False, True, False, True, False]


@pytest.mark.parametrize("rows", [np.zeros((3, 2)), np.zeros(3, int), np.full((2, 2), 4), np.full((2, 2), -1)])
def test_what_is_no_row_of_symbols_is_refused(rows):
    with pytest.raises(DataError, match=r"sequences are rows|symbols are 0 \.\. 3"):
        Sequences("some", rows, symbols=4)


# ---- mu-law


def test_compressing_is_what_the_paper_says_and_expanding_undoes_it():
    x = np.linspace(-1, 1, 2001)
    y = np.array([math.copysign(math.log(1 + 255 * abs(v)) / math.log(256), v) for v in x])
    np.testing.assert_allclose(compress(x), y, rtol=0, atol=1e-15)
    np.testing.assert_allclose(expand(compress(x)), x, rtol=0, atol=1e-15)


def test_every_level_is_reached_and_comes_back():
    levels = np.arange(LEVELS)
    sound = decode(levels)
    assert sound.dtype == np.float32
    assert (np.diff(sound) > 0).all()
    np.testing.assert_array_equal(encode(sound), levels)
    assert (sound[0], sound[-1]) == (-1, 1)
    np.testing.assert_allclose(sound, -sound[::-1], atol=1e-7)


def test_the_level_is_the_nearest_and_the_error_what_is_stated():
    x = 2 * Key(2).uniform(20_000, np.float64) - 1
    level = encode(x).astype(int)
    grid = 2 * np.arange(LEVELS) / MU - 1
    assert (np.abs(compress(x) - grid[level]) <= 1 / MU + 1e-12).all()
    error = np.abs(decode(level) - x)
    assert (error <= 1.02 * (1 + MU * np.abs(x)) * math.log(256) / MU**2).all()
    assert error[np.abs(x) < 0.01].max() < 1 / MU / 8  # where it is quiet, much better than even levels
    assert encode(np.array([-7.0, 7.0, 0.0])).tolist() == [0, 255, 128]


# ---- plucked strings


def test_the_loop_is_that_of_karplus_and_strong():
    burst, decay = KEY.at("burst").normal((2, 6), np.float64), np.array([0.9, 1.0])
    x = pluck(burst, 5, decay, 40)
    for n in range(2):
        naive = list(burst[n])
        for t in range(6, 40):
            naive.append(decay[n] * (naive[t - 5] + naive[t - 6]) / 2)
        np.testing.assert_allclose(x[n], naive, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(pluck(burst, 5, decay, 4), burst[:, :4])


def test_strings_sound_at_their_pitch_and_fade():
    data = load("plucked", "test", rows=40, length=4000)
    sound = decode(data.images).astype(np.float64)
    assert data.traits == {"hertz": 8000}
    assert data.classes == tuple(NOTES)
    np.testing.assert_array_equal(data.labels, data.factors["note"])
    for row, period, half_life in zip(sound, data.factors["period"], data.factors["half_life"], strict=True):
        spectrum = np.abs(np.fft.rfft(row * np.hanning(len(row)), 1 << 15))
        pitch = HERTZ / (period + 0.5)
        comb = [sum(spectrum[round(k * f * (1 << 15) / HERTZ)] for k in range(1, 5)) for f in pitch * np.linspace(0.9, 1.1, 41)]
        assert abs(np.argmax(comb) - 20) <= 1  # within 1 %: notes are 11 % apart at least
        first, last = np.sqrt((row[:400] ** 2).mean()), np.sqrt((row[-400:] ** 2).mean())
        assert last < first * 0.5 ** (0.4 / half_life) * 1.6


def test_string_i_does_not_depend_on_how_many_there_are():
    few, many = load("plucked", rows=3, length=100), load("plucked", rows=9, length=300)
    np.testing.assert_array_equal(few.images, many.images[:3, :100])
    assert not np.array_equal(load("plucked", "test", rows=3, length=100).images, few.images)
    assert not np.array_equal(load("plucked", rows=3, length=100, seed=1).images, few.images)


# ---- the grammar


def test_probabilities_of_all_texts_of_one_length_sum_to_one():
    symbols = range(len(EXPRESSIONS.characters))
    rows = np.array(list(itertools.product(symbols, repeat=3)))
    log_p = EXPRESSIONS.log_probability(rows)
    assert abs(np.exp(log_p).sum() - 1) < 1e-12
    assert np.isneginf(log_p).any()


def test_samples_have_the_probabilities_they_are_given():
    grammar = Grammar("A.", {"A": {"a": 0.5, "bA": 0.25, "(AcA)": 0.25}})
    rows = grammar.sample(20_000, 3, KEY.at("rows"))
    texts, counts = np.unique([as_text(row, grammar.characters) for row in rows], return_counts=True)
    assert {"a.a", "a.b", "a.(", "bbb", "ba.", "(ac", "(bb"} <= set(texts)
    for text, count in zip(texts, counts, strict=True):
        p = math.exp(grammar.log_probability(as_rows(text, grammar.characters, 3))[0])
        assert abs(count / 20_000 - p) < 4.5 * math.sqrt(p * (1 - p) / 20_000), text


def test_the_entropy_is_that_of_a_long_text():
    """-log p of 300 rows of 1,000 characters, against the closed form; a row's beginning and end weigh 1 in 1,000."""
    rows = EXPRESSIONS.sample(300, 1000, KEY.at("long"))
    nats = -EXPRESSIONS.log_probability(rows) / 1000
    assert abs(nats.mean() - EXPRESSIONS.entropy) < 4 * nats.std() / math.sqrt(300) + 1e-3
    simple = Grammar("A.", {"A": {"a": 0.5, "bA": 0.5}})  # 2 of A in a line of 3 characters, log 2 each
    assert simple.entropy == pytest.approx(2 * math.log(2) / 3, abs=1e-14)


def test_a_text_that_cannot_be_written_has_no_probability():
    for text, possible in (("(x+y)\nx\n", True), ("(x+y]\nx\n", False), ("x)\nx\nx\nx", False), ("sin[x]\nx", False)):
        assert np.isfinite(EXPRESSIONS.log_probability(as_rows(text, EXPRESSIONS.characters, 8))[0]) == possible


@pytest.mark.parametrize(
    ("ways", "says"),
    [({"aA": 0.5, "a": 0.5}, "begin with different"), ({"Aa": 1.0}, "begin with different"), ({"a": 0.7}, "sum to 0.7")],
)
def test_a_grammar_that_is_not_simple_is_refused(ways, says):
    with pytest.raises(ValueError, match=says):
        Grammar("A", {"A": ways})


def test_the_data_set_is_drawn_from_it():
    data = load("grammar", "test", rows=5, length=64)
    assert data.traits == {"characters": EXPRESSIONS.characters}
    assert np.isfinite(EXPRESSIONS.log_probability(data.images)).all()
    np.testing.assert_array_equal(load("grammar", "test", rows=2, length=64).images, data.images[:2])


# ---- files


def test_any_text_is_split_into_rows(tmp_path):
    text = "".join(chr(97 + i % 26) for i in range(1003)) + "äß\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    train, test = (load(f"text:{tmp_path / 'a.txt'}", split, length=10) for split in ("train", "test"))
    characters = train.traits["characters"]
    assert characters == "".join(sorted(set(text))) == test.traits["characters"]
    assert (train.shape, len(train), len(test), train.symbols) == ((10,), 90, 10, 29)
    assert "".join(as_text(row, characters) for row in train.images) == text[:900]
    assert as_text(test.images[0], characters) == text[905:915]


def test_a_text_that_is_missing_or_short_or_none_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path))
    (tmp_path / "short.txt").write_text("abc")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    for path, says in (("nowhere.txt", "there is no file nowhere.txt nor "), ("bytes", "no text in UTF-8")):
        with pytest.raises(DataError, match=says):
            load(f"text:{path}")
    with pytest.raises(DataError, match="shorter than one row of 128"):
        load("text:short.txt")
    with pytest.raises(DataError, match="length is 1"):
        load("text:short.txt", length=1)
    with pytest.raises(DataError, match="say which file"):
        load("text")


def recordings():
    """name -> samples of four short sounds: digits 0 and 7, takes 3 and 11."""
    return {
        (digit, speaker, take): (1000 * KEY.at(digit, take).normal(20 + take, np.float64)).astype(np.int16)
        for digit, speaker, take in ((0, "ann", 3), (0, "ann", 11), (7, "bob", 3), (7, "bob", 11))
    }


def write_packed(folder, rate=8000):
    sounds = recordings()
    digits, speakers, takes = (np.array(column) for column in zip(*sounds, strict=True))
    of = {"digit": digits, "speaker": np.unique(speakers, return_inverse=True)[1], "index": takes, "rate": rate}
    offsets = np.cumsum([0, *map(len, sounds.values())])
    np.savez(folder / "fsdd" / "fsdd_8k.npz", audio=np.concatenate(list(sounds.values())), offsets=offsets, **of)


def write_wavs(folder, channels=1):
    (folder / "fsdd" / "recordings").mkdir()
    for (digit, speaker, take), sound in recordings().items():
        with wave.open(str(folder / "fsdd" / "recordings" / f"{digit}_{speaker}_{take}.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(sound[: len(sound) // 2 * 2].tobytes() if channels == 2 else sound.tobytes())


@pytest.mark.parametrize("write", [write_packed, write_wavs])
def test_spoken_digits_in_both_forms(write, tmp_path):
    (tmp_path / "fsdd").mkdir()
    write(tmp_path)
    train, test = (load("fsdd", split, folder=tmp_path, length=25) for split in ("train", "test"))
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 7], [0, 7])
    assert train.factors["speaker"].tolist() == [0, 1]
    assert test.factors["samples"].tolist() == [23, 23]
    sound = recordings()[7, "bob", 3] / 32768
    np.testing.assert_array_equal(test.images[1], np.concatenate((encode(sound), [128, 128])))
    assert len(load("fsdd", "test", folder=tmp_path, length=25, only="7")) == 1


def test_spoken_digits_that_are_missing_or_wrong_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"there is neither .*fsdd_8k.npz nor .*recordings(.|\n)*git clone https"):
        load("fsdd", folder=tmp_path)
    (tmp_path / "fsdd").mkdir()
    write_wavs(tmp_path, channels=2)
    with pytest.raises(DataError, match="has 2 channels of 16 bits at 8000 Hz"):
        load("fsdd", folder=tmp_path)
    write_packed(tmp_path, rate=16000)
    with pytest.raises(DataError, match=r"fsdd_8k\.npz is damaged"):
        load("fsdd", folder=tmp_path)
    (tmp_path / "fsdd" / "fsdd_8k.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="is no file of recordings"):
        load("fsdd", folder=tmp_path)

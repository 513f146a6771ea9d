"""IDX files, checksums and downloads: what is wrong is named, with what to do. No network: mirrors are functions here."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from minigen.data import DataError, files, load
from minigen.data.idx import parse_idx, read_content
from minigen.data.idx_set import IdxFile, IdxSet
from minigen.data.mnist import MNIST
from minigen.random import Key


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def tiny(n=7, height=3, width=5):
    """A data set like MNIST, and its files as {name: bytes}."""
    contents, table = {}, {}
    for split, rows in (("train", n), ("test", 2)):
        images = Key(1).at(split).integers(256, (rows, height, width)).astype(np.uint8)
        labels = np.arange(rows, dtype=np.uint8)
        pair = []
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{split}-{kind}-ubyte"
            contents[name] = idx_bytes(array)
            pair.append(IdxFile(name, array.shape, hashlib.sha256(contents[name]).hexdigest()))
        table[split] = tuple(pair)
    return IdxSet("tiny", table, ("https://one.test/", "https://two.test/"), tuple("abcdefg")), contents


TINY, CONTENTS = tiny()
IMAGES = "train-images-idx3-ubyte"


def write(folder, contents=CONTENTS, *, packed=True, rename=lambda name: name):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / (rename(name) + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Every download fails as it does without a network, unless a test says otherwise."""

    def fetch(url, path):
        raise OSError("name resolution failed")

    monkeypatch.setattr(files, "fetch", fetch)
    monkeypatch.delenv("MINIGEN_DATA", raising=False)


# ---- reading


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("inside", ["tiny", "."])
def test_files_are_found_packed_or_not_in_the_folder_or_below(tmp_path, packed, inside):
    write(tmp_path / inside, packed=packed)
    data = TINY.load("train", tmp_path)
    assert (data.name, data.split, data.images.shape, data.images.dtype) == ("tiny", "train", (7, 3, 5, 1), np.uint8)
    assert data.images.tobytes() == CONTENTS[IMAGES][16:]
    np.testing.assert_array_equal(data.labels, np.arange(7))
    assert data.labels.dtype == np.int64
    assert len(TINY.load("test", tmp_path)) == 2


def test_names_with_a_dot_and_files_unpacked_under_their_gz_name(tmp_path):
    write(tmp_path / "tiny", packed=False, rename=lambda name: name.replace("-idx", ".idx"))
    assert len(TINY.load("train", tmp_path)) == 7
    write(tmp_path / "other" / "tiny", packed=False, rename=lambda name: name + ".gz")
    assert len(TINY.load("train", tmp_path / "other")) == 7


def test_minigen_data_is_the_default_folder(tmp_path, monkeypatch):
    write(tmp_path / "tiny")
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path))
    assert len(TINY.load("train", None)) == 7
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "missing"))
    with pytest.raises(DataError, match=r"no folder .*missing \(the environment variable MINIGEN_DATA\): correct the path"):
        TINY.load("train", None)


def damage(tmp_path, change, packed=True):
    """TINY's folder with its first file replaced by `change(its bytes on disk)`."""
    write(tmp_path / "tiny", packed=packed)
    path = tmp_path / "tiny" / (IMAGES + ".gz" * packed)
    path.write_bytes(change(path.read_bytes()))
    return tmp_path


@pytest.mark.parametrize(
    ("change", "packed", "message"),
    [
        (lambda b: b[:-20], True, r"train-images-idx3-ubyte.gz is a gzip file that ends early, after \d+ bytes: delete it and"),
        (lambda b: b[:30] + bytes(9) + b[39:], True, "damaged gzip file|ends early"),
        (lambda b: b"\0\0\x0d\3" + b[4:], False, "is no IDX file of bytes, its magic number is 00 00 0d 03 and not 00 00 08"),
        (lambda b: b"<!doctype html>", False, "magic number is 3c 21 64 6f"),
        (lambda b: b"", False, "missing .an empty file"),
        (lambda b: b[:9], False, "ends within its header, after 9 bytes"),
        (lambda b: b[:-1], False, "announces 7 x 3 x 5 = 105 values and holds 104: delete it"),
        (lambda b: b + b"\0", False, "and holds 106"),
        (lambda b: CONTENTS["test-images-idx3-ubyte"], False, "holds 2 x 3 x 5 values where .*-ubyte has 7 x 3 x 5"),
        (lambda b: b[:-1] + bytes([b[-1] ^ 1]), False, "is not the published train-images-idx3-ubyte"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, change, packed, message):
    with pytest.raises(DataError, match=message):
        TINY.load("train", damage(tmp_path, change, packed))


def test_a_wrong_checksum_shows_both_and_the_remedy(tmp_path):
    changed = CONTENTS[IMAGES][:-1] + b"?"
    with pytest.raises(DataError) as caught:
        TINY.load("train", damage(tmp_path, lambda b: changed, packed=False))
    text = str(caught.value)
    assert hashlib.sha256(changed).hexdigest() in text
    assert TINY.files["train"][0].sha256 in text
    assert "Delete it" in text


@pytest.mark.parametrize("shape", [(1,), (3, 1, 2, 5), (0, 28, 28), (65537,)])
def test_idx_of_awkward_shapes(shape):
    array = Key(0).integers(256, shape).astype(np.uint8)
    np.testing.assert_array_equal(parse_idx(idx_bytes(array), "here"), array)


def test_an_unreadable_file_is_an_error_of_its_own(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_content(tmp_path)


# ---- missing files and downloads


def test_missing_files_are_listed_with_the_folder_they_go_to(tmp_path):
    with pytest.raises(DataError) as caught:
        TINY.load("train", tmp_path)
    text = str(caught.value)
    assert "train-images-idx3-ubyte.gz is missing, and no mirror could be used" in text
    assert f"Put these files into {tmp_path / 'tiny'}:" in text
    assert "https://two.test/train-images-idx3-ubyte.gz: name resolution failed" in text
    assert all(name + ".gz" in text for name in CONTENTS)
    assert list((tmp_path / "tiny").iterdir()) == []
    with pytest.raises(DataError, match="downloading is switched off"):
        TINY.load("train", tmp_path, download=False)
    with pytest.raises(DataError, match=r"no folder .*nowhere \(the folder given\)"):
        TINY.load("train", tmp_path / "nowhere")


def test_the_second_mirror_is_used_where_the_first_has_something_else(tmp_path, monkeypatch, capsys):
    asked = []

    def fetch(url, path):
        asked.append(url)
        content = CONTENTS[url.rpartition("/")[2].removesuffix(".gz")]
        Path(path).write_bytes(b"<html>moved</html>" if "one.test" in url else gzip.compress(content))

    monkeypatch.setattr(files, "fetch", fetch)
    first = TINY.load("train", tmp_path)
    assert [url.split("/")[2] for url in asked] == ["one.test", "two.test"] * 2
    assert "downloading https://one.test/train-images-idx3-ubyte.gz" in capsys.readouterr().err
    again = TINY.load("train", tmp_path)
    assert len(asked) == 4
    np.testing.assert_array_equal(first.images, again.images)
    assert sorted(p.name for p in (tmp_path / "tiny").iterdir()) == [
        f"train-{k}-ubyte.gz" for k in ("images-idx3", "labels-idx1")
    ]


def test_a_broken_download_leaves_nothing_behind(tmp_path, monkeypatch):
    def fetch(url, path):
        Path(path).write_bytes(gzip.compress(CONTENTS[IMAGES])[:-9])
        if "two.test" in url:
            raise ConnectionError("reset")

    monkeypatch.setattr(files, "fetch", fetch)
    with pytest.raises(DataError, match=r"one\.test/\S*gz is a gzip file that ends early|one\.test.*ends early") as caught:
        TINY.load("train", tmp_path)
    assert "two.test/train-images-idx3-ubyte.gz: reset" in str(caught.value)
    assert list((tmp_path / "tiny").iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "tiny").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot write to"):
        TINY.load("train", tmp_path)


def test_mnist_is_described_and_says_what_it_needs(tmp_path):
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz"):
        load("mnist", "test", folder=tmp_path, download=False)
    for split, rows in (("train", 60_000), ("test", 10_000)):
        images, labels = MNIST.files[split]
        assert (images.shape, labels.shape) == ((rows, 28, 28), (rows,))
        assert len(images.sha256) == len(labels.sha256) == 64

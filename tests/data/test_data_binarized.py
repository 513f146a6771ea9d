"""Larochelle's binarised MNIST and Fashion-MNIST: forms of the files, checksums, and what is said where they are missing."""

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from minigen.data import DataError, files, load
from minigen.data.binarized_mnist import BINARIZED_MNIST, BinarySet
from minigen.data.fashion_mnist import FASHION_MNIST
from minigen.data.mnist import MNIST
from minigen.random import Key

ROWS = {"train": 6, "valid": 2, "test": 3}
BITS = {split: Key(4).at(split).integers(2, (rows, 15)).astype(np.uint8) for split, rows in ROWS.items()}
TINY = BinarySet(
    "tiny",
    (3, 5, 1),
    {split: (ROWS[split], hashlib.sha256(bits.tobytes()).hexdigest()) for split, bits in BITS.items()},
    ("https://one.test/",),
)


def text(bits):
    return "".join(" ".join(map(str, row)) + " \n" for row in bits).encode()


def write(folder, form, split="train", bits=None):
    bits = BITS[split] if bits is None else bits
    folder.mkdir(parents=True, exist_ok=True)
    if form == "npz":
        np.savez(folder / f"{split}.npz", packed=np.packbits(bits, axis=1), shape=bits.shape)
    elif form == "amat":
        (folder / f"tiny_{split}.amat").write_bytes(text(bits))
    else:
        (folder / f"tiny_{split}.amat.gz").write_bytes(gzip.compress(text(bits)))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def fetch(url, path):
        raise OSError("name resolution failed")

    monkeypatch.setattr(files, "fetch", fetch)
    monkeypatch.delenv("MINIGEN_DATA", raising=False)


@pytest.mark.parametrize("form", ["npz", "amat", "amat.gz"])
@pytest.mark.parametrize("split", list(ROWS))
def test_every_form_of_the_files_is_read(tmp_path, form, split):
    write(tmp_path / "tiny", form, split)
    data = TINY.load(split, tmp_path)
    assert (data.name, data.split, data.labels, data.images.dtype) == ("tiny", split, None, np.uint8)
    np.testing.assert_array_equal(data.batch(np.arange(len(data))), BITS[split].reshape(-1, 3, 5, 1))


def test_the_published_text_may_lie_in_the_folder_above(tmp_path):
    write(tmp_path, "amat")
    assert len(TINY.load("train", tmp_path)) == 6


@pytest.mark.parametrize("form", ["npz", "amat"])
def test_changed_bits_are_refused(tmp_path, form):
    changed = BITS["train"].copy()
    changed[5, 14] ^= 1
    write(tmp_path / "tiny", form, bits=changed)
    with pytest.raises(DataError, match=rf"is not the published split 'train'(?s:.*){TINY.splits['train'][1]}(?s:.*)Delete it"):
        TINY.load("train", tmp_path)


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("npz", b"PK nothing", "train.npz is no file of packed bits .*Delete it"),
        ("npz", b"", "train.npz is no file of packed bits"),
        ("amat", b"0 1 2 0", "is no text of the numbers 0 and 1. Delete it"),
        ("amat", b"<html>moved</html>", "is no text of the numbers 0 and 1"),
        ("amat", text(BITS["test"]), "holds 45 bits where the split 'train' has 6 x 15"),
        ("amat", b"", "holds 0 bits"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, form, content, message):
    write(tmp_path / "tiny", form)
    next((tmp_path / "tiny").iterdir()).write_bytes(content)
    with pytest.raises(DataError, match=message):
        TINY.load("train", tmp_path)


def test_other_arrays_in_an_npz_are_refused(tmp_path):
    (tmp_path / "tiny").mkdir()
    np.savez(tmp_path / "tiny" / "train.npz", images=BITS["train"])
    with pytest.raises(DataError, match=r"no file of packed bits .*packed"):
        TINY.load("train", tmp_path)
    np.savez(tmp_path / "tiny" / "train.npz", packed=BITS["train"].astype(float), shape=(6, 15))
    with pytest.raises(DataError, match="no file of packed bits"):
        TINY.load("train", tmp_path)


def test_a_missing_file_says_what_to_put_where(tmp_path):
    with pytest.raises(DataError) as caught:
        TINY.load("train", tmp_path)
    said = str(caught.value)
    assert "tiny: tiny_train.amat is missing, and no mirror could be used" in said
    assert "https://one.test/tiny_train.amat: name resolution failed" in said
    assert f"Put these files into {tmp_path / 'tiny'}:" in said
    assert re.search(r"tiny_train.amat +6 lines\n +tiny_valid.amat +2 lines\n +tiny_test.amat +3 lines", said)
    assert "train.npz will do, with packed=np.packbits(bits, axis=1)" in said
    with pytest.raises(DataError, match="downloading is switched off"):
        TINY.load("train", tmp_path, download=False)


def test_a_download_is_checked_before_it_is_kept(tmp_path, monkeypatch):
    served = [text(BITS["test"]), text(BITS["train"])]

    def fetch(url, path):
        Path(path).write_bytes(served.pop(0))

    monkeypatch.setattr(files, "fetch", fetch)
    with pytest.raises(DataError, match=r"https://one.test/tiny_train.amat holds 45 bits"):
        TINY.load("train", tmp_path)
    assert list((tmp_path / "tiny").iterdir()) == []
    assert len(TINY.load("train", tmp_path)) == len(TINY.load("train", tmp_path)) == 6


def test_the_published_sets_are_described(tmp_path):
    assert {split: rows for split, (rows, _) in BINARIZED_MNIST.splits.items()} == {
        "train": 50_000,
        "valid": 10_000,
        "test": 10_000,
    }
    with pytest.raises(DataError, match=r"binarized_mnist_valid\.amat is missing"):
        load("binarized_mnist", "valid", folder=tmp_path, download=False)
    with pytest.raises(DataError, match=r"fashion_mnist: t10k-images-idx3-ubyte\.gz is missing"):
        load("fashion_mnist", "test", folder=tmp_path, download=False)
    assert len(FASHION_MNIST.classes) == 10
    for split, pair in FASHION_MNIST.files.items():
        for file, other in zip(pair, MNIST.files[split], strict=True):
            assert (file.name, file.shape) == (other.name, other.shape)
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.sha256 != other.sha256

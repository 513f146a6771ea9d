"""Any folder of images: labels, splits, and clear words about what cannot be read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigen.data import DataError, load
from minigen.data.image_folder import _place


def picture(path, width=6, height=5, colour=(10, 200, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path, **options)


@pytest.fixture
def cats(tmp_path):
    for label in ("b", "a"):
        for i in range(40):
            picture(tmp_path / "cats" / label / f"{i}.png", colour=(i, 100 if label == "a" else 200, 7))
    return tmp_path / "cats"


def test_subfolders_are_labels_and_the_splits_divide_the_images(cats):
    train, test = load(f"folder:{cats}"), load("folder", "test", folder=cats)
    assert len(train) + len(test) == 80
    assert 2 <= len(test) <= 20
    for data in (train, test):
        assert data.shape == (5, 6, 3)
        assert data.classes == ("a", "b")
        np.testing.assert_array_equal(data.images[:, 0, 0, 1], np.where(data.labels == 0, 100, 200))
    seen = {(int(r), int(g)) for data in (train, test) for r, g in data.images[:, 2, 3, :2]}
    assert len(seen) == 80


def test_a_new_file_moves_no_other_to_the_other_split(cats):
    before = load(f"folder:{cats}", "test").images
    picture(cats / "a" / "new.JPG", colour=(255, 255, 255))
    after = load(f"folder:{cats}", "test").images
    kept = {image.tobytes() for image in after}
    assert all(image.tobytes() in kept for image in before)
    moved = cats.parent / "elsewhere"
    shutil.move(cats, moved)
    np.testing.assert_array_equal(load(f"folder:{moved}", "test").images, after)


def test_without_subfolders_there_are_no_labels(tmp_path):
    for i in range(30):
        picture(tmp_path / f"{i}.png")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "x.png").write_bytes(b"hidden")
    (tmp_path / "notes.txt").write_text("not an image")
    data = load(f"folder:{tmp_path}")
    assert data.labels is None
    assert data.classes == ()
    picture(tmp_path / "c" / "0.png")
    with pytest.raises(DataError, match=r"without a label \(0.png\) beside labelled ones \(c/0.png\)"):
        load(f"folder:{tmp_path}")


def test_grey_and_size(tmp_path):
    for i in range(5):
        picture(tmp_path / f"{i}.png", 20 + i, 11, (100, 100, 100))
    data = load(f"folder:{tmp_path}", size=8, colour=False, test_fraction=0)
    assert data.images.shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(data.images, 100)


def test_what_pictures_may_be(tmp_path):
    """16-bit grey is scaled, transparency becomes white, a camera's rotation is applied, a palette is looked up."""
    wide = (np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "0.png")
    clear = Image.new("RGBA", (4, 3), (255, 0, 0, 0))
    clear.putpixel((1, 2), (255, 0, 0, 255))
    clear.save(tmp_path / "1.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: 3 x 4 is shown as 4 x 3
    picture(tmp_path / "2.jpg", 3, 4, (0, 0, 255), exif=exif)
    Image.new("RGB", (4, 3), (0, 255, 0)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "3.png")
    Image.new("1", (4, 3), 1).save(tmp_path / "4.png")
    images = load(f"folder:{tmp_path}", test_fraction=0).images
    np.testing.assert_array_equal(images[0], np.repeat((wide >> 8)[..., None], 3, 2))
    np.testing.assert_array_equal(images[1, 2, 1], [255, 0, 0])
    np.testing.assert_array_equal(images[1, 0, 0], [255, 255, 255])
    assert images[2, ..., 2].min() > 240
    np.testing.assert_array_equal(images[3, 1, 1], [0, 255, 0])
    np.testing.assert_array_equal(images[4], 255)


def test_mixed_sizes_name_two_files_and_the_remedy(tmp_path):
    picture(tmp_path / "0.png", 6, 5)
    picture(tmp_path / "1.png", 6, 5)
    picture(tmp_path / "2.jpeg", 9, 4)
    with pytest.raises(DataError, match=r"0.png is 6 x 5 \(width x height\), \S*2.jpeg is 9 x 4. Give size=, such as size=4"):
        load(f"folder:{tmp_path}", test_fraction=0)


@pytest.mark.parametrize("content", [b"", b"not a png", None])
def test_an_unreadable_image_is_named(tmp_path, content):
    picture(tmp_path / "good.png", 64, 64)
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "sorry.png").write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataError, match=r"cannot read the image \S*sorry.png .*: mend it or take it out"):
        load(f"folder:{tmp_path}", test_fraction=0)


def test_folders_that_are_empty_or_not_there(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no image in .*: files that end in .png, .jpg, .jpeg are read"):
        load(f"folder:{tmp_path}")
    with pytest.raises(DataError, match=r"there is no folder .*nothing: correct the path"):
        load(f"folder:{tmp_path / 'nothing'}")
    with pytest.raises(DataError, match="say which folder"):
        load("folder")
    picture(tmp_path / "0.png")
    with pytest.raises(DataError, match=r"none of the 1 images .* falls to the split 'test': change test_fraction=0"):
        load(f"folder:{tmp_path}", "test", test_fraction=0)
    with pytest.raises(DataError, match="size is 0"):
        load(f"folder:{tmp_path}", size=0)


def test_a_relative_path_is_looked_for_here_and_in_minigen_data(tmp_path, monkeypatch):
    picture(tmp_path / "data" / "birds" / "0.png")
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "data"))
    assert len(load("folder:birds", test_fraction=0)) == 1
    monkeypatch.delenv("MINIGEN_DATA")
    monkeypatch.chdir(tmp_path / "data")
    assert len(load("folder:birds", test_fraction=0)) == 1
    assert len(load("folder:birds", folder=tmp_path / "data", test_fraction=0)) == 1


def test_the_place_of_a_name_is_the_same_everywhere():
    assert _place(Path("cats/0.png")) == 0.48537887196637935

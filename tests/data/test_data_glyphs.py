"""Glyphs: pure functions of (key, i), never cut off, and every factor does what its name says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.data import DataError, Glyphs, check_images, load
from minigen.data.glyph_shapes import FACES, GRID, shape, signed_distance
from minigen.data.glyphs import CHUNK
from minigen.random import Key

DIGITS = Glyphs(Key(3))


def centre_of_mass(images):
    """(B, H, W, 1) -> x, y (B,) from the middle of the image."""
    along = np.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    ink = images[..., 0].astype(np.float64)
    total = ink.sum((1, 2))
    return (ink * along[None, None, :]).sum((1, 2)) / total, (ink * along[None, :, None]).sum((1, 2)) / total


@given(st.lists(st.integers(0, 5 * CHUNK), min_size=1, max_size=9), st.sampled_from([16, 17, 28, 32]), st.booleans())
@settings(deadline=None, max_examples=20)
def test_image_i_is_a_function_of_the_key_and_i_alone(indices, size, colour):
    glyphs = Glyphs(Key(1), size=size, colour=colour)
    together = glyphs.images(indices)
    assert together.shape == (len(indices), size, size, 3 if colour else 1)
    assert together.dtype == np.float32
    check_images(together)
    for i, image in zip(indices, together, strict=True):
        np.testing.assert_array_equal(glyphs.images([i])[0], image)


def test_keys_and_splits_differ():
    assert not np.array_equal(Glyphs(Key(1)).images(range(5)), Glyphs(Key(2)).images(range(5)))
    train, test = load("glyphs", rows=300), load("glyphs", "test", rows=300)
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


def test_the_data_set_is_the_source_rounded_to_bytes():
    data = load("glyphs", "test", rows=CHUNK + 7)
    glyphs = Glyphs(Key(0).at("test"))
    np.testing.assert_array_equal(data.images, (glyphs.images(range(CHUNK + 7)) * 255 + 0.5).astype(np.uint8))
    assert data.images.dtype == np.uint8
    assert data.classes == tuple("0123456789")
    np.testing.assert_array_equal(data.labels, data.factors["character"])
    np.testing.assert_array_equal(load("glyphs", "test", rows=9).images, data.images[:9])


def test_colour_has_the_geometry_of_grey():
    grey, colour = DIGITS, Glyphs(Key(3), colour=True)
    f, g = grey.factors(range(50)), colour.factors(range(50))
    for name in f:
        np.testing.assert_array_equal(f[name], g[name])
    assert set(g) - set(f) == {"hue", "background_hue"}


@pytest.mark.parametrize("characters", ["0123456789", "WMQjgy@%lI"])
@pytest.mark.parametrize("size", [16, 28, 32])
def test_nothing_is_cut_off_and_everything_is_visible(characters, size):
    images = Glyphs(Key(5), characters, size).images(range(700))
    for border in (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]):
        assert border.max() == 0
    assert images.max((1, 2, 3)).min() > 0.6
    assert images.mean((1, 2, 3)).min() > 0.01


def test_each_factor_takes_its_whole_range():
    factors = Glyphs(Key(0), colour=True).factors(range(3000))
    for name, count in (("character", 10), ("face", len(FACES)), ("weight", 2)):
        share = np.bincount(factors[name], minlength=count) / 3000
        assert len(share) == count
        assert share.min() > 0.5 / count, name
    for name, low, high in (("slant", -0.1, 0.35), ("hue", 0, 1), ("background_hue", 0, 1), ("thickness", 0, 0.616)):
        assert low <= factors[name].min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < factors[name].max() <= high
    assert np.abs(factors["dx"]).max() > 3
    assert np.abs(np.corrcoef(factors["slant"], factors["dx"])[0, 1]) < 0.1


# ---- factors do what they say


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, -1), (0.5, 0.25), (-0.75, 1.5)])
def test_dx_and_dy_move_the_centre_of_mass(dx, dy):
    factors = DIGITS.factors(range(200)) | {"dx": np.zeros(200), "dy": np.zeros(200)}
    x, y = centre_of_mass(DIGITS.render(factors))
    moved_x, moved_y = centre_of_mass(DIGITS.render(factors | {"dx": np.full(200, dx), "dy": np.full(200, dy)}))
    for moved, wanted in ((moved_x - x, dx), (moved_y - y, dy)):
        np.testing.assert_allclose(moved, wanted, atol=1e-4 if dx % 1 == dy % 1 == 0 else 0.25)  # thin lines between pixels
        np.testing.assert_allclose(moved.mean(), wanted, atol=0.01)


def test_size_scales_the_height_of_the_glyph():
    n = 40
    factors = DIGITS.factors(range(n)) | {name: np.zeros(n) for name in ("dx", "dy", "slant", "thickness", "face")}
    factors |= {"face": np.zeros(n, np.int64), "character": np.arange(n) % 10}
    for size in (12.0, 16.0, 20.0):
        rows = DIGITS.render(factors | {"size": np.full(n, size)}).max((2, 3))  # (B, H): how much ink the row has at most
        np.testing.assert_allclose(rows.sum(1), size, atol=1)


def test_slant_leans_to_the_right():
    one = Glyphs(Key(0), "1")
    factors = one.factors(range(8)) | {"face": np.zeros(8, np.int64), "dx": np.zeros(8), "dy": np.zeros(8)}
    for slant in (-0.1, 0.0, 0.3):
        images = one.render(factors | {"slant": np.full(8, slant), "size": np.full(8, 18.0)})
        # the line through the stem: where its right edge lies in a row of the upper and of the lower half
        upper, lower = (images[:, rows, :, 0] @ np.ones(28) for rows in (10, 17))
        assert upper.min() > 0
        assert lower.min() > 0
        middle_up, middle_low = ((images[:, rows, :, 0] * np.arange(28)).sum(1) / t for rows, t in ((10, upper), (17, lower)))
        np.testing.assert_allclose(middle_up - middle_low, 7 * slant, atol=0.1)


def test_thickness_and_weight_add_ink():
    factors = DIGITS.factors(range(300)) | {"thickness": np.zeros(300)}
    ink = [DIGITS.render(factors | {"thickness": np.full(300, t)}).sum((1, 2, 3)) for t in (0, 0.3, 0.6)]
    assert (ink[0] < ink[1]).all()
    assert (ink[1] < ink[2]).all()
    bold = np.array([face.bold is not None for face in FACES])[factors["face"]]
    light, heavy = (DIGITS.render(factors | {"weight": np.full(300, w)}).sum((1, 2, 3)) for w in (0, 1))
    assert (heavy[bold] > 1.1 * light[bold]).all()
    np.testing.assert_array_equal(heavy[~bold], light[~bold])


def test_hues_colour_the_ink_and_the_background():
    glyphs = Glyphs(Key(0), colour=True)
    thirds = np.arange(3) / 3  # red, green, blue
    factors = glyphs.factors(range(3)) | {"hue": thirds, "background_hue": np.roll(thirds, 1)}
    images = glyphs.render(factors)
    np.testing.assert_allclose(images.max((1, 2))[[0, 1, 2], [0, 1, 2]], 1, atol=0.05)
    np.testing.assert_array_equal(images[:, 0, 0].argmax(1), [2, 0, 1])
    np.testing.assert_allclose(images[:, 0, 0].max(1), 0.3, atol=1e-6)


def test_characters_can_be_told_apart():
    """The nearest average image knows most digits: a label that is not what the picture shows would not."""
    train, test = load("glyphs", rows=3000), load("glyphs", "test", rows=500)
    x, y = (d.images.reshape(len(d), -1).astype(np.float64) for d in (train, test))
    means = np.stack([x[train.labels == c].mean(0) for c in range(10)])
    nearest = ((y[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == test.labels).mean() > 0.5


def test_empty_selection():
    assert DIGITS.images([]).shape == (0, 28, 28, 1)


# ---- the distance field


def test_the_field_of_a_square_with_a_hole():
    def square(r, turn):
        corners = np.array([(-r, -r), (r, -r), (r, r), (-r, r)])[::turn]
        return np.stack((corners, np.roll(corners, -1, 0)), 1)

    field = signed_distance(np.concatenate((square(0.7, 1), square(0.3, -1))))
    along = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    x, y = np.abs(along)[None, :], np.abs(along)[:, None]

    def inside(r):  # the exact distance to the edge of one square, positive inside
        outside = np.hypot(np.maximum(x - r, 0), np.maximum(y - r, 0))
        return np.where(np.maximum(x, y) < r, r - np.maximum(x, y), -outside)

    np.testing.assert_allclose(field, np.minimum(inside(0.7), -inside(0.3)), atol=1e-6)


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(DataError, match="has no character '世'"):
        shape("世", 0, False)
    with pytest.raises(DataError, match="draws nothing"):
        Glyphs(Key(0), " ").images([0])
    with pytest.raises(DataError, match="too large"):
        shape("⟶", 0, False)
    with pytest.raises(DataError, match="none of them twice"):
        Glyphs(Key(0), "AA")
    with pytest.raises(DataError, match="at least 16"):
        Glyphs(Key(0), size=8)
    with pytest.raises(IndexError, match="glyph -1"):
        DIGITS.images([-1])

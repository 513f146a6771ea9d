"""The grid of glyphs: independent, uniform, whole within the image, and each factor does what its name says."""

import numpy as np
import pytest

from minigen.data import DataError, GlyphFactors, load
from minigen.random import Key

SOURCE = GlyphFactors()


def test_values_are_uniform_and_independent():
    values, counts = SOURCE.draw(40_000, Key(0)), list(SOURCE.sizes.values())
    for column, count in zip(values.T, counts, strict=True):
        np.testing.assert_allclose(np.bincount(column, minlength=count) / 40_000, 1 / count, atol=0.012)
    assert np.abs(np.corrcoef(values.T) - np.eye(5)).max() < 0.02
    assert np.prod(counts) == 36_864
    assert (SOURCE.draw(40_000, Key(0)) == values).all()


@pytest.mark.parametrize("side", [28, 16, 33])
def test_every_combination_fits(side):
    """The border stays empty at the largest size, the widest slants and the farthest places."""
    source = GlyphFactors(side)
    values = np.array([(c, 5, s, x, y) for c in range(3) for s in (0, 7) for x in (0, 15) for y in (0, 15)])
    images = source.images(values)
    border = np.ones((side, side), bool)
    border[1:-1, 1:-1] = False
    assert images[:, border].max() == 0
    assert images.max((1, 2, 3)).min() > 0.8


def test_factors_do_what_they_are_called():
    base = np.array([[2, 2, 3, 8, 8]])
    image = lambda k, v: SOURCE.images(np.where(np.arange(5) == k, v, base))[0, ..., 0].astype(np.float64)
    y, x = np.mgrid[:28, :28]
    middle = lambda ink: ((ink * x).sum() / ink.sum(), (ink * y).sum() / ink.sum())
    assert middle(image(3, 15))[0] - middle(image(3, 0))[0] == pytest.approx(2 * 0.16 * 28, abs=0.05)
    assert middle(image(4, 15))[1] - middle(image(4, 0))[1] == pytest.approx(2 * 0.16 * 28, abs=0.05)
    assert image(1, 5).sum() > 1.4 * image(1, 0).sum()
    lean = lambda ink: ((ink * (x - middle(ink)[0]) * (middle(ink)[1] - y)).sum()) / ink.sum()
    assert lean(image(2, 7)) > 1 > -1 > lean(image(2, 0))
    assert len({image(0, c).tobytes() for c in range(3)}) == 3


def test_images_are_by_row_and_the_data_set_is_made_of_them():
    values = SOURCE.draw(20, Key(1))
    np.testing.assert_array_equal(SOURCE.images(values)[7:9], SOURCE.images(values[7:9]))
    data = load("glyph_factors", "test", rows=300)
    columns = np.stack(list(data.factors.values()), 1)
    np.testing.assert_allclose(data.batch(np.arange(300)), SOURCE.images(columns), atol=0.5 / 255 + 1e-6)
    assert (data.labels == data.factors["character"]).all()
    assert not (columns == np.stack(list(load("glyph_factors", rows=300).factors.values()), 1)).all()


def test_values_that_there_are_not():
    with pytest.raises(DataError, match=r"\(n, 5\) integers below \[3, 6, 8, 16, 16\], got \(1, 5\)"):
        SOURCE.images(np.array([[3, 0, 0, 0, 0]]))
    with pytest.raises(DataError, match="cannot be read"):
        GlyphFactors(8)

"""Grids and curves as files that can be looked at."""

import numpy as np
import pytest
from PIL import Image

from minigen.random import Key
from minigen.training import NotFiniteRunError
from minigen.training.curves import _limits, draw_curves
from minigen.training.pictures import PAPER, as_grid, draw_grid, save_grid


@pytest.mark.parametrize("C", [1, 3])
def test_every_tile_stands_where_it_belongs(C):
    grid = Key(0).uniform((2, 3, 5, 4, C))
    sheet = draw_grid(grid)
    scale = round(720 / (3 * 4 * 1.08))
    gap = round(0.08 * 4 * scale)
    assert sheet.shape == (gap + 2 * (5 * scale + gap), gap + 3 * (4 * scale + gap), C)
    assert (sheet[:gap] == PAPER).all()
    assert (sheet[:, :gap] == PAPER).all()
    assert (sheet[-gap:] == PAPER).all()
    for i in range(2):
        for j in range(3):
            tile = sheet[gap + i * (5 * scale + gap) :, gap + j * (4 * scale + gap) :][: 5 * scale, : 4 * scale]
            np.testing.assert_array_equal(tile[::scale, ::scale], np.round(grid[i, j] * 255))
            np.testing.assert_array_equal(tile[scale - 1 :: scale, scale - 1 :: scale], tile[::scale, ::scale])


def test_values_outside_are_cut_and_nan_is_an_error():
    sheet = draw_grid(np.array([-3.0, 9.0], np.float32).reshape(1, 2, 1, 1, 1))
    assert sheet.min() == 0
    assert sheet.max() == 255
    with pytest.raises(NotFiniteRunError, match="not finite"):
        draw_grid(np.full((1, 1, 2, 2, 1), np.nan))
    with pytest.raises(ValueError, match=r"not \(2, 2, 1\)"):
        draw_grid(np.zeros((2, 2, 1)))


def test_large_tiles_keep_their_size():
    assert draw_grid(np.zeros((1, 8, 256, 256, 3))).shape == (20 + 20 + 256, 20 + 8 * 276, 3)


def test_a_grid_of_any_number():
    images = Key(1).uniform((7, 2, 2, 1))
    grid = as_grid(images)
    assert grid.shape == (3, 3, 2, 2, 1)
    np.testing.assert_array_equal(grid.reshape(9, 2, 2, 1)[:7], images)
    assert (grid[2, 1:] == 0.5).all()
    assert as_grid(images[:1]).shape == (1, 1, 2, 2, 1)


def test_points_are_drawn_as_a_density():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]).repeat(2000, 0)
    image = as_grid(points)[0, 0, ..., 0]  # the square around them is 2.2 wide
    assert (image < 1).sum() == 3
    rows, columns = (image < 1).nonzero()
    assert rows[0] < rows[1] == rows[2]  # y = 2 is above y = 0
    assert columns[0] == columns[2] > columns[1]
    with pytest.raises(ValueError, match="neither images nor points"):
        as_grid(np.zeros((3, 4)))


def test_files_are_images(tmp_path):
    for C, mode in ((1, "L"), (3, "RGB")):
        save_grid(tmp_path / "grid.png", np.zeros((2, 2, 4, 4, C), np.float32))
        with Image.open(tmp_path / "grid.png") as image:
            assert image.mode == mode
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


LINES = [
    {"kind": "held_out", "step": 0, "figures": {"loss": 9.0, "bits": 5.0}},
    *({"kind": "train", "step": i, "terms": {"loss": 9.0 / i, "penalty": 1.0}} for i in range(1, 50)),
    {"kind": "test", "step": 49, "figures": {"loss": 0.2, "bits": 4.0}},
]


def test_curves_are_drawn_of_any_log(tmp_path):
    for lines in (LINES, LINES[:1], LINES[:2], LINES[1:4]):
        draw_curves(tmp_path / "curves.png", lines, title="a run", unit="nats per image")
        with Image.open(tmp_path / "curves.png") as image:
            assert image.size[1] > 300
        (tmp_path / "curves.png").unlink()
    draw_curves(tmp_path / "curves.png", [], title="nothing", unit="")
    assert not (tmp_path / "curves.png").exists()


def test_the_first_losses_do_not_flatten_the_rest():
    low, high = _limits([(0, 500.0), *((i, 100.0 - i) for i in range(10, 101, 10))])
    assert -10 < low < 0
    assert 90 < high < 110
    assert _limits([(0, 3.0), (10, 3.0)]) is None

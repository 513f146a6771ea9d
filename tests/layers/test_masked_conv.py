"""Masked convolutions: against PyTorch's arrays, what each mask sees, and their streams of rows and of pixels."""

from pathlib import Path

import numpy as np
import pytest

from minigen.layers.masked_conv2d import MaskedConv2d, horizontal, raster, vertical
from minigen.random import Key

ARRAYS = np.load(Path(__file__).parents[1] / "golden" / "masked_conv.npz")
TAPS = {"raster": raster, "vertical": vertical, "horizontal": horizontal}


def layer(taps, inputs=2, outputs=3):
    return MaskedConv2d(inputs, outputs, taps).initialise(Key(0), np.float64)


@pytest.mark.parametrize("name", sorted({key.partition("/")[0] for key in ARRAYS.files}))
def test_it_equals_pytorch_under_a_mask(name):
    kind, mask = name.split("_")
    conv = layer(TAPS[kind](mask, 5))
    golden = {key.partition("/")[2]: ARRAYS[key] for key in ARRAYS.files if key.startswith(name + "/")}
    conv.params["W"][...], conv.params["b"][...] = golden["W"], golden["b"]
    y, cache = conv.forward(golden["x"])
    np.testing.assert_allclose(y, golden["y"], atol=1e-12)
    np.testing.assert_allclose(conv.backward(golden["u"], cache), golden["dx"], atol=1e-12)
    np.testing.assert_allclose(conv.grads["W"], golden["dW"], atol=1e-12)
    np.testing.assert_allclose(conv.grads["b"], golden["db"], atol=1e-12)


def sees(taps, i, j, size=7):
    """The pixels on which y at (i, j) depends, by the derivative: (size, size) booleans."""
    conv = layer(taps)
    y, cache = conv.forward(Key(1).normal((1, size, size, 2), np.float64))
    dy = np.zeros_like(y)
    dy[:, i, j] = Key(2).normal((3,), np.float64)
    return np.abs(conv.backward(dy, cache)).sum((0, 3)) > 0


@pytest.mark.parametrize("at", [(3, 3), (0, 0), (6, 1), (2, 6)])
def test_what_each_mask_sees(at):
    i, j = at
    rows, columns = np.ogrid[:7, :7]
    near = (abs(rows - i) <= 2) & (abs(columns - j) <= 2)
    for mask, itself in (("A", False), ("B", True)):
        own_row = rows == i
        before = own_row & ((columns <= j) if itself else (columns < j))
        assert (sees(raster(mask, 5), i, j) == near & ((rows < i) | before)).all()
        assert (sees(vertical(mask, 5), i, j) == near & ((rows <= i) if itself else (rows < i))).all()
        assert (sees(horizontal(mask, 5), i, j) == near & before).all()


def test_only_live_taps_are_parameters():
    assert [len(f(mask, 7)) for f in (raster, vertical, horizontal) for mask in "AB"] == [24, 25, 21, 28, 3, 4]
    assert layer(raster("A", 7)).params["W"].shape == (24, 2, 3)


def test_an_initialiser_counts_live_taps():
    """U(-a, a) with a = 1 / sqrt(fan_in), where the fan-in is that of the taps that are there."""
    W = MaskedConv2d(16, 64, raster("B", 3)).initialise(Key(0), np.float64).params["W"]
    assert 0.99 / np.sqrt(5 * 16) < np.abs(W).max() <= 1 / np.sqrt(5 * 16)


def test_what_is_no_mask_is_refused():
    for wrong in (("C", 3), ("A", 4), ("B", 0), ("A", 1)):
        with pytest.raises(ValueError, match="masks are 'A' and 'B', kernels odd"):
            raster(*wrong)
    for taps in ((), ((0, 0), (0, 0))):
        with pytest.raises(ValueError, match="at least one, and each once"):
            MaskedConv2d(1, 1, taps)
    with pytest.raises(ValueError, match=r"it takes images of \(N, H, W, 2\), channels last"):
        layer(raster("A", 3)).forward(np.zeros((1, 5, 5, 3)))


# ---- streams


def run(conv, x, width=None):
    """y, by advance; a late memory is handed the input of the position before, and for the first one NaN."""
    memory = conv.stream(len(x), width)
    shown = np.concatenate((np.full_like(x[:, :1], np.nan), x[:, :-1]), 1) if memory.late else x
    return np.stack([conv.advance(shown[:, t], memory) for t in range(x.shape[1])], 1), memory


@pytest.mark.parametrize("taps", [raster("A", 5), raster("B", 3), horizontal("A", 7), horizontal("B", 3), ((-2, 1), (-1, -3))])
def test_pixels_one_by_one_give_what_the_image_gives(taps):
    conv, x = layer(taps), Key(3).normal((2, 6, 5, 2), np.float64)
    streamed, memory = run(conv, x.reshape(2, 30, 2), width=5)
    assert np.abs(streamed.reshape(2, 6, 5, 3) - conv.forward(x)[0]).max() <= 1e-13
    assert memory.late == ((0, 0) not in taps)


@pytest.mark.parametrize("taps", [raster("A", 5), raster("B", 3), vertical("A", 5), vertical("B", 3), horizontal("A", 7)])
def test_rows_one_by_one_give_what_the_image_gives(taps):
    conv, x = layer(taps), Key(4).normal((2, 6, 5, 2), np.float64)
    streamed, memory = run(conv, x)
    assert np.abs(streamed - conv.forward(x)[0]).max() <= 1e-13
    assert memory.late == (taps == vertical("A", 5))


def test_the_memory_does_not_grow_with_the_image():
    conv, held = layer(raster("A", 7)), []
    memory = conv.stream(2, 5)
    for t in range(40 * 5):
        conv.advance(Key(t).normal((2, 2), np.float64), memory)
        held.append(sum(row.nbytes for row in memory.rows) + memory.begun.nbytes)
    assert held[5 * 5 :] == [held[-1]] * (35 * 5)
    assert len(memory.rows) == 4


def test_who_looks_ahead_does_not_stream():
    with pytest.raises(NotImplementedError, match=r"its tap \(1, 0\) looks at a row below its own"):
        layer(((0, 0), (1, 0))).stream(1)
    with pytest.raises(NotImplementedError, match=r"its tap \(0, 1\) looks at a pixel after its own"):
        layer(vertical("B", 3)).stream(1, 5)

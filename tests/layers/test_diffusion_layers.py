"""What the suite cannot know of the layers of diffusion models: wavelengths, streams of two inputs, errors."""

import numpy as np
import pytest

from minigen.layers import ChannelShift, GroupNorm, TimeEmbedding
from minigen.random import Key

KEY = Key(0)


def test_the_features_of_time_are_those_of_the_paper():
    t = np.array([0.0, 1.0, 37.0, 999.0])
    y, _ = TimeEmbedding(16).forward(t)
    frequencies = np.exp(-np.arange(16) * np.log(10_000) / 16)
    np.testing.assert_allclose(y[:, :16], np.sin(np.outer(t, frequencies)), atol=1e-12)
    np.testing.assert_allclose(y[:, 16:], np.cos(np.outer(t, frequencies)), atol=1e-12)
    near, far = (
        np.linalg.norm(np.diff(TimeEmbedding(16).forward(np.array(pair))[0], axis=0)) for pair in ((3.0, 4.0), (3.0, 300.0))
    )
    assert near > 0.5  # neighbours are told apart
    assert far > 2 * near


def test_steps_that_are_integers_are_refused():
    with pytest.raises(TypeError, match=r"takes floats, and got int64 of shape \(3,\)"):
        TimeEmbedding(4).forward(np.arange(3))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        TimeEmbedding(0)


def test_a_shift_streams_and_needs_one_number_a_channel():
    x, s = KEY.at("x").normal((3, 5, 2), np.float64), KEY.at("s").normal((3, 2), np.float64)
    whole, memory = ChannelShift().forward((x, s))[0], ChannelShift().stream(3)
    for t in range(5):
        np.testing.assert_array_equal(ChannelShift().advance((x[:, t], s), memory), whole[:, t])
    with pytest.raises(ValueError, match=r"s of shape \(3, 3\): it takes \(N, ..., C\) and \(N, C\)"):
        ChannelShift().forward((x, np.zeros((3, 3))))


def test_the_means_of_group_norm_are_those_of_its_groups():
    layer, x = GroupNorm(3, 6), KEY.at("group").normal((2, 4, 6), np.float64)
    expected = x.reshape(2, 4, 3, 2).mean((1, 3)).repeat(2, 1)[:, None]
    np.testing.assert_allclose(layer.mean(x), expected, atol=1e-14)

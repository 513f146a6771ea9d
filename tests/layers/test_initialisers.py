"""First values: the variance that each promises, orthogonal columns, and names."""

import numpy as np
import pytest

from minigen import layers
from minigen.layers import initialisers
from minigen.random import Key

KEY = Key(21)


@pytest.mark.parametrize("name", initialisers.INITIALISERS)
def test_initialiser_by_name(name):
    shape = (3, 3, 32, 48)
    value = initialisers.by_name(name)(KEY, shape)
    variance = {
        "zeros": 0,
        "ones": 0,
        "normal": 1,
        "fan_in_uniform": 1 / (3 * 288),
        "lecun_normal": 1 / 288,
        "he_normal": 2 / 288,
        "glorot_uniform": 2 / (9 * 80),
        "glorot_normal": 2 / (9 * 80),
        "orthogonal": 1 / 288,
    }[name]
    assert value.shape == shape
    assert value.var() == pytest.approx(variance, rel=0.05)


def test_groups_are_drawn_each_by_itself():
    """PyTorch's bound by the fan-in of one group; orthogonal columns within a group; both counts are checked."""
    grouped = layers.Conv2d(32, 96, 3, groups=8).initialise(KEY, np.float64).params["W"]
    assert 0.99 / 6 <= np.abs(grouped).max() <= 1 / 6  # 1 / sqrt(9 * 4)
    depthwise = layers.Conv2d(50, 50, 3, groups=50, initialiser=initialisers.by_name("glorot_uniform")).initialise(KEY)
    assert depthwise.params["W"].var() == pytest.approx(2 / 18, rel=0.15)
    W = layers.ConvTranspose2d(6, 8, 2, groups=2, initialiser=initialisers.orthogonal).initialise(KEY, np.float64).params["W"]
    for group in np.split(W.reshape(-1, 6), 2, -1):
        assert np.abs(group.T @ group - np.eye(3)).max() <= 1e-14
    for make in (layers.Conv2d, layers.ConvTranspose2d, layers.Conv1d):
        with pytest.raises(ValueError, match=f"{make.__name__}: groups=3 does not divide 6 channels in and 4 out"):
            make(6, 4, groups=3)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 2, 3, 7)])
def test_orthogonal(shape):
    W = initialisers.orthogonal(KEY, shape).reshape(-1, shape[-1])
    product = W.T @ W if len(W) >= shape[-1] else W @ W.T
    assert np.abs(product - np.eye(len(product))).max() <= 1e-14


def test_unknown_initialiser():
    with pytest.raises(ValueError, match=r"unknown initialiser 'he'.*'he_normal'"):
        initialisers.by_name("he")
    with pytest.raises(ValueError, match="use zeros, ones or normal"):
        initialisers.by_name("glorot_uniform")(KEY, (5,))

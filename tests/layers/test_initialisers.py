"""First values: the variance that each promises, orthogonal columns, and names."""

import numpy as np
import pytest

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

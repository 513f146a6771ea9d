"""Every layer against PyTorch's forward, backward and double backward, from the committed arrays that `make.py` wrote."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minigen import layers
from minigen.layers.layer import Layer
from minigen.random import Key

ARRAYS = np.load(Path(__file__).parent / "layers.npz")
TOLERANCE = 1e-12  # relative to the largest value: both sides compute in float64

CASES: dict[str, Callable[[], Layer]] = {
    "linear": lambda: layers.Linear(7, 3),
    "conv2d": lambda: layers.Conv2d(3, 4, 3, padding=1),
    "conv2d_stride2": lambda: layers.Conv2d(2, 3, 4, stride=2, padding=1),
    "conv2d_dilated": lambda: layers.Conv2d(2, 3, 3, padding=2, dilation=2),
    "conv_transpose2d": lambda: layers.ConvTranspose2d(3, 2, 4, stride=2, padding=1),
    "batch_norm": lambda: layers.BatchNorm(5),
    "layer_norm": lambda: layers.LayerNorm(7),
    "softmax": layers.Softmax,
    "relu": layers.ReLU,
    "leaky_relu": layers.LeakyReLU,
    "tanh": layers.Tanh,
    "sigmoid": layers.Sigmoid,
    "silu": layers.SiLU,
    "softplus": layers.Softplus,
}


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= TOLERANCE * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("name", sorted({key.partition("/")[0] for key in ARRAYS.files}))
def test_layer_equals_pytorch(name: str) -> None:
    golden = {key.partition("/")[2]: ARRAYS[key] for key in ARRAYS.files if key.startswith(name + "/")}
    layer = CASES[name]().initialise(Key(0), np.float64)
    for parameter, array in layer.params.items():
        array[...] = golden[f"param.{parameter}"]

    y, cache = layer.forward(golden["x"], train=True)
    assert close(y, golden["y"])
    assert close(layer.backward(golden["u"], cache), golden["dx"])
    for parameter, grad in layer.grads.items():
        assert close(grad, golden[f"grad.{parameter}"]), parameter

    layer.zero_grads()
    _, tangents = layer.jvp(golden["v"], cache)
    dx, dx_dot = layer.backward_jvp(golden["u"], np.zeros_like(y), cache, tangents)
    assert close(dx, golden["dx"])
    assert close(dx_dot, golden["dx_dot"])
    for parameter, grad_dot in layer.grads.items():
        assert close(grad_dot, golden[f"grad.{parameter}_dot"]), parameter

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
    "gelu": layers.GELU,
    "elu": lambda: layers.ELU(1.3),
    "selu": layers.SELU,
    "softsign": layers.Softsign,
    "mish": layers.Mish,
    "group_norm": lambda: layers.GroupNorm(2, 6),
    "instance_norm": lambda: layers.InstanceNorm(3),
    "nearest_upsample": lambda: layers.NearestUpsample(3),
    "bilinear_upsample": lambda: layers.BilinearUpsample(2),
    "average_pool2d": lambda: layers.AveragePool2d(3, 2, 1),
    "max_pool2d": lambda: layers.MaxPool2d(3, 2, 1),
    "conv1d": lambda: layers.Conv1d(3, 2, 4, stride=2, padding=2),
    "conv1d_causal": lambda: layers.Conv1d(3, 2, 3, dilation=2, causal=True),
    "attention": lambda: layers.MultiHeadAttention(6, 2),
    "attention_causal": lambda: layers.MultiHeadAttention(6, 3, causal=True),
    "minibatch_std": lambda: layers.MinibatchStd(3),
    "minibatch_discrimination": lambda: layers.MinibatchDiscrimination(4, 3, 2),
    "weight_norm": lambda: layers.Linear(4, 3).compute("W", layers.WeightNorm(3)),
    "conv2d_groups": lambda: layers.Conv2d(4, 6, 3, padding=1, groups=2),
    "conv2d_depthwise": lambda: layers.Conv2d(3, 3, 3, stride=2, padding=1, groups=3),
    "conv_transpose2d_groups": lambda: layers.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2),
    "conv1d_groups": lambda: layers.Conv1d(3, 6, 3, causal=True, groups=3),
}


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= TOLERANCE * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("name", sorted({key.partition("/")[0] for key in ARRAYS.files}))
def test_layer_equals_pytorch(name: str) -> None:
    golden = {key.partition("/")[2]: ARRAYS[key] for key in ARRAYS.files if key.startswith(name + "/")}
    layer = CASES[name]().initialise(Key(0), np.float64)
    assert layer.vector is not None
    assert set(layer.vector.places) == {key[len("param.") :] for key in golden if key.startswith("param.")}
    for parameter, array in layer.named():
        array[...] = golden[f"param.{parameter}"]

    y, cache = layer.forward(golden["x"], train=True)
    assert close(y, golden["y"])
    assert close(layer.backward(golden["u"], cache), golden["dx"])
    for parameter, grad in layer.vector.views(layer.vector.grad).items():
        assert close(grad, golden[f"grad.{parameter}"]), parameter

    layer.zero_grads()
    _, tangents = layer.jvp(golden["v"], cache)
    dx, dx_dot = layer.backward_jvp(golden["u"], np.zeros_like(y), cache, tangents)
    assert close(dx, golden["dx"])
    assert close(dx_dot, golden["dx_dot"])
    for parameter, grad_dot in layer.vector.views(layer.vector.grad).items():
        assert close(grad_dot, golden[f"grad.{parameter}_dot"]), parameter

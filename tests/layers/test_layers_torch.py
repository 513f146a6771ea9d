"""Outside evidence: the leaf layers with parameters, and softmax, against PyTorch, forward and backward, in float64."""

import numpy as np
import pytest

from minigen import layers as L
from minigen.random import Key

KEY = Key(11)
IDS = np.array([[0, 4, 2], [2, 2, 1]])


def images(x):
    return x.permute(0, 3, 1, 2)


def back(y):
    return y.permute(0, 2, 3, 1)


OPTIONS = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
TORCH = {  # layer, x, and the same in PyTorch: a function of (torch.nn.functional, x, parameters)
    "conv2d": (
        lambda: L.Conv2d(2, 3, (3, 2), **OPTIONS),
        (2, 6, 5, 2),
        lambda F, x, W, b: back(F.conv2d(images(x), W.permute(3, 2, 0, 1), b, **OPTIONS)),
    ),
    "conv_transpose2d": (
        lambda: L.ConvTranspose2d(3, 2, (3, 2), **OPTIONS, output_padding=(1, 0)),
        (2, 3, 4, 3),
        lambda F, x, W, b: back(F.conv_transpose2d(images(x), W.permute(3, 2, 0, 1), b, **OPTIONS, output_padding=(1, 0))),
    ),
    "batch_norm": (
        lambda: L.BatchNorm(3),
        (4, 2, 2, 3),
        lambda F, x, gain, b: back(F.batch_norm(images(x), None, None, gain, b, training=True)),
    ),
    "layer_norm": (lambda: L.LayerNorm(4), (3, 2, 4), lambda F, x, gain, b: F.layer_norm(x, (4,), gain, b)),
    "softmax": (L.Softmax, (3, 5), lambda F, x: F.softmax(x, -1)),
    "embedding": (lambda: L.Embedding(5, 3), IDS, lambda F, x, E: F.embedding(x, E)),
}


@pytest.mark.parametrize("name", TORCH)
def test_against_pytorch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here; the golden arrays stand in where it is missing")
    make, like, function = TORCH[name]
    layer = make().initialise(KEY, np.float64)
    x = like if isinstance(like, np.ndarray) else KEY.at("x").normal(like, np.float64)
    layer.vector.theta += KEY.at("theta").normal(layer.vector.theta.shape, np.float64)
    y, cache = layer.forward(x, train=True)
    dy = KEY.at("dy").normal(y.shape, np.float64)
    dx = layer.backward(dy, cache)
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in (x, *layer.params.values())]
    theirs = function(torch.nn.functional, *tensors)
    theirs.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-12, atol=1e-13)
    for ours, tensor in zip((dx, *layer.grads.values()), tensors, strict=True):
        assert (ours is None) == (tensor.grad is None)
        if ours is not None:
            np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-12, atol=1e-13)

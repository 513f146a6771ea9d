"""The second wave of layers against PyTorch: forward, and backward of a random cotangent, at many geometries."""

import math

import numpy as np
import pytest

from minigen import layers as L
from minigen.random import Key

KEY = Key(21)


def normal(name: str, *shape: int) -> np.ndarray:
    return KEY.at(name).normal(shape, np.float64)


def both(layer, x, theirs):
    """y, dx and the parameter gradients of a random cotangent; `theirs` is a function of x and parameters by path."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle, in development only")
    layer.initialise(KEY.at("layer"), np.float64)
    for path, value in layer.named():
        value += 0.3 * normal(path, *value.shape)
    y, cache = layer.forward(x)
    dy = normal("dy", *y.shape)
    ours = {"y": y, "dx": layer.backward(dy, cache), **layer.vector.views(layer.vector.grad)}

    leaves = {path: torch.tensor(value, requires_grad=True) for path, value in layer.named()}
    xt = torch.tensor(x, requires_grad=True)
    yt = theirs(xt, **leaves)
    gradients = torch.autograd.grad(yt, [xt, *leaves.values()], torch.tensor(dy))
    for (name, one), other in zip(ours.items(), [yt, *gradients], strict=True):
        other = other.detach().numpy()
        assert one.shape == other.shape, name
        assert np.abs(one - other).max() <= 1e-12 * max(1, np.abs(other).max()), name


def functional():
    return pytest.importorskip("torch.nn.functional", reason="PyTorch is the oracle, in development only")


def images(f):
    """A function of (N, C, H, W) as one of (N, H, W, C)."""
    return lambda x: f(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 2), (2, 7, 2, 3)])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 7])
def test_upsampling_against_pytorch(factor, shape):
    F, x = functional(), normal("x", *shape)
    both(L.NearestUpsample(factor), x, images(lambda x: F.interpolate(x, scale_factor=factor, mode="nearest")))
    bilinear = images(lambda x: F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False))
    both(L.BilinearUpsample(factor), x, bilinear)


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(2, 2, 0), (3, 2, 1), ((2, 3), (1, 2), (1, 0)), ((5, 1), (3, 2), (2, 0)), (4, 1, 2), (1, 3, 0)],
)
def test_pooling_against_pytorch(size, stride, padding):
    F, x = functional(), normal("x", 2, 6, 7, 3)
    both(L.AveragePool2d(size, stride, padding), x, images(lambda x: F.avg_pool2d(x, size, stride, padding)))
    both(L.MaxPool2d(size, stride, padding), x, images(lambda x: F.max_pool2d(x, size, stride, padding)))


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), [(1, 1, 0, 1), (3, 1, 1, 1), (4, 3, 2, 2), (2, 2, 3, 4)])
def test_conv1d_against_pytorch(kernel, stride, padding, dilation):
    F, at = functional(), {"stride": stride, "padding": padding, "dilation": dilation}
    both(
        L.Conv1d(3, 2, kernel, **at),
        normal("x", 2, 11, 3),
        lambda x, W, b: F.conv1d(x.transpose(1, 2), W.permute(2, 1, 0), b, **at).transpose(1, 2),
    )


@pytest.mark.parametrize(("groups", "shape"), [(1, (2, 3, 2, 4)), (2, (3, 5, 4)), (4, (1, 2, 1, 8)), (2, (3, 6))])
def test_group_norm_against_pytorch(groups, shape):
    F = functional()
    both(
        L.GroupNorm(groups, shape[-1]),
        normal("x", *shape),
        lambda x, gain, b: F.group_norm(x.movedim(-1, 1), groups, gain, b).movedim(1, -1),
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "shape"), [(1, (2, 5, 3)), (3, (2, 3, 2, 6))])
def test_attention_against_pytorch(heads, shape, causal):
    F, (N, *positions, C) = functional(), shape
    T = math.prod(positions)

    def theirs(x, **p):
        q, k, v = ((x @ p["qkv.W"]).reshape(N, T, 3, heads, C // heads).permute(2, 0, 3, 1, 4)[i] for i in range(3))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(shape)
        return y @ p["out.W"] + p["out.b"]

    both(L.MultiHeadAttention(C, heads, causal=causal), normal("x", *shape), theirs)


@pytest.mark.parametrize("name", ["gelu", "elu", "selu", "softsign", "mish"])
def test_activation_against_pytorch_far_out_too(name):
    F = functional()
    layer = {"gelu": L.GELU, "elu": L.ELU, "selu": L.SELU, "softsign": L.Softsign, "mish": L.Mish}[name]()
    with np.errstate(over="raise"):  # the branch that is not taken must not overflow
        both(layer, np.concatenate((np.linspace(-30, 30, 121), [-800.0, 800.0])), getattr(F, name))

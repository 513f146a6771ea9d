"""Gradient penalties against PyTorch's double backward, from the committed arrays that `make_second_order.py` wrote."""

from pathlib import Path

import numpy as np
import pytest

from minigen import layers as L
from minigen.layers.composite import Residual
from minigen.models.penalties import gradient_penalty, r1
from minigen.models.wgan_gp import WGANGP, MixNoise
from minigen.random import Key

ARRAYS = np.load(Path(__file__).parent / "second_order.npz")
TOLERANCE = 1e-10  # relative to the largest value: both sides compute in float64

NETWORKS = {
    "conv": lambda: WGANGP((8, 8, 2), Key(0), np.float64, latents=2, width=3).discriminator,
    "batch_norm": lambda: L.Sequential(
        conv=L.Conv2d(2, 5, 3, padding=1), norm=L.BatchNorm(5), tanh=L.Tanh(), flat=L.Flatten(), out=L.Linear(60, 1)
    ),
    "attention": lambda: L.Sequential(
        attend=Residual(L.MultiHeadAttention(6, 2)), act=L.Softplus(), flat=L.Flatten(), out=L.Linear(30, 1)
    ),
    "dense": lambda: L.Sequential(a=L.Linear(2, 6), leaky=L.LeakyReLU(0.2), b=L.Linear(6, 4), act=L.SiLU(), out=L.Linear(4, 1)),
}
RULES = {"r1": r1(3.0), "penalty": gradient_penalty(10.0)}


def golden_of(name):
    return {key.partition("/")[2]: ARRAYS[key] for key in ARRAYS.files if key.startswith(name + "/")}


def gap(ours, theirs):
    """The largest difference, relative to the largest value; NaN is infinitely far."""
    apart = np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max())
    return apart if np.isfinite(apart) else np.inf


def loaded(net, golden):
    """`net` in float64 on a vector of its own, with the golden parameters."""
    net = net.clone() if net.laid_out else net.initialise(Key(0), np.float64)
    assert {f"param.{path}" for path, _ in net.named()} == {key for key in golden if key.startswith("param.")}
    for path, array in net.named():
        array[...] = golden[f"param.{path}"]
    return net


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_penalty_is_pytorchs_double_backward(name, rule):
    golden = golden_of(name)
    D = loaded(NETWORKS[name](), golden)
    logits, cache = D.forward(golden["x"], train=True)
    D.zero_grads()
    value, dx = RULES[rule].of(D, logits, cache, need_dx=True)
    assert gap(value, golden[f"{rule}.value"]) <= TOLERANCE
    assert gap(dx, golden[f"{rule}.dx"]) <= TOLERANCE
    for path, grad in D.vector.views(D.vector.grad).items():
        assert gap(grad, golden[f"{rule}.grad.{path}"]) <= TOLERANCE, path


def test_the_critics_whole_loss_is_pytorchs():
    golden = golden_of("wgan_gp")
    model = WGANGP((8, 8, 2), Key(0), np.float64, latents=2, width=3)
    for path, array in model.discriminator.named():
        array[...] = golden[f"param.{path}"]
    noise = MixNoise(model.latent(4, Key(1)), golden["t"], Key(1))
    model.zero_grads()
    terms, _ = model.objectives[0](model, golden["real"], noise, forwards={"generator": (golden["fake"], None)})
    assert gap(sum(terms.values()), golden["loss"]) <= TOLERANCE
    assert gap(terms["penalty"], golden["penalty"]) <= TOLERANCE
    for path, grad in model.vector.views(model.grad).items():
        if path.startswith("discriminator"):
            assert gap(grad, golden["grad." + path.removeprefix("discriminator.")]) <= TOLERANCE, path
        else:
            assert not grad.any(), path

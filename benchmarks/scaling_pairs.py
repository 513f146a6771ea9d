"""A small convolutional network at any image size and width, on both sides: what `benchmarks.scaling` stretches.

    conv 4/2/1 width, LeakyReLU, conv 4/2/1 2 width, LeakyReLU, dense 1;  mean softplus(-y);  Adam

DCGAN's discriminator without its normalisation. A step is forward, loss, backward and update.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen.layers import Conv2d, Flatten, LeakyReLU, Linear, Sequential
from minigen.optim import Adam
from minigen.random import Key

RATE = 2e-4


def images(batch: int, size: int) -> Any:
    """(N, size, size, 1)."""
    return Key(1).normal((batch, size, size, 1))


def ours(batch: int, size: int, width: int) -> Callable[[], float]:
    """Our step; it returns the loss."""
    net = Sequential(
        conv1=Conv2d(1, width, 4, stride=2, padding=1),
        leaky1=LeakyReLU(0.2),
        conv2=Conv2d(width, 2 * width, 4, stride=2, padding=1),
        leaky2=LeakyReLU(0.2),
        flat=Flatten(),
        out=Linear(size // 4 * (size // 4) * 2 * width, 1),
    ).initialise(Key(0))
    adam, x = Adam(net, rate=RATE), images(batch, size)

    def step() -> float:
        net.zero_grads()
        y, cache = net.forward(x)  # (N, 1)
        net.backward(-1 / (1 + np.exp(y)) / np.float32(len(y)), cache, need_dx=False)
        adam.step()
        return float(np.logaddexp(0, -y).mean())

    step.net = net  # type: ignore[attr-defined]
    return step


def theirs(batch: int, size: int, width: int, *, channels_last: bool, like: Any = None) -> Callable[[], float]:
    """PyTorch's step, with the weights of our network `like` where it is given."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.manual_seed(0)
    leaky = nn.LeakyReLU(0.2)
    net: Any = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1), leaky, nn.Conv2d(width, 2 * width, 4, 2, 1), leaky, nn.Flatten(),
        nn.Linear(size // 4 * (size // 4) * 2 * width, 1),
    )  # fmt: skip
    if like is not None:
        for layer, name in ((net[0], "conv1"), (net[2], "conv2"), (net[5], "out")):
            weight = like[name].params["W"]
            if name == "out":
                by_pixel = weight.reshape(size // 4, size // 4, 2 * width).transpose(2, 0, 1).reshape(1, -1)
            else:
                by_pixel = weight.transpose(3, 2, 0, 1)
            layer.weight.data.copy_(torch.from_numpy(np.ascontiguousarray(by_pixel)))
            layer.bias.data.copy_(torch.from_numpy(like[name].params["b"]))
    x = torch.from_numpy(images(batch, size)).permute(0, 3, 1, 2)
    if channels_last:
        net.to(memory_format=torch.channels_last)
    else:
        x = x.contiguous()
    adam = torch.optim.Adam(net.parameters(), RATE, fused=True)

    def step() -> float:
        adam.zero_grad(set_to_none=True)
        loss = F.softplus(-net(x)).mean()
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step

"""The whole of WaveNet beside PyTorch, where it is installed: the loss and the gradient of every parameter, in float64."""

import numpy as np
import pytest

from minigen.models.wavenet import Rows, WaveNet, before
from minigen.random import Key

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
KEY = Key(3)


def logits_of(p, symbols, labels, dilations):
    """From the parameters by name, with PyTorch's own convolution: (N, T) and (N,) -> (N, T, V)."""
    h, skips = p["net.embed.E"][symbols], 0  # (N, T, R)
    for i, d in enumerate(dilations):
        W, b = p[f"net.blocks.{i}.conv.W"], p[f"net.blocks.{i}.conv.b"]  # (k, R, 2 R)
        framed = torch.nn.functional.pad(h.transpose(1, 2), ((len(W) - 1) * d, 0))  # (N, R, reach + T)
        a = torch.nn.functional.conv1d(framed, W.permute(2, 1, 0), b, dilation=d).transpose(1, 2)
        if labels is not None:
            a = a + p[f"net.blocks.{i}.label.E"][labels][:, None]
        what, gate = a.chunk(2, -1)
        u = torch.tanh(what) * torch.sigmoid(gate) @ p[f"net.blocks.{i}.out.W"] + p[f"net.blocks.{i}.out.b"]
        h, skips = h + u, skips + u
    hidden = torch.relu(torch.relu(skips) @ p["net.head.dense.W"] + p["net.head.dense.b"])
    return hidden @ p["net.head.out.W"] + p["net.head.out.b"]


@pytest.mark.parametrize(("classes", "kernel"), [(0, 2), (3, 2), (3, 3)])
def test_loss_and_gradient_are_pytorchs(classes, kernel):
    sizes = {"width": 5, "hidden": 6, "layers": 3, "stacks": 2, "kernel": kernel}
    model = WaveNet((40,), KEY.at("model"), np.float64, classes=classes, hertz=8000, **sizes)
    model.theta += 0.1 * KEY.at("moved").normal(model.theta.shape, np.float64)
    symbols = KEY.at("symbols").integers(256, (3, 40))
    labels = KEY.at("labels").integers(classes, 3) if classes else None
    model.zero_grads()
    terms, _ = model.objectives[0](model, Rows(symbols, labels), None)

    p = {path: torch.tensor(view, requires_grad=True) for path, view in model.net.named("net")}
    given = torch.tensor(before(symbols, 256)), None if labels is None else torch.tensor(labels)
    logits = logits_of(p, *given, (1, 2, 4) * 2)
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, 256), torch.tensor(symbols).reshape(-1))
    loss.backward()
    assert abs(terms["nll"] - loss.item()) < 1e-13
    ours = model.vector.views(model.grad)
    assert set(ours) == set(p)
    for path, g in ours.items():
        theirs = p[path].grad.numpy()
        assert np.abs(g - theirs).max() <= 1e-12 * np.abs(theirs).max(), path

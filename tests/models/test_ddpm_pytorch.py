"""Outside evidence: the U-Net of ddpm with the peer's weights in PyTorch has its loss, and its gradient of every parameter."""

import numpy as np
import pytest

from minigen.models.denoising import DenoisingNoise
from minigen.random import Key


def test_the_loss_and_every_gradient_are_pytorchs():
    torch = pytest.importorskip("torch")
    from benchmarks import torch_steps
    from benchmarks.pairs import ddpm

    peer = torch_steps.build("ddpm", batch_size=3)
    model = ddpm(peer).model
    assert model.vector.size == peer.live_parameters()
    batch = np.ascontiguousarray(peer.batch.numpy().transpose(0, 2, 3, 1))
    t, eps = np.array([0, 400, 999]), Key(1).normal(batch.shape)
    terms, _ = model.objectives[0](model, batch, DenoisingNoise(t + 1, eps, None))
    draws = [torch.from_numpy(t), torch.from_numpy(np.ascontiguousarray(eps.transpose(0, 3, 1, 2)))]
    loss = peer.losses(torch_steps.Replay(draws))["net"]
    assert float(terms["denoising"]) == pytest.approx(loss.item(), rel=1e-5)

    loss.backward()
    for parameter in peer.networks["net"].parameters():
        parameter.data = parameter.grad  # so that what copies its weights brings its gradients into our layout
    theirs = ddpm(peer).model
    ours, theirs = model.vector.views(model.grad), theirs.vector.views(theirs.theta)
    assert len(ours) == 102
    for path, gradient in ours.items():
        # Of the bias of the keys, which softmax does not see, both are rounding.
        np.testing.assert_allclose(
            gradient, theirs[path], rtol=2e-3, atol=2e-5 * np.abs(theirs[path]).max() + 1e-8, err_msg=path
        )

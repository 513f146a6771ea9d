"""User 9: an autoencoder whose first layers are kept as they are, with two optimisers for the rest.

    x -- trunk (frozen) --> h -- head (Adam with decay) --> z -- decoder (descent with momentum) --> logits

All of it lies in one vector; a part is a list of slices, and an optimiser takes such a list. `freeze` says that a part does
not learn: its gradient is not computed, no slice holds it, no optimiser moves it, its caches stay fresh. Nobody asks for the
gradient of x either, so backward stops at the head; but a gradient goes *through* a frozen part where something before it
learns.
"""

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Linear, Sequential, Tanh
from minigen.losses import bernoulli
from minigen.models import Model, Objective
from minigen.optim import SGD, AdamW
from minigen.random import Key


class Reconstruction(Objective):
    """-log p(x | z(x)), nats per row."""

    name, updates = "reconstruction", ("encoder", "decoder")

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        given = forwards or {}
        encoded = given.get("encoder") or model.encoder.forward(batch, train=train)
        decoded = given.get("decoder") or model.decoder.forward(encoded[0], train=train)
        loss, dlogits = bernoulli(decoded[0], batch)
        if backward:
            dz = model.decoder.backward(scale * dlogits, decoded[1])
            model.encoder.backward(dz, encoded[1], need_dx=False)
        return {"reconstruction": loss}, {"encoder": encoded, "decoder": decoded}


class FineTuned(Model):
    def __init__(self) -> None:
        trunk = Sequential(Linear(6, 5), Tanh(), Linear(5, 5), Tanh())
        decoder = Sequential(hidden=Linear(3, 5), act=Tanh(), out=Linear(5, 6))
        super().__init__(Key(9), np.float64, encoder=Sequential(trunk=trunk, head=Linear(5, 3)), decoder=decoder)
        self.objectives = (Reconstruction(),)
        self.encoder["trunk"].freeze()
        self.optimize(
            head=AdamW(self, self.spans("encoder"), 1e-2, weight_decay=0.1),
            decoder=SGD(self, self.spans("decoder"), 1e-2, momentum=0.9),
        )

    def step(self, batch, key):
        (reconstruction,) = self.objectives
        noise = reconstruction.draw(self, batch, key)
        self.zero_grads()
        terms, forwards = reconstruction(self, batch, noise)
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.commit(noise, forwards)
        return terms


X = Key(90).bernoulli(0.4, (8, 6)).astype(np.float64)


def arrays(net):
    return {path: array.copy() for path, array in net.named()}


def test_what_learns_is_proved_and_what_is_frozen_gets_nothing():
    rows = prove(FineTuned(), X, Key(91))
    assert {row.parameter for row in rows} == {
        *("encoder.head.W", "encoder.head.b", "decoder.hidden.W", "decoder.hidden.b", "decoder.out.W", "decoder.out.b")
    }


def test_a_gradient_goes_through_a_frozen_part_where_something_before_it_learns():
    model = FineTuned()
    model.encoder["trunk"].freeze(False)
    model.encoder["head"].freeze()
    model.decoder.freeze()
    assert {row.parameter for row in prove(model, X, Key(92))} == {
        *("encoder.trunk.0.W", "encoder.trunk.0.b", "encoder.trunk.2.W", "encoder.trunk.2.b")
    }


def test_training_leaves_the_frozen_part_bit_for_bit_and_lowers_the_loss():
    model = FineTuned()
    trunk, head = arrays(model.encoder["trunk"]), arrays(model.encoder["head"])
    losses = [model.step(X, Key(93).at(i))["reconstruction"] for i in range(100)]
    assert all(np.array_equal(array, trunk[path]) for path, array in model.encoder["trunk"].named())
    assert not any(np.array_equal(array, head[path]) for path, array in model.encoder["head"].named())
    assert losses[-1] < 0.8 * losses[0]


def test_no_work_is_done_for_gradients_that_nobody_uses(monkeypatch):
    model = FineTuned()
    calls = []
    monkeypatch.setattr(model.encoder["trunk"], "backward", lambda *_, **__: calls.append("trunk"))
    model.step(X, Key(94))
    assert calls == []


def test_each_part_goes_stale_by_its_own_optimiser_alone():
    model = FineTuned()
    versions = [model.encoder["trunk"].tree_version, model.encoder["head"].version, model.decoder.tree_version]
    model.optimizers["head"].step()
    moved = [model.encoder["trunk"].tree_version, model.encoder["head"].version, model.decoder.tree_version]
    assert [b - a for a, b in zip(versions, moved, strict=True)] == [0, 1, 0]


def test_slices_hold_what_learns():
    model = FineTuned()
    covered = sum(span.stop - span.start for span in model.spans(""))
    assert covered >= sum(array.size for path, array in model.encoder["head"].named()) > 0
    assert len(model.spans("")) == 1  # head and decoder are neighbours
    assert len(model.spans("encoder.head", "decoder.out")) == 2
    with pytest.raises(ValueError, match=r"everything under 'encoder\.trunk' is frozen"):
        model.spans("encoder.trunk")
    with pytest.raises(KeyError, match=r"no parameter under 'encoder\.tail'"):
        model.spans("encoder.tail")


def test_two_optimisers_that_would_move_the_same_parameters_are_refused():
    model = FineTuned()
    with pytest.raises(ValueError, match="would be updated twice"):
        model.optimize(one=SGD(model, model.spans("encoder", "decoder.hidden")), two=SGD(model, model.spans("decoder")))

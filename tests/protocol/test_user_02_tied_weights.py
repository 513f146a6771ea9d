"""User 2: a next-symbol model whose table of inputs is also its table of outputs (Press and Wolf 2017).

    e = E[x]          h = tanh(e A + a)          logits = h E'

E is used twice, so its gradient is a sum over both uses:

    dE[v] = sum over the places with x = v of de        (the embedding's part)
    dE   += dlogits' h                                  (the unembedding's part)

Both layers hold the same `Spec`. It is laid into the flat vector once, both look at the same memory, and since gradients are
only ever added to, the sum needs no line of code.
"""

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Embedding, Linear, Sequential, Tanh, Unembedding
from minigen.losses import categorical
from minigen.models import Model, Objective
from minigen.optim import SGD
from minigen.random import Key


class NextSymbol(Objective):
    """-sum_t log p(x_t+1 | x_t), nats per row."""

    name, updates = "nll", ("net",)

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        called = (forwards or {}).get("net") or model.net.forward(batch[:, :-1], train=train)
        loss, dlogits = categorical(called[0], batch[:, 1:])
        if backward:
            model.net.backward(scale * dlogits, called[1], need_dx=False)
        return {"nll": loss}, {"net": called}


class Tied(Model):
    def __init__(self, symbols: int = 9, width: int = 4, *, tied: bool = True) -> None:
        table = Embedding(symbols, width)
        out = Unembedding(table if tied else Embedding(symbols, width))
        super().__init__(Key(2), np.float64, net=Sequential(table=table, mix=Linear(width, width), act=Tanh(), out=out))
        self.objectives = (NextSymbol(),)


X = Key(20).integers(9, (6, 8))


def gradient(model):
    model.zero_grads()
    model.objectives[0](model, X, None)
    return model.net["table"].grads["E"].copy(), model.net["out"].grads["E"].copy()


def test_gradient():
    rows = prove(Tied(), X, Key(21))
    assert [row.parameter for row in rows[::2]] == ["net.table.E", "net.mix.W", "net.mix.b"]  # E once


def test_one_array_one_place_one_slice():
    model = Tied()
    table, out = model.net["table"], model.net["out"]
    assert np.shares_memory(table.params["E"], out.params["E"])
    assert np.shares_memory(table.grads["E"], out.grads["E"])
    assert model.vector.places["net.table.E"] == model.vector.places["net.out.E"]
    assert model.spans("net.table") == model.spans("net.out") == model.spans("net.table", "net.out")
    assert model.vector.size == 9 * 4 + 4 * 4 + 4


def test_the_gradient_is_the_sum_over_both_uses():
    tied, untied = Tied(), Tied(tied=False)
    for path, array in untied.net.named():
        array[...] = dict(tied.net.named())[path]
    (both, same), (of_table, of_out) = gradient(tied), gradient(untied)
    assert np.array_equal(both, same)
    assert of_table.any()
    assert of_out.any()
    np.testing.assert_allclose(both, of_table + of_out, rtol=1e-12, atol=1e-15)


def test_a_step_moves_it_once():
    model = Tied()
    dE, _ = gradient(model)
    before = model.net["table"].params["E"].copy()
    SGD(model, rate=0.1).step()
    np.testing.assert_allclose(model.net["out"].params["E"], before - 0.1 * dE, rtol=1e-12)
    with pytest.raises(ValueError, match="would be updated twice"):
        model.optimize(one=SGD(model, model.spans("net.table")), two=SGD(model, model.spans("net.out")))


def test_both_uses_go_stale_together():
    model = Tied()
    model.vector.raised(model.spans("net.table"))
    assert (model.net["table"].version, model.net["mix"].version, model.net["out"].version) == (1, 0, 1)


def test_a_tie_survives_cloning_and_the_complex_twin():
    model = Tied()
    for twin in (model.net.clone(), model.astype(np.complex128).net):
        twin["table"].params["E"][...] = 7
        assert (twin["out"].params["E"] == 7).all()
    assert not (model.net["table"].params["E"] == 7).any()


def test_one_use_may_be_frozen_and_the_other_learn():
    """Then the gradient is the other's part alone, and E still has a slice."""
    model, untied = Tied(), Tied(tied=False)
    for path, array in untied.net.named():
        array[...] = dict(model.net.named())[path]
    model.net["table"].freeze()
    dE, _ = gradient(model)
    np.testing.assert_allclose(dE, gradient(untied)[1], rtol=1e-12, atol=1e-15)
    assert model.spans("net.table") == model.spans("net.out")

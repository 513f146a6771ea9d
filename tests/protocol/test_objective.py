"""What objectives and models are built on: forwards that are passed on, optimisers that do not meet."""

import numpy as np
import pytest

from minigen.layers import Dropout, Linear, Sequential
from minigen.models import Model, total
from minigen.models.objective import Forwarder, network_of
from minigen.optim import SGD
from minigen.random import Key

X = Key(0).normal((4, 3), np.float64)


@pytest.fixture
def model():
    return Model(Key(1), np.float64, one=Sequential(Linear(3, 3), Dropout()), two=Linear(3, 3))


def test_a_call_is_named_after_its_network():
    assert network_of("judge:fake") == network_of("judge") == "judge"
    assert total({"a": 1.0, "b": 2.5}) == 3.5


def test_what_is_passed_in_is_used_again_and_what_is_updated_is_handed_on(model):
    given = {"one": model.one.forward(X)}
    forward = Forwarder(model, given, key=Key(2))
    y, cache = forward("one", X)
    assert (y, cache) == given["one"]
    again, _ = forward("one:again", y)
    seen, _ = forward("two", again)
    assert list(forward.made(("one",))) == ["one", "one:again"]
    assert forward.made(("two",))["two"][0] is seen
    with pytest.raises(ValueError, match="'one' is called twice: give the second call a name of its own, one:again"):
        forward("one", X)


def test_a_call_draws_the_same_noise_wherever_it_is_computed(model):
    early = Forwarder(model, key=Key(3))("one:again", X)
    late = Forwarder(model, key=Key(3))
    late("one", X)
    assert np.array_equal(late("one:again", X)[0], early[0])
    assert not np.array_equal(late("one:third", X)[0], early[0])
    assert np.array_equal(Forwarder(model, train=False)("one", X)[0], model.one.forward(X)[0])


def test_optimisers_that_share_parameters_are_refused(model):
    model.optimize(one=SGD(model, model.spans("one")), two=SGD(model, model.spans("two")))
    assert set(model.optimizers) == {"one", "two"}
    with pytest.raises(ValueError, match="the optimisers' spans overlap"):
        model.optimize(one=SGD(model, model.spans("one")), all=SGD(model))
    assert set(model.optimizers) == {"one", "two"}


def test_what_is_not_written_says_so(model):
    for call in (model.step, model.sample):
        with pytest.raises(NotImplementedError, match="Model"):
            call(X, Key(4))

"""`prove` is checked: a right model passes, and every way to be wrong, empty or leaking is refused by name."""

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import ProofError, Row, check_model, prove
from minigen.layers.composite import Sequential
from minigen.layers.dropout import Dropout
from minigen.layers.elementwise import Tanh
from minigen.layers.linear import Linear
from minigen.losses import bernoulli, mse
from minigen.models import Model, Objective
from minigen.random import Key

BATCH = Key(5).normal((4, 3), np.float64)


class Noise(NamedTuple):
    target: np.ndarray  # (N, 2)
    key: Key


class Game(Objective):
    """f(x) shall be close to a target, and please a judge: a gradient through a network that does not learn."""

    name, updates = "game", ("f",)

    def draw(self, model, batch, key, forwards=None):
        return Noise(key.at("target").normal((len(batch), 2), like=batch), key.at("dropout"))

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        forward = (forwards or {}).get("f") or model.f.forward(batch, train=train, key=noise.key)
        y, cache = forward
        logits, judged = model.judge.forward(y, train=train)
        close, dy = self.close(y, noise)
        pleased, dlogits = bernoulli(logits, np.ones_like(logits.real))
        if backward:
            dy = dy + self.through(model, dlogits, judged)
            model.f.backward(self.scaled(scale, dy), cache, need_dx=False)
        return {"close": close, "pleased": pleased}, {"f": forward}

    def close(self, y, noise):
        return mse(y, noise.target)

    def through(self, model, dlogits, judged):
        return model.judge.backward(dlogits, judged, param_grads=False)

    def scaled(self, scale, dy):
        return scale * dy


class Toy(Model):
    name = "toy"

    def __init__(self, objective=None, **parts):
        f = Sequential(Linear(3, 6), Tanh(), Dropout(0.2), out=parts.pop("out", Linear(6, 2)))
        super().__init__(Key(0), f=f, judge=Linear(2, 1))
        self.objectives = (objective or Game(),)


def test_right_model_passes():
    model = Toy()
    before = model.theta.copy()
    rows = prove(model, BATCH, Key(1))
    assert [row.parameter for row in rows[::2]] == ["f.0.W", "f.0.b", "f.out.W", "f.out.b"]
    assert {row.method for row in rows} == {"complex step", "central difference"}
    assert all(row[:2] == ("toy", "game") for row in rows)
    assert max(row.rel_error for row in rows[::2]) < 1e-14
    assert max(row.rel_error for row in rows[1::2]) < 1e-7
    np.testing.assert_array_equal(model.theta, before)
    assert not model.grad.any()


def test_float32_is_proved_with_its_own_tolerance():
    assert max(row.rel_error for row in prove(Toy(), BATCH, Key(1), dtype=np.float32, tolerance=1e-4)) < 1e-4
    with pytest.raises(ProofError):
        prove(Toy(), BATCH, Key(1), dtype=np.float32)


def test_objectives_are_chosen_by_name():
    assert prove(Toy(), BATCH, Key(1), objectives=["game"])
    with pytest.raises(ValueError, match="no objective 'gmae'"):
        prove(Toy(), BATCH, Key(1), objectives=["gmae"])


def test_tied_parameters_are_proved_once_and_the_frozen_not():
    model = Toy()
    model.f["0"].freeze()
    assert [row.parameter for row in prove(model, BATCH, Key(1))[::2]] == ["f.out.W", "f.out.b"]

    class Tied(Model):
        name = "tied"
        objectives = (Game(),)

        def __init__(self):
            one, two = Linear(3, 3), Linear(3, 3)
            two.specs["W"] = one.specs["W"]
            super().__init__(Key(0), f=Sequential(one, Tanh(), two, Tanh(), Linear(3, 2)), judge=Linear(2, 1))

    assert [row.parameter for row in prove(Tied(), BATCH, Key(1))[::2]] == ["f.0.W", "f.0.b", "f.2.b", "f.4.W", "f.4.b"]


# ---- wrong gradients


class Scaled(Game):
    def scaled(self, scale, dy):
        return 1.001 * scale * dy


class Flipped(Game):
    def scaled(self, scale, dy):
        return -scale * dy


class MissingTerm(Game):
    def through(self, model, dlogits, judged):
        return 0.0


class ZeroTerm(Game):
    def close(self, y, noise):
        value, dy = mse(y, noise.target)
        return 0 * value, 0 * dy


class NanTerm(Game):
    def close(self, y, noise):
        value, dy = mse(y, noise.target)
        return np.nan * value, dy


class NanGradient(Game):
    def scaled(self, scale, dy):
        return np.nan * dy


class NoGradient(Game):
    def scaled(self, scale, dy):
        return 0 * dy


class NoTerms(Game):
    def __call__(self, *args, **options):
        return {}, super().__call__(*args, **options)[1]


class Leaks(Game):
    def through(self, model, dlogits, judged):
        return model.judge.backward(dlogits, judged)


class ForgetsScale(Game):
    def scaled(self, scale, dy):
        return dy


class ScalesTerms(Game):
    def __call__(self, *args, scale=1.0, **options):
        terms, forwards = super().__call__(*args, scale=scale, **options)
        return {name: scale * value for name, value in terms.items()}, forwards


class AlwaysBackward(Game):
    def __call__(self, *args, backward=True, **options):
        return super().__call__(*args, **options)


class DrawsInside(Game):
    calls = 0

    def close(self, y, noise):
        DrawsInside.calls += 1
        value, dy = mse(y, noise.target)
        return value + 1e-9 * DrawsInside.calls, dy


class Replaces(Game):
    def __call__(self, model, *args, backward=True, **options):
        if backward:
            model.f.zero_grads()
        return super().__call__(model, *args, backward=backward, **options)


class MovesParameters(Game):
    def scaled(self, scale, dy):
        return scale * dy

    def close(self, y, noise):
        noise.target[...] += 0.1
        return super().close(y, noise)


class MovesState(Game):
    def __call__(self, model, *args, **options):
        model.state["seen"] = np.ones(1)
        return super().__call__(model, *args, **options)


class IgnoresForwards(Game):
    def __call__(self, model, batch, noise, *, forwards=None, **options):
        other = model.f.forward(batch + 1, train=True, key=noise.key) if forwards else None
        return super().__call__(model, batch, noise, forwards=other and {"f": other}, **options)


class HandsBackTheJudge(Game):
    def __call__(self, model, batch, noise, **options):
        terms, forwards = super().__call__(model, batch, noise, **options)
        return terms, {**forwards, "judge:fake": model.judge.forward(forwards["f"][0])}


class NotAnalytic(Game):
    def close(self, y, noise):
        error = y - noise.target
        return (abs(error) ** 2).mean(), 2 * error / error.size


class WrongDead(Game):
    dead = MappingProxyType({"f.0.b": "it is not"})


class UnknownDead(Game):
    dead = MappingProxyType({"judge.b": "not ours"})


class UpdatesNobody(Game):
    updates = ("g",)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Scaled, "f.0.W: complex step differs by"),
        (Flipped, "f.out.b: central difference differs by"),
        (MissingTerm, "f.0.b: complex step differs by"),
        (ZeroTerm, "term 'close' is 0.0"),
        (NanTerm, "term 'close' is nan"),
        (NanGradient, "gradient of f.0.W is not finite"),
        (NoGradient, "the gradient of f.0.W is zero"),
        (NoTerms, "returns no terms"),
        (Leaks, "leaks into judge.W, which belongs to a network outside updates"),
        (ForgetsScale, "scale=2 does not double"),
        (ScalesTerms, "scale=2 changed the terms"),
        (AlwaysBackward, "backward=False still fills gradients"),
        (DrawsInside, "not all noise is in `noise`"),
        (Replaces, "gradients are added to, never replaced"),
        (MovesParameters, "a call changed noise.target"),
        (MovesState, "a call changed model.state"),
        (IgnoresForwards, "given its own forwards it computes something else"),
        (HandsBackTheJudge, "forward of 'judge:fake', which it does not update"),
        (NotAnalytic, "not that of the loss"),
        (WrongDead, "f.0.b is declared dead, but its gradient is not zero"),
        (UnknownDead, "declares judge.b dead, which is no parameter that it updates"),
        (UpdatesNobody, "the model's networks are f, judge"),
    ],
)
def test_wrong_objective_is_refused(wrong, says):
    with pytest.raises(ProofError, match="game") as raised:
        prove(Toy(wrong()), BATCH, Key(1))
    assert says in str(raised.value), str(raised.value)


def test_a_failed_proof_hands_over_its_rows():
    with pytest.raises(ProofError) as raised:
        prove(Toy(Scaled()), BATCH, Key(1))
    rows = raised.value.rows
    assert len(rows) == 8
    assert all(isinstance(row, Row) for row in rows)
    assert all(not (row.rel_error <= 1e-9) for row in rows[::2])


def test_a_dead_parameter_is_refused_or_declared():
    class Constant(Linear):
        """Its bias is taken away again."""

        def forward(self, x, **options):
            y, cache = super().forward(x, **options)
            return y - self.params["b"], cache

        def backward(self, dy, cache, **options):
            before = self.grads["b"].copy()
            dx = super().backward(dy, cache, **options)
            self.grads["b"][...] = before
            return dx

    class Declared(Game):
        dead = MappingProxyType({"f.out.b": "it is taken away again"})

    with pytest.raises(ProofError, match=r"the gradient of f.out.b is zero"):
        prove(Toy(out=Constant(6, 2)), BATCH, Key(1))
    rows = prove(Toy(Declared(), out=Constant(6, 2)), BATCH, Key(1))
    assert rows[-2].parameter == "f.out.b"
    assert rows[-2].rel_error < 1e-12


def test_a_leak_into_a_frozen_part_is_refused():
    class Stubborn(Linear):
        def backward(self, dy, cache, **options):
            self.learns = True
            dx = super().backward(dy, cache, **options)
            self.learns = False
            return dx

    model = Toy(out=Stubborn(6, 2))
    model.f["out"].freeze()
    with pytest.raises(ProofError, match=r"leaks into f\.out\.W, which is frozen"):
        prove(model, BATCH, Key(1))


def test_model_without_objectives_is_refused():
    model = Toy()
    model.objectives = ()
    with pytest.raises(ProofError, match="no objectives"):
        prove(model, BATCH, Key(1))


def test_check_model_by_name():
    rows = check_model("vae", hidden=16, latents=3)
    assert {row.model for row in rows} == {"vae"}
    assert max(row.rel_error for row in rows if row.method == "complex step") < 1e-12
    with pytest.raises(ValueError, match="did you mean 'vae'"):
        check_model("vea")

"""User 5: two generators in a cycle against two discriminators (Zhu et al. 2017, "CycleGAN").

    a -- a2b --> fake_b -- b2a --> back_a       (judge_b(fake_b) - 1)^2 + weight (back_a - a)^2
    b -- b2a --> fake_a -- a2b --> back_b       (judge_a(fake_a) - 1)^2 + weight (back_b - b)^2

Each generator is called twice, and fake_b is used twice: its gradient is the sum of what comes back from judge_b and from
b2a. The judges' turn needs the same fakes, as constants. They are passed on (`forwards`), so each is computed once a step; and
a judge sees some from a history of former fakes (Shrivastava et al. 2017): `model.state`, read in draw and moved in commit.

The paper's cycle loss is an absolute value; here it is a square.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Linear, Sequential, Tanh
from minigen.losses import mse
from minigen.models import Model, Objective
from minigen.models.objective import Forwarder, network_of
from minigen.optim import Adam
from minigen.random import Key


def target(logits, value):
    """mean (logits - value)^2 (least squares: Mao et al. 2017)."""
    return mse(logits, np.full(logits.shape, value))


class Cycle(Objective):
    """Both generators: fool the judge of the other side, and come back."""

    name, updates = "cycle", ("a2b", "b2a")

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        (a, b), forward = batch, Forwarder(model, forwards, train=train)
        fake_b, to_fake_b = forward("a2b", a)
        fake_a, to_fake_a = forward("b2a", b)
        back_a, to_back_a = forward("b2a:back", fake_b)
        back_b, to_back_b = forward("a2b:back", fake_a)
        score_a, to_score_a = forward("judge_a", fake_a)
        score_b, to_score_b = forward("judge_b", fake_b)

        fool_a, dscore_a = target(score_a, 1.0)
        fool_b, dscore_b = target(score_b, 1.0)
        cycle_a, dback_a = mse(back_a, a)
        cycle_b, dback_b = mse(back_b, b)
        if backward:
            dfake_a = model.judge_a.backward(scale * dscore_a, to_score_a, param_grads=False)
            dfake_b = model.judge_b.backward(scale * dscore_b, to_score_b, param_grads=False)
            dfake_a += model.a2b.backward(scale * self.weight * dback_b, to_back_b)
            dfake_b += model.b2a.backward(scale * self.weight * dback_a, to_back_a)
            model.b2a.backward(dfake_a, to_fake_a, need_dx=False)
            model.a2b.backward(dfake_b, to_fake_b, need_dx=False)
        back = {"cycle_a": self.weight * cycle_a, "cycle_b": self.weight * cycle_b}
        return {"fool_a": fool_a, "fool_b": fool_b} | back, forward.made(self.updates)


class Shown(NamedTuple):
    a: np.ndarray  # (N, D) fakes of this step, some exchanged for older ones
    b: np.ndarray
    seen_a: np.ndarray  # (P, D) the history, as it will be after this step
    seen_b: np.ndarray


class Judges(Objective):
    """Both discriminators: real is 1, fake is 0. The fakes are constants, so they are drawn."""

    name, updates = "judges", ("judge_a", "judge_b")

    def draw(self, model, batch, key, forwards=None):
        (a, b), forward = batch, Forwarder(model, forwards)
        (fake_b, _), (fake_a, _) = forward("a2b", a), forward("b2a", b)
        shown_a, seen_a = exchange(fake_a, model.state["seen_a"], key.at("a"))
        shown_b, seen_b = exchange(fake_b, model.state["seen_b"], key.at("b"))
        return Shown(shown_a, shown_b, seen_a, seen_b)

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        (a, b), forward, terms = batch, Forwarder(model, forwards, train=train), {}
        cases = (
            ("judge_a:real", a, 1.0),
            ("judge_a:fake", noise.a, 0.0),
            ("judge_b:real", b, 1.0),
            ("judge_b:fake", noise.b, 0.0),
        )
        for call, x, value in cases:
            score, cache = forward(call, x)
            terms[call], dscore = target(score, value)
            if backward:
                model.nets[network_of(call)].backward(scale * dscore, cache, need_dx=False)
        return terms, forward.made(self.updates)


def exchange(fake, seen, key):
    """The fakes to show, half of them exchanged for former ones, and the history that remembers all of today's."""
    slot, coin = key.at("slot").permutation(len(seen))[: len(fake)], key.at("coin").bernoulli(0.5, (len(fake), 1))
    after = seen.copy()
    after[slot] = fake
    return np.where(coin, seen[slot], fake), after


class CycleGAN(Model):
    def __init__(self, size: int = 3, history: int = 12) -> None:
        def net(outputs):
            return Sequential(Linear(size, 7), Tanh(), Linear(7, outputs))

        super().__init__(Key(5), np.float64, a2b=net(size), b2a=net(size), judge_a=net(1), judge_b=net(1))
        self.state = {side: Key(5).at(side).normal((history, size), np.float64) for side in ("seen_a", "seen_b")}
        self.objectives = (Cycle(), Judges())
        self.optimize(
            generators=Adam(self, self.spans("a2b", "b2a"), 5e-3), judges=Adam(self, self.spans("judge_a", "judge_b"), 5e-3)
        )

    def step(self, batch, key):
        cycle, judges = self.objectives

        self.zero_grads()
        terms, forwards = cycle(self, batch, None)
        self.optimizers["generators"].step()
        self.commit(None, forwards)

        noise = judges.draw(self, batch, key, forwards)  # of the fakes that exist
        self.zero_grads()
        judged, forwards = judges(self, batch, noise)
        self.optimizers["judges"].step()
        self.commit(noise, forwards)
        return terms | judged

    def commit(self, noise, forwards):
        super().commit(noise, forwards)
        if isinstance(noise, Shown):
            self.state |= {"seen_a": noise.seen_a, "seen_b": noise.seen_b}


A, B = Key(50).normal((5, 3), np.float64), Key(51).normal((6, 3), np.float64)


def test_both_objectives():
    rows = prove(CycleGAN(), (A, B), Key(52))
    assert len({(row.objective, row.parameter) for row in rows}) == 4 * 4


def test_each_fake_is_computed_once_a_step(monkeypatch):
    model, calls = CycleGAN(), Counter()
    for name, net in model.nets.items():

        def counted(*args, name=name, forward=net.forward, **options):
            calls[name] += 1
            return forward(*args, **options)

        monkeypatch.setattr(net, "forward", counted)
    model.step((A, B), Key(53))
    assert calls == {"a2b": 2, "b2a": 2, "judge_a": 3, "judge_b": 3}


def test_passed_on_or_computed_again_the_draw_is_the_same():
    model = CycleGAN()
    cycle, judges = model.objectives
    _, forwards = cycle(model, (A, B), None, backward=False)
    assert set(forwards) == {"a2b", "b2a", "b2a:back", "a2b:back"}
    one, two = judges.draw(model, (A, B), Key(54)), judges.draw(model, (A, B), Key(54), forwards)
    assert all(np.array_equal(x, y) for x, y in zip(one, two, strict=True))


def test_the_history_moves_in_commit_alone_and_remembers_every_fake():
    model = CycleGAN()
    _, judges = model.objectives
    before = {name: (array, array.copy()) for name, array in model.state.items()}
    noise = judges.draw(model, (A, B), Key(55))
    _, forwards = judges(model, (A, B), noise)
    assert all(model.state[name] is array and np.array_equal(array, copy) for name, (array, copy) in before.items())
    model.commit(noise, forwards)
    fake_a = model.b2a.forward(B)[0]
    assert all((model.state["seen_a"] == row).all(1).sum() == 1 for row in fake_a)
    former = [any((row == old).all() for old in before["seen_a"][1]) for row in noise.a]
    assert 0 < sum(former) < len(former)
    assert np.array_equal(*before["seen_a"])  # replaced, not written into


def test_training_brings_a_there_and_back():
    """a is N(0, 1), b is N(2, 1/4): the fakes take on b's mean, and the cycle closes."""
    model = CycleGAN(history=64)
    start = model.step((A, B), Key(58))["cycle_a"]
    for i in range(400):
        a, b = (Key(56).at(side, i).normal((32, 3), np.float64) for side in "ab")
        terms = model.step((a, 2 + 0.5 * b), Key(57).at(i))
    fake_b = model.a2b.forward(a)[0]
    assert fake_b.mean() == pytest.approx(2, abs=0.3)
    assert terms["cycle_a"] < 0.3 * start

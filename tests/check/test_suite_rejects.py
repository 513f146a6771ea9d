"""The suite is checked: a right layer passes, and every way to be wrong is found, by the property that is named for it."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from minigen.check import CheckError, suite
from minigen.layers import initialisers
from minigen.layers.layer import Layer
from minigen.layers.vector import Spec


class Cache(NamedTuple):
    x: Any  # (N, D)
    w: Any  # g (D,), b (D,)


class Square(Layer):
    """y = g x^2 + b: short, and nothing in its derivatives is constant."""

    def __init__(self, D=3):
        super().__init__(g=Spec((D,), initialisers.ones), b=Spec((D,), initialisers.zeros))

    def forward(self, x, *, train=False, key=None):
        w = self.weights()
        return w.g * x * x + w.b, Cache(x, w)

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        x, w = cache.x, self.weights(cache)
        if param_grads and self.learns:
            self.learn(w, g=(dy * x * x).sum(0), b=dy.sum(0))
        return 2 * w.g * x * dy if need_dx else None

    def jvp(self, x_dot, cache, *, move_params=False):
        x, w = cache.x, self.weights(cache)
        w_dot = self.weights_dot(w, move_params)
        y_dot = 2 * w.g * x * x_dot
        if w_dot:
            y_dot = y_dot + w_dot.g * x * x + w_dot.b
        return y_dot, Cache(x_dot, w_dot)

    def backward_jvp(self, dy, dy_dot, cache, tangents, *, need_dx=True, param_grads=True):
        (x, w), (x_dot, w_dot) = cache, tangents
        w = self.weights(cache)
        if param_grads and self.learns:
            dg_dot = (dy_dot * x * x + 2 * dy * x * x_dot).sum(0)
            self.learn_dot(w, w_dot, g=((dy * x * x).sum(0), dg_dot), b=(dy.sum(0), dy_dot.sum(0)))
        if not need_dx:
            return None, None
        dx_dot = 2 * w.g * (x * dy_dot + x_dot * dy)
        if w_dot:
            dx_dot = dx_dot + 2 * w_dot.g * x * dy
        return 2 * w.g * x * dy, dx_dot


def test_right_layer_passes():
    report = suite(Square, (5, 3))
    assert {check.property for check in report.checks if check.error is None} <= {
        *("definition", "still", "spared work", "unused output", "streaming", "inverse", "volume", "data start", "back ends")
    }
    assert report["gradient"].error < 1e-14
    assert "second order" in str(report)


# ---- wrong derivatives


class Scaled(Square):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache, **options)
        return None if dx is None else 1.001 * dx


class Flipped(Square):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache, **options)
        return None if dx is None else -dx


class Zeroed(Square):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache, **options)
        return None if dx is None else 0 * dx


class NotANumber(Square):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache, **options)
        return None if dx is None else np.nan * dx


class ScaledParameter(Square):
    def learn(self, w, **gradients):
        super().learn(w, g=1.001 * gradients["g"], b=gradients["b"])


class MissingParameter(Square):
    def learn(self, w, **gradients):
        super().learn(w, g=gradients["g"])


class TransposedAxes(Square):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache, **options)
        return None if dx is None else dx.T


class WrongTangent(Square):
    def jvp(self, x_dot, cache, *, move_params=False):
        y_dot, tangents = super().jvp(x_dot, cache, move_params=move_params)
        return 1.001 * y_dot, tangents


class ForgottenDirection(Square):
    def jvp(self, x_dot, cache, *, move_params=False):
        return super().jvp(x_dot, cache, move_params=False)


class MissingSecondTerm(Square):
    def backward_jvp(self, dy, dy_dot, cache, tangents, **options):
        return super().backward_jvp(dy, dy_dot, cache, tangents._replace(x=0 * tangents.x), **options)


class WrongSecondGradient(Square):
    def learn_dot(self, w, w_dot, **gradients):
        super().learn_dot(w, w_dot, g=(None, 1.001 * gradients["g"][1]), b=gradients["b"])


class FirstOrderInstead(Square):
    def backward_jvp(self, dy, dy_dot, cache, tangents, **options):
        return self.backward(dy, cache, **options), self.backward(dy_dot, cache, **options)


# ---- wrong conduct


class Remembers(Square):
    def forward(self, x, **options):
        y, cache = super().forward(x, **options)
        self.x = x
        return y, cache

    def backward(self, dy, cache, **options):
        return super().backward(dy, cache._replace(x=self.x), **options)


class WritesIntoInput(Square):
    def forward(self, x, **options):
        y, cache = super().forward(x.copy(), **options)
        x *= 1.0 + 1e-16
        x[0] = -x[0]
        return y, cache


class WritesIntoCotangent(Square):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache, **options)
        dy += 1
        return dx


class WritesIntoCache(Square):
    def backward(self, dy, cache, **options):
        dx = super().backward(dy, cache._replace(x=cache.x.copy()), **options)
        cache.x[...] = 0
        return dx


class Replaces(Square):
    def learn(self, w, **gradients):
        for name, g in gradients.items():
            self.grads[name][...] = g


class AddsToWhatCountsAsZero(Square):
    def learn(self, w, **gradients):
        for name, g in gradients.items():
            self.grads.add(name, lambda out, accumulate, g=g: np.add(out, g, out=out))


class AlwaysLearns(Square):
    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        return super().backward(dy, cache, need_dx=need_dx)


class LearnsFrozen(Square):
    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        before, self.learns = self.learns, True
        try:
            return super().backward(dy, cache, need_dx=need_dx, param_grads=param_grads)
        finally:
            self.learns = before


class AlwaysDx(Square):
    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        return super().backward(dy, cache, param_grads=param_grads)


class TakesStale(Square):
    def weights(self, cache=None):
        return super().weights() if cache is None else cache.w


class StillIsNotZero(Square):
    takes_still = True

    def backward_jvp(self, dy, dy_dot, cache, tangents, **options):
        return super().backward_jvp(dy, dy if dy_dot is None else dy_dot, cache, tangents, **options)


class MixesRows(Square):
    def forward(self, x, **options):
        y, cache = super().forward(x, **options)
        return y + 0 * y.mean(0) + x[:1] * x[:1], cache

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        dx = super().backward(dy, cache, param_grads=param_grads)
        dx[0] += 2 * cache.x[0] * dy.sum(0)
        return dx if need_dx else None

    def jvp(self, x_dot, cache, *, move_params=False):
        y_dot, tangents = super().jvp(x_dot, cache, move_params=move_params)
        return y_dot + 2 * cache.x[:1] * x_dot[:1], tangents

    def backward_jvp(self, dy, dy_dot, cache, tangents, *, need_dx=True, param_grads=True):
        dx, dx_dot = super().backward_jvp(dy, dy_dot, cache, tangents, param_grads=param_grads)
        dx[0] += 2 * cache.x[0] * dy.sum(0)
        dx_dot[0] += 2 * (tangents.x[0] * dy.sum(0) + cache.x[0] * dy_dot.sum(0))
        return (dx, dx_dot) if need_dx else (None, None)


class Promotes(Square):
    def forward(self, x, **options):
        y, cache = super().forward(x, **options)
        return y * np.sqrt(1), cache


class WantsContiguous(Square):
    def forward(self, x, **options):
        if x.flags.c_contiguous:
            return super().forward(x, **options)
        return super().forward(np.zeros_like(x), **options)


class FailsOnEmpty(Square):
    def forward(self, x, **options):
        y, cache = super().forward(x, **options)
        return y, cache._replace(x=x + 0 * x[0])


class NotAnalytic(Square):
    def forward(self, x, **options):
        _, cache = super().forward(x, **options)
        return cache.w.g * abs(x) * abs(x) + cache.w.b, cache


class AsksTheHost(Square):
    def forward(self, x, **options):
        assert float(x.real.sum()) is not None
        return super().forward(x, **options)


class DrawsWithoutKey(Square):
    def forward(self, x, *, train=False, key=None):
        y, cache = super().forward(x)
        return y + (0 if key is None else key.normal(y.shape, like=x)), cache


class MovesStateInForward(Square):
    def begin_state(self, key):
        super().begin_state(key)
        self.state["count"] = np.zeros(1)

    def forward(self, x, **options):
        self.state["count"] = self.state["count"] + 1
        return super().forward(x, **options)


class CommitWritesInPlace(Square):
    def begin_state(self, key):
        super().begin_state(key)
        self.state["count"] = np.zeros(1)

    def commit(self, cache):
        self.state["count"] += 1


class CommitForgets(CommitWritesInPlace):
    def commit(self, cache):
        pass


class CommitMovesParameters(Square):
    def commit(self, cache):
        self.params["g"][...] += 1


class ClaimsToStream(Square):
    streams = True

    def advance(self, x_t, memory):
        return 1.001 * super().advance(x_t, memory)


@pytest.mark.parametrize(
    ("wrong", "prop"),
    [
        *((cls, "gradient") for cls in (Scaled, Flipped, Zeroed, NotANumber, ScaledParameter, MissingParameter)),
        *((cls, "gradient") for cls in (TransposedAxes, NotAnalytic, WritesIntoCache)),
        *((cls, "tangent") for cls in (WrongTangent, ForgottenDirection)),
        *((cls, "second order") for cls in (MissingSecondTerm, WrongSecondGradient, FirstOrderInstead)),
        (Remembers, "pure"),
        (WritesIntoInput, "gradient"),
        (Replaces, "additive"),
        *((cls, "options") for cls in (AlwaysLearns, LearnsFrozen, AlwaysDx)),
        (StillIsNotZero, "still"),
        (TakesStale, "stale cache"),
        (MixesRows, "batch"),
        (Promotes, "float32"),
        (WantsContiguous, "strided"),
        (FailsOnEmpty, "empty batch"),
        (AsksTheHost, "device"),
        (DrawsWithoutKey, "repeatable"),
        *((cls, "commit") for cls in (CommitWritesInPlace, CommitForgets, CommitMovesParameters)),
        (ClaimsToStream, "streaming"),
    ],
)
def test_wrong_layer_is_rejected(wrong, prop):
    with pytest.raises(CheckError) as raised:
        suite(wrong, (5, 3))
    message = str(raised.value)
    assert message.startswith(wrong.__name__)
    assert f": {prop}: " in message
    assert "This property: " in message


@pytest.mark.parametrize("wrong", [WritesIntoCotangent, MovesStateInForward])
def test_wrong_conduct_is_rejected_by_some_property(wrong):
    with pytest.raises(CheckError, match=wrong.__name__):
        suite(wrong, (5, 3))


def test_purity_alone_finds_what_others_would_find_first():
    from minigen.check.suite_of_layers import PROPERTIES

    pure = [one for one in PROPERTIES if one.name == "pure"]
    for wrong in (WritesIntoCotangent, WritesIntoInput, WritesIntoCache, MovesStateInForward, Remembers):
        with pytest.raises(CheckError, match="changes"):
            suite(wrong, (5, 3), properties=pure)


def test_additive_alone_finds_what_is_added_to_numbers_that_count_as_zero():
    from minigen.check.suite_of_layers import PROPERTIES

    additive = [one for one in PROPERTIES if one.name == "additive"]
    with pytest.raises(CheckError, match="gradients after zero_grads and backward, what was there being NaN"):
        suite(AddsToWhatCountsAsZero, (5, 3), properties=additive)


def test_second_order_may_be_missing_but_not_partial():
    class FirstOnly(Square):
        jvp, backward_jvp = Layer.jvp, Layer.backward_jvp

    report = suite(FirstOnly, (5, 3))
    assert report["second order"].error is None
    assert "jvp is not written" in report["second order"].note


def test_a_property_may_be_skipped_with_a_reason():
    report = suite(Promotes, (5, 3), skip={"float32": "known"})
    assert report["float32"].note == "known"
    with pytest.raises(ValueError, match="no property 'flaot32'"):
        suite(Square, (5, 3), skip={"flaot32": "typo"})


def test_takes_instances_laid_out_or_not_and_leaves_them_alone():
    from minigen.random import Key

    fresh, laid = Square(), Square().initialise(Key(0))
    before = laid.vector.theta.copy()
    suite(fresh, (5, 3))
    suite(laid, np.linspace(-1, 1, 15).reshape(5, 3))
    assert not fresh.laid_out
    np.testing.assert_array_equal(laid.vector.theta, before)
    assert not laid.vector.grad.any()
    with pytest.raises(TypeError, match="a shape, an array, or a tuple"):
        suite(Square, [5, 3])
    with pytest.raises(TypeError, match="suite takes a Layer"):
        suite(lambda: 3, (5, 3))

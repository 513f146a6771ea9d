"""Update rules against the textbook recursions, written out here number by number, and against PyTorch."""

import math

import numpy as np
import pytest

from minigen.averaging import Average
from minigen.layers.composite import Sequential
from minigen.layers.layer import StaleCacheError
from minigen.layers.linear import Linear
from minigen.models import Model
from minigen.optim import (
    SGD,
    Adam,
    AdamW,
    clip_norm,
    cosine_decay,
    linear_decay,
    step_decay,
    warmup,
)
from minigen.random import Key

STEPS = 7
KEY = Key(0)


def net(dtype=np.float64):
    return Sequential(one=Linear(3, 4), two=Linear(4, 2)).initialise(KEY, dtype)


def gradients(size, dtype=np.float64):
    return [KEY.at("grad", t).normal(size, dtype) * 10.0 ** (t - 3) for t in range(STEPS)]


def run(make, dtype=np.float64):
    """theta after STEPS steps, from all-parameter gradients drawn by step."""
    layer = net(dtype)
    optimizer = make(layer)
    for g in gradients(layer.vector.grad.size, dtype):
        layer.vector.grad[...] = g
        optimizer.step()
    return layer.vector


def by_hand(rule, dtype=np.float64):
    """The same, one number after the other, from rule(theta, gradients of this number) -> theta."""
    layer = net(dtype)
    theta, grads = layer.vector.theta.copy(), gradients(layer.vector.grad.size, dtype)
    for i in range(theta.size):
        theta[i] = rule(float(theta[i]), [float(g[i]) for g in grads])
    return theta


def places(vector, theta):
    """Without the padding between parameters."""
    return np.concatenate([place.of(theta).reshape(-1) for place in vector.places.values()])


def agree(vector, theta, rtol=1e-12):
    np.testing.assert_allclose(places(vector, vector.theta), places(vector, theta), rtol=rtol, atol=rtol)


def test_sgd():
    def rule(theta, grads):
        for g in grads:
            theta -= 0.1 * g
        return theta

    agree(run(lambda owner: SGD(owner, rate=0.1)), by_hand(rule))


def test_sgd_with_momentum():
    def rule(theta, grads):
        v = 0.0
        for g in grads:
            v = 0.9 * v + g
            theta -= 0.1 * v
        return theta

    agree(run(lambda owner: SGD(owner, rate=0.1, momentum=0.9)), by_hand(rule))


def adam_rule(rate, b1, b2, eps, decay=0.0):
    def rule(theta, grads):
        m = v = 0.0
        for t, g in enumerate(grads, 1):
            theta -= rate * decay * theta
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            theta -= rate * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        return theta

    return rule


@pytest.mark.parametrize(("betas", "eps"), [((0.9, 0.999), 1e-8), ((0.5, 0.9), 1e-3), ((0.0, 0.99), 1e-8)])
def test_adam(betas, eps):
    agree(run(lambda owner: Adam(owner, rate=1e-2, betas=betas, eps=eps)), by_hand(adam_rule(1e-2, *betas, eps)))


def test_adamw():
    made = run(lambda owner: AdamW(owner, rate=1e-2, weight_decay=0.3))
    agree(made, by_hand(adam_rule(1e-2, 0.9, 0.999, 1e-8, 0.3)))


def test_float32_stays_float32():
    vector = run(lambda owner: Adam(owner, rate=1e-2), np.float32)
    assert vector.theta.dtype == np.float32
    agree(vector, by_hand(adam_rule(1e-2, 0.9, 0.999, 1e-8), np.float32), rtol=2e-5)


@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [
        (lambda owner: SGD(owner, rate=0.1), "SGD", {"lr": 0.1}),
        (lambda owner: SGD(owner, rate=0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
        (lambda owner: Adam(owner, rate=1e-2, betas=(0.5, 0.9)), "Adam", {"lr": 1e-2, "betas": (0.5, 0.9)}),
        (lambda owner: AdamW(owner, rate=1e-2, weight_decay=0.1), "AdamW", {"lr": 1e-2, "weight_decay": 0.1}),
    ],
)
def test_against_torch(ours, name, options):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    layer = net()
    theta = torch.tensor(layer.vector.theta.copy(), requires_grad=True)
    optimizer = getattr(torch.optim, name)([theta], **options)
    for g in gradients(layer.vector.grad.size):
        theta.grad = torch.tensor(g)
        optimizer.step()
    agree(run(ours), theta.detach().numpy())


# ---- spans and versions


def test_only_the_spans_move_and_their_caches_become_stale():
    layer = net()
    optimizer = SGD(layer, layer.vector.spans("two"), rate=0.1)
    x = KEY.normal((5, 3), np.float64)
    _, cache = layer.forward(x)
    before = {path: array.copy() for path, array in layer.named()}
    layer.vector.grad[...] = 1
    optimizer.step()
    for path, array in layer.named():
        assert np.array_equal(array, before[path]) == path.startswith("one"), path
    assert (layer["one"].version, layer["two"].version) == (0, 1)
    with pytest.raises(StaleCacheError):
        layer["two"].backward(np.ones((5, 2)), cache["two"][0])
    layer["one"].backward(np.ones((5, 4)), cache["one"][0])


def test_overlapping_spans_are_refused():
    layer = net()
    both = [*layer.vector.spans("one"), *layer.vector.spans("")]
    with pytest.raises(ValueError, match="would be updated twice"):
        SGD(layer, both)
    model = Model(KEY, f=Linear(3, 3), g=Linear(3, 3))
    with pytest.raises(ValueError, match="would be updated twice"):
        model.optimize(f=Adam(model, model.spans("f")), all=Adam(model, model.spans("")))
    model.optimize(f=Adam(model, model.spans("f")), g=Adam(model, model.spans("g")))


def test_a_network_without_a_vector_is_refused():
    with pytest.raises(ValueError, match="initialise"):
        SGD(Linear(3, 3))


def test_state_has_names_and_looks_into_the_moments():
    layer = net()
    optimizer = Adam(layer, rate=1e-2)
    layer.vector.grad[...] = 2
    optimizer.step()
    state = dict(optimizer.named_state())
    assert list(state) == [f"{m}.{path}" for m in "mv" for path in ("one.W", "one.b", "two.W", "two.b")]
    np.testing.assert_allclose(state["m.one.W"], 0.2 * np.ones((3, 4)))
    np.testing.assert_allclose(state["v.two.b"], 0.004 * np.ones(2))
    state["m.one.W"][...] = 0
    layer.vector.grad[...] = 0
    optimizer.step()
    np.testing.assert_array_equal(dict(optimizer.named_state())["m.one.W"], 0)
    assert dict(SGD(layer).named_state()) == {}


# ---- clipping and averaging


def test_clip_norm_scales_all_spans_together():
    layer = net()
    spans = layer.vector.spans("")
    for _, g in ((path, place.of(layer.vector.grad)) for path, place in layer.vector.places.items()):
        g[...] = 3.0
    count = layer.vector.size
    assert clip_norm(layer, spans, 1.0) == pytest.approx(3 * math.sqrt(count))
    assert np.linalg.norm(layer.vector.grad) == pytest.approx(1)
    before = layer.vector.grad.copy()
    assert clip_norm(layer, spans, 2.0) == pytest.approx(1)
    np.testing.assert_array_equal(layer.vector.grad, before)


def test_clip_norm_leaves_other_spans_alone():
    layer = net()
    layer.vector.grad[...] = 1
    clip_norm(layer, layer.vector.spans("one"), 1e-3)
    assert (layer["two"].grads["W"] == 1).all()
    assert (layer["one"].grads["W"] < 1e-3).all()


def test_average_follows_its_recursion():
    layer = net()
    average = Average(layer, decay=0.3)
    value = layer.vector.theta.copy()
    for t in range(STEPS):
        layer.vector.theta += KEY.at("move", t).normal(layer.vector.theta.size, np.float64)
        average.update()
        decay = min(0.3, (1 + t) / (10 + t))
        value = decay * value + (1 - decay) * layer.vector.theta
    np.testing.assert_allclose(places(layer.vector, _spread(layer, average)), places(layer.vector, value), rtol=1e-12)


def test_an_average_that_restarts_forgets_where_it_was():
    """As after a start from data: it goes on as one that was made just now."""
    layer = net()
    average = Average(layer, decay=0.9)
    layer.vector.theta[...] += 1
    average.update()
    layer.vector.theta[...] += 1
    average.restart()
    fresh = Average(layer, decay=0.9)
    layer.vector.theta[...] -= 3
    for one in (average, fresh):
        one.update()
    assert average.t == fresh.t == 1
    for one, other in zip(average.values, fresh.values, strict=True):
        np.testing.assert_array_equal(one, other)


def _spread(layer, average):
    full = np.zeros_like(layer.vector.theta)
    for span, values in zip(average.spans, average.values, strict=True):
        full[span] = values
    return full


def test_average_is_swapped_in_and_out():
    layer = net()
    average = Average(layer, decay=0.9)
    layer.vector.theta[...] += 1
    trained = layer.vector.theta.copy()
    _, cache = layer.forward(np.ones((1, 3)))
    with average.swapped():
        assert not np.array_equal(layer.vector.theta, trained)
        with pytest.raises(StaleCacheError):
            layer.backward(np.ones((1, 2)), cache)
    np.testing.assert_array_equal(layer.vector.theta, trained)
    assert [path for path, _ in average.named_state()] == ["one.W", "one.b", "two.W", "two.b"]


# ---- schedules


def test_schedules():
    assert [warmup(1.0, 4)(t) for t in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [linear_decay(1.0, 4, 0.2)(t) for t in (0, 2, 4, 9)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert [cosine_decay(1.0, 4, 0.2)(t) for t in (0, 1, 2, 4, 9)] == pytest.approx(
        [1.0, 0.2 + 0.4 * (1 + math.sqrt(0.5)), 0.6, 0.2, 0.2]
    )
    assert [step_decay(1.0, 2, 0.5)(t) for t in range(5)] == [1, 1, 0.5, 0.5, 0.25]


def test_an_optimizer_follows_its_schedule():
    layer = net()
    optimizer = SGD(layer, rate=step_decay(1.0, 1, 0.5))
    rates = []
    for _ in range(3):
        before = layer["one"].params["W"].copy()
        layer.vector.grad[...] = 1
        rates.append(optimizer.current_rate)
        optimizer.step()
        np.testing.assert_allclose(before - layer["one"].params["W"], rates[-1])
    assert rates == [1, 0.5, 0.25]
    assert optimizer.t == 3

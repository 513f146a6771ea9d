"""WaveNet and its stack over characters: proved, causal with the stated reach, streaming what forward computes, normalised."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from minigen.backend import workspace
from minigen.check import prove
from minigen.check.device_array import DEVICE, to_host, to_test_device
from minigen.data import Batches, load
from minigen.data.grammar import EXPRESSIONS
from minigen.layers import Conv1d
from minigen.losses import log_softmax
from minigen.models.causal_stack import CausalStack
from minigen.models.char_wavenet import CharWaveNet
from minigen.models.wavenet import Rows, WaveNet, before, draw
from minigen.random import Key
from minigen.training.evaluation import evaluate

KEY = Key(0)
SMALL = {"width": 5, "hidden": 6, "layers": 3, "stacks": 2}


def small(classes=3, dtype=np.float64, size=1.0, **options):
    """A WaveNet for rows of 30; `size` multiplies its parameters, so that its distributions are far from even."""
    model = WaveNet((30,), KEY.at("model"), dtype, classes=classes, hertz=8000, **{**SMALL, **options})
    model.theta *= size
    return model


def letters(characters="abc", length=3, size=3.0):
    model = CharWaveNet((length,), KEY.at("letters"), np.float64, characters=characters, **SMALL)
    model.theta *= size
    return model


def rows(classes=3, n=3, T=30):
    labels = KEY.at("labels").integers(classes, n) if classes else None
    return Rows(KEY.at("symbols").integers(256, (n, T)), labels)


# ---- proofs


@pytest.mark.parametrize("options", [{}, {"classes": 0}, {"kernel": 3, "layers": 2}, {"layers": 1, "stacks": 1}], ids=str)
def test_every_gradient_is_proved(options):
    prove(small(**options), rows(options.get("classes", 3)), KEY.at("proof"))


def test_the_loss_is_the_mean_of_minus_log_p():
    model, batch = small(size=2.0), rows()
    shifted = np.concatenate((np.full((3, 1), 256), batch.symbols[:, :-1]), 1)
    log_p = log_softmax(model.net.forward((shifted, batch.labels))[0])
    by_hand = np.array([[log_p[n, t, batch.symbols[n, t]] for t in range(30)] for n in range(3)])
    np.testing.assert_allclose(model.log_probability(batch), by_hand.sum(1), rtol=1e-13)
    terms, _ = model.objectives[0](model, batch, None, backward=False)
    assert abs(terms["nll"] + by_hand.mean()) < 1e-13


def test_probabilities_of_all_texts_sum_to_one():
    texts = np.array(list(itertools.product(range(3), repeat=4)))
    p = np.exp(letters(length=4).log_probability(Rows(texts, None)))
    assert p.max() > 5 * p.min()
    assert abs(p.sum() - 1) < 1e-12


# ---- what a position depends on


@pytest.mark.parametrize(("kernel", "dilations"), [(2, (1, 2, 4)), (2, (1, 2, 1, 2)), (3, (1, 3))])
@pytest.mark.parametrize("t", [0, 5, 12])
def test_causal_and_its_reach_by_derivative(kernel, dilations, t):
    """A symbol of its own at every position: then row s of the embedding's gradient is the derivative by position s."""
    net = CausalStack(20, 4, 5, kernel, dilations, classes=2).initialise(KEY.at("net"), np.float64)
    assert net.reach == 1 + (kernel - 1) * sum(dilations)
    logits, cache = net.forward((np.arange(20)[None], np.array([1])))
    dy = KEY.at("dy").normal(logits.shape, np.float64)
    dy[:, np.arange(20) != t] = 0
    net.zero_grads()
    net.backward(dy, cache, need_dx=False)
    seen = np.abs(net.embed.grads["E"]).sum(1) > 0
    assert seen.tolist() == [t - net.reach < s <= t for s in range(20)] + [False]


def test_the_network_never_sees_the_symbol_it_is_to_name():
    """A loss that fell to nothing would be this mistake: another last symbol leaves all logits as they are."""
    batch = rows()
    other = batch.symbols.copy()
    other[:, -1] = (other[:, -1] + 1) % 256
    np.testing.assert_array_equal(before(batch.symbols, 256), before(other, 256))
    np.testing.assert_array_equal(before(batch.symbols, 256)[:, 0], 256)


# ---- sampling


@pytest.mark.parametrize("classes", [0, 3])
def test_the_logits_met_while_sampling_are_those_of_the_sample(classes):
    model, met = small(classes, size=2.0), []
    labels = np.array([2, 0, 1, 1]) if classes else None
    drawn = model.sample_of(labels, 4, KEY.at("draw"), met=met)
    parallel, _ = model.net.forward((before(drawn, 256), labels))
    assert len(np.unique(drawn)) > 20
    assert np.abs(np.stack(met, 1) - parallel).max() <= 1e-12 * np.abs(parallel).max()


def test_the_memory_of_a_stream_does_not_grow_and_holds_what_is_looked_back_at():
    model, n = small(0), 2
    memory, x_t = model.net.stream(n), np.full(n, 256)

    def numbers(memory):
        if isinstance(memory, dict):
            return sum(map(numbers, memory.values()))
        return memory.last.size if hasattr(memory, "last") else 0

    sizes = []
    for _ in range(40):
        model.net.advance((x_t, None), memory)
        sizes.append(numbers(memory))
    assert set(sizes) == {n * 5 * 2 * sum(d + 1 for d in (1, 2, 4))}


def test_a_position_takes_the_same_products_wherever_it_stands(monkeypatch):
    model, met = small(0), []
    true = Conv1d.advance
    monkeypatch.setattr(Conv1d, "advance", lambda self, x_t, memory: met.append(x_t.shape) or true(self, x_t, memory))
    model.sample_of(None, 2, KEY, length=25)
    assert met == [(2, 5)] * 6 * 25


def test_a_longer_sample_begins_as_a_shorter_one_and_labels_are_spread():
    model = small(dtype=np.float32)
    short, long = model.sample(6, KEY), model.sample(6, KEY, length=40)
    assert (short.shape, short.dtype.kind, long.shape) == ((6, 30), "i", (6, 40))
    np.testing.assert_array_equal(long[:, :30], short)
    np.testing.assert_array_equal(short, model.sample_of([0, 0, 1, 1, 2, 2], 6, KEY))
    assert not np.array_equal(short, model.sample(6, KEY.at(1)))


def test_symbols_are_drawn_with_their_probabilities():
    p, n = np.array([0.0, 0.5, 0.2, 0.0, 0.3, 0.0]), 40_000
    with np.errstate(divide="ignore"):
        drawn = draw(np.log(p)[None] + np.full((n, 1), 3.0), KEY.at("u").uniform(n, np.float64))
    counts = np.bincount(drawn, minlength=6)
    assert (np.abs(counts - n * p) <= 4.5 * np.sqrt(n * p * (1 - p))).all()
    ends = draw(np.repeat([[-1e9, 0.0, -1e9]], 2, 0), np.array([0.0, np.nextafter(1, 0)]))
    assert ends.tolist() == [1, 1]


def test_texts_are_drawn_with_their_probabilities():
    model, n = letters(), 20_000
    texts, counts = np.unique(model.sample_of(None, n, KEY.at("texts")), axis=0, return_counts=True)
    p = np.exp(model.log_probability(Rows(texts, None)))
    assert len(texts) > 12
    assert (np.abs(counts - n * p) < 4.5 * np.sqrt(n * p * (1 - p)) + 1).all()


def test_a_low_temperature_chooses_the_most_probable():
    model, met = letters(length=12), []
    cold = model.sample_of(None, 2, KEY, temperature=1e-4, met=met)
    np.testing.assert_array_equal(cold, np.stack(met, 1).argmax(-1))


# ---- training


def test_it_learns_the_grammar_and_stays_above_its_entropy():
    """Better than single characters' frequencies after 80 steps, and on the same rows never better than the truth."""
    train, test = load("grammar", rows=400, length=48), load("grammar", "test", rows=100, length=48)
    model = CharWaveNet((48,), KEY, width=16, hidden=24, layers=4, stacks=1, **train.traits)
    model.start(1e-2, 80)
    batches = Batches(train, 16, KEY.at("data"))
    with workspace():
        for i in range(80):
            model.step(model.batch_of(next(batches)), KEY.at(i))
    nll = evaluate(model, test, np.arange(100), KEY).values["nll"]
    frequency = np.bincount(train.images.reshape(-1)) / train.images.size
    alone = -np.log(frequency[test.images]).mean()
    truth = -EXPRESSIONS.log_probability(test.images).mean() / 48
    assert truth < nll < 0.75 * alone


def test_the_label_decides_the_sound():
    """Rows of label k hold level 100 k alone: after some steps a sample of label k does too."""
    model = WaveNet((16,), KEY, classes=2, hertz=8000, **SMALL)
    model.start(3e-2, 120)
    labels = np.array([0, 1] * 4)
    batch = Rows(np.broadcast_to(100 * labels[:, None], (8, 16)), labels)
    for i in range(120):
        model.step(batch, KEY.at(i))
    drawn = model.sample(20, KEY.at("sample"))
    assert (drawn[:10] == 0).mean() > 0.9
    assert (drawn[10:] == 100).mean() > 0.9


# ---- what it is not for


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: WaveNet((30,), KEY), "is for sampled sound, and needs its rate: choose data such as plucked"),
        (lambda: WaveNet((28, 28, 1), KEY, hertz=8000), r"rows of shape \(T,\), not \(28, 28, 1\)"),
        (lambda: small(kernel=1), "kernel is 1: it must be at least 2"),
        (lambda: small(layers=0), "layers is 0: it must be at least 1"),
        (lambda: CharWaveNet((30,), KEY), "is for text, and needs its characters: choose data such as grammar"),
    ],
)
def test_a_model_that_cannot_be_says_why(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_batch_it_cannot_take_says_why():
    batch = SimpleNamespace(images=np.zeros((2, 30), int), labels=None)
    with pytest.raises(ValueError, match="learns from labels, and these rows have none"):
        small().batch_of(batch)
    assert small(0).batch_of(batch).labels is None
    batch.images = np.zeros((2, 30))
    with pytest.raises(ValueError, match="sequences of integers, and these rows are float64"):
        small(0).batch_of(batch)


def test_a_step_and_a_sample_stay_on_the_device():
    """On the array that refuses to come to the host: the loss is the CPU's, and so are the drawn symbols."""
    model, batch = small(dtype=np.float32), rows()
    twin = model.to(DEVICE)
    here, _ = model.objectives[0](model, batch, None)
    there, _ = twin.objectives[0](twin, Rows(to_test_device(batch.symbols), to_test_device(batch.labels)), None)
    assert abs(float(to_host(there["nll"])) - here["nll"]) < 1e-6
    assert np.abs(to_host(twin.grad) - model.grad).max() < 1e-6
    np.testing.assert_array_equal(to_host(twin.sample(3, KEY)), model.sample(3, KEY))

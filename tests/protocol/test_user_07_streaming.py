"""User 7: a causal stack (van den Oord et al. 2016, "WaveNet"), trained in parallel and sampled one position at a time.

    y_t = c + sum_i x_{t - i d} W_i,   i = 0 .. K-1        (a convolution that looks back: d is its dilation)

    dx_s = sum_i dy_{s + i d} W_i'     dW_i = sum_t x_{t - i d}' dy_t     dc = sum_t dy_t

In training all positions are computed at once. In sampling, x_t is known only after y_t-1: `advance` computes one position
from a memory of the last (K-1) d inputs, and a composite streams by itself, because its wiring says how. That the input is
shifted, so that position t sees only what came before, is outside the network: in the objective and in the sampler, once each.
"""

from typing import NamedTuple

import numpy as np
import pytest

from minigen.check import prove
from minigen.layers import Composite, Layer, Linear, ReLU, Sequential, Spec, Tanh
from minigen.layers.initialisers import fan_in_uniform, zeros
from minigen.layers.layer import Weights
from minigen.losses import categorical, log_softmax
from minigen.models import Model, Objective
from minigen.random import Key


class CausalCache(NamedTuple):
    x: np.ndarray  # (N, R + T, C), R zeros before the first position
    w: Weights  # W (K, C, D), c (D,)


class CausalConv1d(Layer):
    """(N, T, C) -> (N, T, D)."""

    def __init__(self, inputs: int, outputs: int, taps: int = 2, dilation: int = 1) -> None:
        super().__init__(W=Spec((taps, inputs, outputs), fan_in_uniform), c=Spec((outputs,), zeros))
        self.taps, self.dilation, self.reach = taps, dilation, (taps - 1) * dilation

    def places(self, T):
        """The slice of the padded input that tap i looks at."""
        return [slice(self.reach - i * self.dilation, self.reach - i * self.dilation + T) for i in range(self.taps)]

    def forward(self, x, *, train=False, key=None):
        w, T = self.weights(), x.shape[1]
        x = np.pad(x, ((0, 0), (self.reach, 0), (0, 0)))
        return w.c + sum(x[:, at] @ W for at, W in zip(self.places(T), w.W, strict=True)), CausalCache(x, w)

    def backward(self, dy, cache, *, need_dx=True, param_grads=True):
        w, places = self.weights(cache), self.places(dy.shape[1])
        if param_grads and self.learns:
            dW = np.stack([np.tensordot(cache.x[:, at], dy, ((0, 1), (0, 1))) for at in places])
            self.learn(w, W=dW, c=dy.sum((0, 1)))
        dx = np.zeros(cache.x.shape, dy.dtype)
        for at, W in zip(places, w.W, strict=True):
            dx[:, at] += dy @ W.T
        return dx[:, self.reach :] if need_dx else None

    def stream(self, batch, width=None):
        W = self.params["W"]
        return np.zeros((batch, self.reach + 1, W.shape[1]), W.dtype)  # the last positions, the newest at the end

    def advance(self, x_t, memory):
        memory[:, :-1], memory[:, -1] = memory[:, 1:], x_t
        w = self.weights()
        return w.c + sum(memory[:, -1 - i * self.dilation] @ W for i, W in enumerate(w.W))


class Stack(Composite):
    """Residual blocks with growing dilation; what every block adds also goes straight to the head (skip outputs)."""

    def __init__(self, symbols: int, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = Linear(symbols, width)
        self.blocks = [Sequential(CausalConv1d(width, width, 2, d), Tanh(), Linear(width, width)) for d in dilations]
        self.head = Sequential(ReLU(), Linear(width, symbols))

    def wire(self, f, x):
        h, skips = f.stem(x), 0
        for i in range(len(self.blocks)):
            u = f.blocks[i](h)
            h, skips = h + u, skips + u
        return f.head(skips)

    def unwire(self, b, dy):
        dskips, dh = b.head(dy), 0  # nobody uses the last h
        for i in reversed(range(len(self.blocks))):
            dh = dh + b.blocks[i](dskips + dh)
        return b.stem(dh, need_dx=b.need_dx)


def shifted(x, symbols):
    """What the network sees of symbols x (N, T): at t, the one-hot symbol of t - 1; at 0, nothing."""
    return np.pad(np.eye(symbols)[x[:, :-1]], ((0, 0), (1, 0), (0, 0)))


class NegativeLogLikelihood(Objective):
    """-sum_t log p(x_t | x_<t), nats per sequence."""

    name, updates = "nll", ("net",)

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        called = (forwards or {}).get("net") or model.net.forward(shifted(batch, model.symbols), train=train)
        loss, dlogits = categorical(called[0], batch)
        if backward:
            model.net.backward(scale * dlogits, called[1], need_dx=False)
        return {"nll": loss}, {"net": called}


class WaveNet(Model):
    def __init__(self, symbols: int = 7, dilations: tuple[int, ...] = (1, 2, 4)) -> None:
        self.symbols = symbols
        super().__init__(Key(7), np.float64, net=Stack(symbols, 5, dilations))
        self.objectives = (NegativeLogLikelihood(),)

    def sample(self, n, key, T=24):
        """n sequences (n, T), and the logits (n, T, symbols) they were drawn from."""
        memory, x_t, drawn, met = self.net.stream(n), np.zeros((n, self.symbols)), [], []
        for t in range(T):
            met.append(self.net.advance(x_t, memory))
            below = np.exp(log_softmax(met[-1])).cumsum(1) < key.at(t).uniform((n, 1), np.float64)
            drawn.append(below[:, :-1].sum(1))
            x_t = np.eye(self.symbols)[drawn[-1]]
        return np.stack(drawn, 1), np.stack(met, 1)


def test_gradient():
    prove(WaveNet(), Key(70).integers(7, (3, 15)), Key(71))


def test_the_logits_met_while_sampling_are_those_of_the_sample():
    """Not 'streamed equals parallel' on some input, which holds for a sampler that feeds itself the wrong symbols too."""
    model = WaveNet()
    drawn, met = model.sample(4, Key(72))
    parallel, _ = model.net.forward(shifted(drawn, model.symbols))
    assert len(np.unique(drawn)) == model.symbols
    assert np.abs(met - parallel).max() <= 1e-13


def test_streamed_equals_parallel_on_any_input():
    net, x = WaveNet().net, Key(73).normal((2, 20, 7), np.float64)
    memory = net.stream(2)
    streamed = np.stack([net.advance(x[:, t], memory) for t in range(20)], 1)
    assert np.abs(streamed - net.forward(x)[0]).max() <= 1e-13


def test_two_streams_at_once_do_not_know_of_each_other():
    net, x = WaveNet().net, Key(74).normal((2, 2, 12, 7), np.float64)
    memories = net.stream(2), net.stream(2)
    together = [np.stack([net.advance(x[s][:, t], memories[s]) for s in (0, 1)]) for t in range(12)]
    for s in (0, 1):
        assert np.abs(np.stack([y[s] for y in together], 1) - net.forward(x[s])[0]).max() <= 1e-13


@pytest.mark.parametrize("t", [0, 3, 9])
def test_causal_by_derivative(t):
    """dy_t/dx_s is zero for s > t, not for s = t, and reaches back 1 + 2 + 4 positions, no further."""
    net, x = WaveNet().net, Key(75).normal((2, 14, 7), np.float64)
    y, cache = net.forward(x)
    dy = Key(76).normal(y.shape, np.float64)
    dy[:, np.arange(14) != t] = 0
    seen = np.abs(net.backward(dy, cache)).sum((0, 2)) > 0
    assert seen.tolist() == [t - 7 <= s <= t for s in range(14)]


def test_a_layer_that_looks_ahead_does_not_stream():
    class Reverse(Layer):
        def forward(self, x, *, train=False, key=None):
            return x[:, ::-1], None

    net = Sequential(Linear(3, 3), Reverse()).initialise(Key(0), np.float64)
    with pytest.raises(NotImplementedError, match="Reverse does not stream"):
        net.advance(np.zeros((2, 3)), net.stream(2))

"""WaveNet (van den Oord et al. 2016): sound as a sequence of 256 levels, each drawn given all before it.

    p(x) = prod_t p(x_t | x_0 .. x_(t-1))          p(x_t | ...) = softmax of the network's logits at t

The logarithm of a product of probabilities, so nothing has to be approximated: the loss is -log p(x) itself. In training all
positions are computed at once, for what comes before is known. The network (causal_stack.py) sees the sequence shifted by one:
at t the symbol x_(t-1), at 0 a symbol of its own that says "nothing before". Sampling has to go one by one; `advance` remembers
what the dilated convolutions will look back at, so that a position costs the same however many came before.

The levels' table begins with neighbours alike (`in_order`); the paper's begins with no order. It learns much sooner so.

N batch, T positions, V symbols.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import optim
from ..backend import Array, Shape, device_of, empty, to_device
from ..layers.vector import Initialiser
from ..losses import categorical, log_softmax
from ..random import Key
from .causal_stack import CausalStack, in_order
from .labelled import asked_for, labelled
from .model import Model, Recipe
from .objective import Forwarder, Forwards, Objective, Terms


class Rows(NamedTuple):
    """Sequences, and the labels they are conditioned on, if any."""

    symbols: Array  # (N, T) integers, 0 .. V - 1
    labels: Array | None  # (N,)


def before(symbols: Array, start: int) -> Array:
    """What the network sees of symbols (N, T): the symbol before each, and `start` before the first."""
    first = np.full_like(symbols[:, :1], start)
    return np.concatenate((first, symbols[:, :-1]), 1)


class NextSymbol(Objective):
    """-log p(x) / T, nats per position."""

    name, updates = "next_symbol", ("net",)

    def __call__(
        self,
        model: WaveNet,
        batch: Rows,
        noise: None,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        forward, T = Forwarder(model, forwards, train=train), batch.symbols.shape[1]
        logits, cache = forward("net", (before(batch.symbols, model.symbols), batch.labels))  # (N, T, V)

        loss, dlogits = categorical(logits, batch.symbols, scale=scale / T)  # nats per sequence
        if backward:
            model.net.backward(dlogits, cache, need_dx=False)
        return {"nll": loss / T}, forward.made(self.updates)


def draw(logits: Array, u: Array) -> Array:
    """One symbol (N,) of each row of logits (N, V), by u (N,) uniform on [0, 1): the first whose cumulated p is above u."""
    p = np.exp(logits - logits.max(-1, keepdims=True))
    c = p.cumsum(-1)  # (N, V); its last column is the sum, so p needs no division
    return (c <= u[:, None] * c[:, -1:]).sum(-1)


class WaveNet(Model):
    """A model of sequences of V = 256 levels, conditioned on one of `classes` labels unless classes=0.

    Dilations are 1, 2, 4, ..., 2^(layers - 1), `stacks` times. Adam with a cosine schedule.
    """

    name = "wavenet"
    recipe = Recipe(
        family="autoregressive",
        data=("plucked", "fsdd"),
        batch=2,
        steps=2500,
        rate=8e-3,
        lesson="12",
        options={"classes": 5, "width": 32, "hidden": 64, "kernel": 2, "layers": 6, "stacks": 1, "hertz": None},
        objectives=("next_symbol",),
        by_data={"fsdd": {"steps": 20_000, "rate": 3e-3, "options": {"classes": 10, "layers": 9, "stacks": 2}}},
        proof={"rows": 2, "options": {"width": 3, "hidden": 4, "layers": 3}, "data_options": {"rows": 4, "length": 24}},
    )
    unit = "nats per sample"
    draws = MappingProxyType({"temperature": float})
    net: CausalStack

    def __init__(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike = np.float32,
        *,
        classes: int = 0,
        width: int = 32,
        hidden: int = 64,
        kernel: int = 2,
        layers: int = 6,
        stacks: int = 1,
        hertz: int | None = None,
    ) -> None:
        if hertz is None:
            raise ValueError(f"{self.name} is for sampled sound, and needs its rate: choose data such as plucked")
        self.lay_out(shape, key, dtype, 256, classes, width, hidden, kernel, layers, stacks, in_order)
        self.traits = {"hertz": hertz}

    def lay_out(
        self,
        shape: Shape,
        key: Key,
        dtype: DTypeLike,
        symbols: int,
        classes: int,
        width: int,
        hidden: int,
        kernel: int,
        layers: int,
        stacks: int,
        table: Initialiser | None = None,
    ) -> None:
        """The network for rows of `shape`. Raises ValueError where they are no sequences, or a number is too small."""
        if len(shape) != 1:
            raise ValueError(f"{self.name} is for sequences, rows of shape (T,), not {shape}")
        counts = {"width": width, "hidden": hidden, "layers": layers, "stacks": stacks, "kernel": kernel - 1}
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name} is {count + (name == 'kernel')}: it must be at least {1 + (name == 'kernel')}")
        self.length, self.symbols, self.classes = shape[0], symbols, classes
        self.block = classes or 8
        dilations = tuple(2**i for i in range(layers)) * stacks
        Model.__init__(self, key, dtype, net=CausalStack(symbols, width, hidden, kernel, dilations, classes, table=table))
        self.objectives = (NextSymbol(),)

    def start(self, rate: float, steps: int) -> None:
        self.optimize(adam=optim.Adam(self, rate=optim.cosine_decay(rate, steps)))

    def batch_of(self, batch: Any) -> Rows:
        """Symbols, and the labels where it is conditioned on them. Raises ValueError where rows are no integers."""
        if batch.images.dtype.kind not in "iu":
            raise ValueError(f"{self.name} is for sequences of integers, and these rows are {batch.images.dtype}")
        return Rows(batch.images, labelled(batch, self.name, self.classes).labels if self.classes else None)

    def step(self, batch: Rows, key: Key) -> Terms:
        (next_symbol,) = self.objectives

        self.zero_grads()
        terms, forwards = next_symbol(self, batch, None)
        self.optimizers["adam"].step()
        self.commit(None, forwards)
        return terms

    # ---- what it is used for

    def log_probability(self, rows: Rows) -> Array:
        """log p(x) of each row in nats: (N,)."""
        log_p = log_softmax(self.net.forward((before(rows.symbols, self.symbols), rows.labels))[0])  # (N, T, V)
        return np.take_along_axis(log_p, rows.symbols[..., None], -1)[..., 0].sum(-1)

    def sample(self, n: int, key: Key, *, length: int | None = None, temperature: float = 1.0) -> Array:
        """n sequences (n, T) of integers, as many of each class as of the others; T is that of the training rows by default."""
        labels = np.arange(n) * self.classes // max(1, n) if self.classes else None
        return self.sample_of(labels, n, key, length=length, temperature=temperature)

    def sample_class(self, labels: Any, key: Key, **how: Any) -> Array:
        """A sequence (N, T) of each of these classes (N,). Raises ValueError as `Model.sample_class` does."""
        if not self.classes:
            return super().sample_class(labels, key)  # which refuses
        y = asked_for(labels, self.classes, self.name, self.theta)
        return self.sample_of(y, len(y), key, **how)

    def sample_of(
        self, labels: Any, n: int, key: Key, *, length: int | None = None, temperature: float = 1.0, met: Any = None
    ) -> Array:
        """n sequences (n, T) of these labels (n,), or None. A longer one begins as a shorter one of the same key does.

        Logits are divided by `temperature`: below 1 the probable becomes more so. `met` is a list that takes the logits.
        """
        device = device_of(self.theta)
        T = self.length if length is None else length
        y = None if labels is None else to_device(np.asarray(labels, np.int64), device)
        u = key.uniform((T, n), like=self.theta)
        drawn, memory = empty((n, T), np.int64, like=self.theta), self.net.stream(n)
        x_t = to_device(np.full(n, self.symbols), device)  # nothing before
        for t in range(T):
            logits = self.net.advance((x_t, y), memory)  # (n, V)
            if met is not None:
                met.append(logits)
            x_t = drawn[:, t] = draw(logits / temperature, u[t])
        return drawn

    def pictures(self, batch: Any, key: Key) -> dict[str, Array]:
        return {"samples": self.sample(self.block, key)}

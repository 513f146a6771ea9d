"""An objective: a loss of a model, differentiated by hand at fixed noise.

    noise = objective.draw(model, batch, key)                 # everything random, and every constant that depends on a network
    terms, forwards = objective(model, batch, noise)          # the loss is the sum of the terms; grads have been added to

It changes nothing but the gradients of the networks in `updates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ..layers.layer import Cache
from ..layers.tree import Tree
from ..random import Key

Terms: TypeAlias = dict[str, Any]  # name -> number, weights included
Forwards: TypeAlias = dict[str, tuple[Tree, Cache]]  # "network" or "network:call" -> (y, cache), in the order of the calls


class Objective:
    """`name` in logs and proofs; `updates`, the networks of the model whose gradients it fills."""

    name: str
    updates: tuple[str, ...]
    dead: Mapping[str, str] = MappingProxyType({})  # path -> why that parameter can receive no gradient; the proof checks it

    def draw(self, model: Any, batch: Any, key: Key, forwards: Forwards | None = None) -> Any:
        """The noise of one evaluation. By default there is none."""
        return None

    def __call__(
        self,
        model: Any,
        batch: Any,
        noise: Any,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        """The terms of the loss, weights included, and the forwards of the networks in `updates`, for `model.commit`.

        backward=False computes no gradient; `scale` multiplies the gradients alone; `forwards` passes in forwards that exist
        already, so that they are not computed again.
        """
        raise NotImplementedError(f"{type(self).__name__}.__call__ is not written")


class Forwarder:
    """The forwards of one evaluation, for objectives of many calls: what was passed in is used again, the rest computed.

        forward = Forwarder(model, forwards, train=train, key=noise.key)
        fake, to_fake = forward("generator", noise.z)
        logits, to_logits = forward("discriminator:fake", fake)
        ...
        return terms, forward.made(self.updates)

    A call draws its noise from `key` at the call's name, wherever it is computed.
    """

    def __init__(self, model: Any, forwards: Forwards | None = None, *, train: bool = True, key: Key | None = None) -> None:
        self.model, self.train, self.key = model, train, key
        self._given: Forwards = forwards or {}
        self._made: Forwards = {}

    def __call__(self, call: str, x: Tree) -> tuple[Tree, Cache]:
        """(y, cache) of the call "network" or "network:what for"."""
        if call in self._made:
            raise ValueError(f"{call!r} is called twice: give the second call a name of its own, {network_of(call)}:again")
        if call not in self._given:
            key = None if self.key is None else self.key.at(call)
            self._made[call] = self.model.nets[network_of(call)].forward(x, train=self.train, key=key)
        else:
            self._made[call] = self._given[call]
        return self._made[call]

    def made(self, updates: tuple[str, ...]) -> Forwards:
        """The forwards of the networks in `updates`, in the order of the calls: what an objective returns."""
        return {call: forward for call, forward in self._made.items() if network_of(call) in updates}


def network_of(call: str) -> str:
    """The network of a name in `Forwards`: "discriminator" of "discriminator:fake"."""
    return call.partition(":")[0]


def total(terms: Mapping[str, Any]) -> Any:
    """The loss: the sum of its terms."""
    return sum(terms.values())

"""The unrolled GAN (Metz et al. 2017): G is judged by the discriminator that will have answered it.

    g_k = dL_D/dtheta (theta_k, fake),   m_k+1 = b1 m_k + (1 - b1) g_k,   v_k+1 = b2 v_k + (1 - b2) g_k^2,        k = 0 .. K-1
    theta_k+1 = theta_k - rate m^ / (sqrt(v^) + eps),   m^ = m_k+1 / c1,   v^ = v_k+1 / c2,   c = 1 - b^(t+k+1)
    L_G = mean generator(D_theta_K(fake))

The imagined steps are Adam's, from the moments m_0, v_0 and the number of steps t that D's own Adam has. A generator that puts
all its samples on one mode is answered by a D that rejects this mode; looking K steps ahead, G sees the answer before it moves.
L_G depends on the fakes directly and through every step. Back through step k, with a = dL_G/dtheta_k+1, and a_m and a_v the
derivatives by m_k+1 and v_k+1, zero after the last step:

    a_m -= rate / (c1 (sqrt(v^) + eps)) a
    a_v += rate m^ / ((sqrt(v^) + eps)^2 2 sqrt(v^) c2) a
    a_g  = (1 - b1) a_m + 2 (1 - b2) g_k a_v                 dL_G/dm_k = b1 a_m,   dL_G/dv_k = b2 a_v
    dL_G/dtheta_k = a + H a_g                                H = d2 L_D / dtheta dtheta
    dfake        += (d/dfake dL_D/dtheta) a_g

The step, and the first three of these lines with what is left for m_k and v_k, are a kernel each (kernels/adam). Both products
say how D's own gradients change as theta moves along a_g: `jvp(move_params=True)`, then `backward_jvp`, whose grads are H a_g
and whose dx_dot is the mixed product. That the steps are Adam's matters: D's gradients fade where it is sure, and plain descent
answers too little to keep G from collapsing in the end, as does Adam without momentum (benchmarks/ring.py). Every step has a
discriminator of its own (`clone`), so all caches stay fresh.

N batch, K steps; "..." the axes of an image or a point.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, zeros
from ..kernels import adam
from ..kernels.combine import add, copy
from ..losses.adversarial import Game
from ..random import Key
from .gan import BETAS, GAN
from .minimax import GANNoise, GeneratorLoss
from .model import Recipe
from .objective import Forwards, Terms

EPS = 1e-8  # Adam's


class Played(NamedTuple):
    """One imagined step, for the way back."""

    D: Any  # as it was before
    seen: list[Any]
    m: Array  # (P,), m_k+1
    v: Array  # (P,), v_k+1


class UnrolledGeneratorLoss(GeneratorLoss):
    """mean generator(D_K(G(z))), D_K being D after `steps` steps of Adam at `rate` on this batch and these fakes.

    The reals are constants, and so are D_0 and the moments it starts from: gradients reach G alone. The moments are the model's
    state (UnrolledGAN); without them m = 0 and v = 1 of a long training are taken.
    """

    def __init__(self, game: Game, steps: int, rate: float) -> None:
        super().__init__(game)
        self.steps, self.rate = steps, rate

    def __call__(
        self,
        model: GAN,
        batch: Array,
        noise: GANNoise,
        *,
        train: bool = True,
        backward: bool = True,
        scale: float = 1.0,
        forwards: Forwards | None = None,
    ) -> tuple[Terms, Forwards]:
        G, key = model.generator, noise.key
        made = (forwards or {}).get("generator") or G.forward(noise.z, train=train, key=key.at("generator"))
        fake, made_cache = made  # (N, ...)
        sides = ((batch, self.game.real, key.at("real")), (fake, self.game.fake, key.at("fake")))

        D: Any = model.discriminator.clone()
        (m, v), kept = self.moments(model, D)
        rates: Any = {"rate": self.rate, "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS}
        played: list[Played] = []
        for k in range(self.steps):
            D.zero_grads()
            seen = [(side, *D.forward(x, train=train, key=at)) for x, side, at in sides]
            for side, logits, cache in seen:
                D.backward(side(logits)[1], cache, need_dx=False)
            theta, m, v = adam.imagined(D.vector.theta, D.vector.grad, m, v, *kept, **rates, k=k + 1)
            played.append(Played(D, seen, m, v))
            D = D.clone(theta=theta)
        D.zero_grads()
        logits, cache = D.forward(fake, train=train, key=key.at("fake"))  # (N, 1)
        loss, dlogits = self.game.generator(logits, scale=scale)

        if backward:
            still = [zeros(x.shape, x.dtype, like=x) for x, _, _ in sides]
            dfake, a, a_m, a_v = D.backward(dlogits, cache), D.vector.grad, None, None  # a = dL_G / dtheta_K
            for k in reversed(range(self.steps)):
                D, seen, m, v = played[k]
                a_g, a_m, a_v = adam.imagined_back(a, a_m, a_v, D.vector.grad, m, v, *kept, **rates, k=k + 1)
                D.zero_grads()
                D.vector.theta_dot = a_g
                for x, x_dot, (side, logits, cache) in zip((batch, fake), still, seen, strict=True):
                    logits_dot, tangents = D.jvp(x_dot, cache, move_params=True)
                    dlogits, dlogits_dot = side(logits)[1], side.dot(logits, logits_dot)
                    _, dx_dot = D.backward_jvp(dlogits, dlogits_dot, cache, tangents, need_dx=x is fake)
                dfake = add(dfake, dx_dot)  # of the last call: the fakes'
                a = add(a, D.vector.grad)  # H a_g
            G.backward(dfake, made_cache, need_dx=False)
        return {"generator": loss}, {"generator": made}

    @staticmethod
    def moments(model: GAN, D: Any) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """(m_0, v_0), (P,) each, and (b1^t, b2^t), (1,) each."""
        if "m" in (state := model.state):
            return (state["m"], state["v"]), (state["b1^t"], state["b2^t"])
        nothing = np.zeros_like(D.vector.theta)
        return (nothing, nothing + 1), (nothing[:1], nothing[:1])


class UnrolledGAN(GAN):
    """GAN, whose generator looks `unroll` steps ahead. Each costs about three more of D's: use it where D is small."""

    name = "unrolled_gan"
    recipe = Recipe(
        family="gan",
        data=("ring8", "grid25", "glyphs"),
        batch=128,
        steps=6000,
        rate=1e-4,
        lesson="02",
        options={
            "latents": 16,
            "hidden": 128,
            "unroll": 5,
            "unroll_rate": 1e-4,
            "game": "non_saturating",
            "rate_ratio": 10.0,
        },
        objectives=("discriminator", "generator"),
    )

    def __init__(
        self,
        shape: Any,
        key: Key,
        dtype: Any = np.float32,
        *,
        unroll: int = 5,
        unroll_rate: float = 1e-4,
        **options: Any,
    ) -> None:
        if options.get("r1"):
            raise ValueError(
                f"{self.name}: D's imagined steps know no penalty, whose derivative is of third order: leave r1 out"
            )
        self.unroll, self.unroll_rate = unroll, unroll_rate
        super().__init__(shape, key, dtype, **options)
        imagined: Any = self.discriminator.clone().vector  # laid out alike in every imagined D
        self._places, nothing = imagined.places, np.zeros_like(imagined.theta)
        self.state |= {"m": nothing, "v": nothing + 1, "b1^t": nothing[:1].copy(), "b2^t": nothing[:1].copy()}

    def play(self, name: str, smoothing: float = 0.0, matching: bool = False) -> None:
        super().play(name, smoothing)
        d_loss: Any = self.objectives[0]
        self.objectives = (d_loss, UnrolledGeneratorLoss(d_loss.game, self.unroll, self.unroll_rate))

    def start(self, rate: float, steps: int) -> None:
        super().start(rate, steps)
        self.state |= {name: np.ones_like(self.state[name]) for name in ("b1^t", "b2^t")}  # t = 0

    def commit(self, noise: Any, forwards: Forwards) -> None:
        """After D's step: its moments, where the imagined discriminators' lie, and how much of Adam's start is left in them."""
        super().commit(noise, forwards)
        if any(call.startswith("discriminator") for call in forwards):
            moved = dict(self.optimizers["d"].named_state())
            for name in ("m", "v"):
                moment = add(self.state[name])  # a copy: state is replaced, never written in place
                for path, place in self._places.items():
                    copy(moved[f"{name}.discriminator.{path}"], place.of(moment))
                self.state[name] = moment
            for name, beta in zip(("b1^t", "b2^t"), BETAS, strict=True):
                self.state[name] = add((beta, self.state[name]))

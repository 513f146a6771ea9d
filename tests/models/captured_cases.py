"""Every model at a size that the CPU captures quickly, and how much of its step the array library does.

    python tests/models/captured_cases.py [NAME ...]        measures the shares again, and says which lines ask the library

`library` is a bound on `check.recorded.library_share`, one hundredth where nothing else is said: what becomes a call of the
library by mistake is found.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minigen import backend, data, models
from minigen.check.device_array import DEVICE, running_cuda
from minigen.check.recorded import library_lines, library_share
from minigen.models.captured import Captured
from minigen.models.model import Model, told
from minigen.random import Key
from minigen.training.state import arrays_of

ROWS, BATCH = 30, 8  # so that every fourth batch is smaller: a kind of step by itself


@dataclass(frozen=True)
class Case:
    """A model on data, small."""

    data: str
    options: Mapping[str, Any]
    library: float = 0.01  # of the numbers, at most
    steps: int = 9
    data_options: Mapping[str, Any] = field(default_factory=dict)


def points(library: float = 0.01, **options: Any) -> Case:
    return Case("ring8", options, library)


def images(size: int = 16, taken: int = 9, **options: Any) -> Case:
    return Case("glyphs", options, steps=taken, data_options={"size": size})


def sequences(name: str, **options: Any) -> Case:
    return Case(name, options, data_options={"length": 24})


LONG = 3  # steps of those that take a second each: one that compiles, one that is recorded, one more launch
VAE, GAN, WAVE = {"hidden": 8, "latents": 3}, {"hidden": 8, "latents": 4}, {"width": 3, "hidden": 4, "layers": 3}
CASES = {  # all of `models.names()`; what follows a comma tells cases of one model apart
    "autoencoder": images(codes=4),
    "conv_autoencoder": images(28, 5, codes=4, hidden=2),
    "denoising_autoencoder": images(codes=4, hidden=8),
    "vae": images(**VAE),
    "conv_vae": images(28, 5, hidden=2, latents=3),
    "beta_vae": images(**VAE),
    "factor_vae": images(**VAE, width=8, depth=1),  # permutations
    "conditional_vae": images(**VAE),
    "hierarchical_vae": images(hidden1=8, hidden2=6, latents1=4, latents2=3),
    "vae_gan": images(28, LONG, width=2, latents=3),
    "iwae": images(**VAE, samples=2),
    "gan": points(**GAN, r1=0.1),
    "gan, rows compared": points(**GAN, minibatch=2, matching=True),
    "dcgan": images(28, 5, width=2, latents=3),  # state that commit replaces
    "conditional_gan": images(28, LONG, width=2, latents=3),  # labels, and an embedding
    "unrolled_gan": points(0.05, **GAN, unroll=2),  # networks that are copied within the step
    "wgan": points(**GAN, critic_steps=3, decay=True, average=0.5),  # two kinds of step, clipped weights
    "wgan_gp": points(**GAN, critic_steps=2),  # second order
    "wgan_gp, images": images(width=4, latents=4, critic_steps=2, taken=5),
    "ddpm": points(width=8),  # a schedule of the rate, an average
    "ddpm, the bound": points(0.1, width=8, objective="bound"),  # steps by their chance: a search among T = 1000 numbers
    "ddpm, a U-Net": images(width=16, taken=LONG),
    "flow_matching": points(width=8, depth=2),
    "realnvp": points(hidden=8, depth=2, clip=0.5),  # the norm of a gradient decides on the device
    "neural_spline_flow": points(hidden=8, depth=2, bins=4),
    "conv_realnvp": images(levels=2, width=3, taken=LONG),
    "glow": images(levels=2, steps=1, width=4),
    "glow, recomputed": images(levels=2, steps=1, width=4, store=False),  # inverses
    "rbm": images(hidden=4, chains=8),  # chains that go on
    "ebm": images(width=2, langevin_steps=2, replay=12, spectral=True, taken=5),  # a buffer, and places in it
    "ebm, points": points(width=8, langevin_steps=3, replay=300),
    "pixelcnn": images(width=4, layers=2),
    "gated_pixelcnn": images(width=4, layers=3, classes=10, taken=LONG),
    "wavenet": sequences("plucked", **WAVE),
    "char_wavenet": sequences("grammar", **WAVE),
    "classifier": images(width=2, features=4),  # dropout and shifts
}


def made(name: str, device: str = DEVICE) -> tuple[Model, data.Batches]:
    """The model on the device, and its batches there."""
    case, cls = CASES[name], models.find(name.partition(",")[0])
    rows = data.load(case.data, rows=ROWS, **case.data_options)
    options = told({**cls.recipe.options, **case.options}, rows.traits)
    model = cls(rows.shape, Key(1), **options).to(device)
    model.start(1e-2, 9)
    return model, data.Batches(rows, BATCH, Key(2), device=device)


def trained(name: str, capture: bool, device: str) -> tuple[Any, ...]:
    """Some steps: the terms of each, all arrays at the end, what the optimisers have counted, and the step."""
    model, batches = made(name, device)
    step = Captured(model) if capture else model.step
    terms = []
    for i in range(CASES[name].steps):
        found = step(model.batch_of(next(batches)), Key(3).at("step", i))
        terms.append({name: float(backend.number(value)) for name, value in found.items()})
    arrays = {n: backend.to_device(a, "cpu") for n, a in arrays_of(model).items()}
    return terms, arrays, {n: holder.t for n, holder in (model.optimizers | model.averages).items()}, step


def graphs_of(step: Captured) -> list[Any]:
    """The graph of each kind of step that was captured."""
    return [program.graph for program in step._programs.values() if program is not None]


if __name__ == "__main__":
    with running_cuda():
        for name in sys.argv[1:] or CASES:
            graphs = graphs_of(trained(name, True, DEVICE)[-1])
            print(f"{name}: {library_share(graphs):.3f} of the numbers, bounded by {CASES[name].library:.3f}", flush=True)
            for touched, count, operation, where in library_lines(graphs)[: 20 if sys.argv[1:] else 0]:
                print(f"    {touched:9} in {count:4}  {operation:16} {where}")

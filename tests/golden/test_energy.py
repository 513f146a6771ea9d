"""The free energy and the objective of `ebm` against PyTorch, from the committed arrays that `make_energy.py` wrote."""

from pathlib import Path

import numpy as np

from minigen.layers import FreeEnergy
from minigen.models.contrast import Negatives
from minigen.models.ebm import EBM
from minigen.models.langevin import slope
from minigen.random import Key

ARRAYS = np.load(Path(__file__).parent / "energy.npz")


def golden(name: str) -> dict[str, np.ndarray]:
    return {key.partition("/")[2]: ARRAYS[key] for key in ARRAYS.files if key.startswith(name + "/")}


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= 1e-12 * max(1.0, np.abs(theirs).max()))


def test_the_free_energy_to_second_order() -> None:
    g, layer = golden("free_energy"), FreeEnergy(6, 4).initialise(Key(0), np.float64)
    for name, array in layer.named():
        array[...] = g[f"param.{name}"]
    y, cache = layer.forward(g["x"])
    assert close(y, g["y"])
    assert close(layer.backward(g["u"], cache), g["dx"])
    assert all(close(grad, g[f"grad.{name}"]) for name, grad in layer.grads.items())
    layer.zero_grads()
    dx, dx_dot = layer.backward_jvp(g["u"], np.zeros_like(y), cache, layer.jvp(g["v"], cache)[1])
    assert close(dx, g["dx"])
    assert close(dx_dot, g["dx_dot"])
    assert all(close(grad, g[f"grad.{name}_dot"]) for name, grad in layer.grads.items())


def test_the_contrast_of_a_network_and_its_slope() -> None:
    g, model = golden("ebm"), EBM((9, 8, 1), Key(0), np.float64, width=2, replay=3)
    for path, view in model.vector.views(model.theta).items():
        view[...] = g["param." + path.removeprefix("energy.")]
    terms, _ = model.objectives[0](model, g["batch"], Negatives(g["negatives"]))
    assert {name: round(float(value - g[f"term.{name}"]), 12) for name, value in terms.items()} == dict.fromkeys(terms, 0)
    for path, grad in model.vector.views(model.grad).items():
        assert close(grad, g["grad." + path.removeprefix("energy.")]), path
    assert close(slope(model.energy, g["negatives"]), g["slope"])

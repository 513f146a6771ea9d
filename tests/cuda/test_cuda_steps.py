"""A training step on a GPU is the CPU's, and has the same bits every time: the benchmark's gates, which need no PyTorch.

Every configuration of benchmarks/ours.py on a GPU (pytest -m gpu); on the array that stands for CuPy's two of them, small.
"""

from __future__ import annotations

from functools import cache, partial

import pytest

from benchmarks import gpu_steps
from benchmarks.gpu_device import Device
from benchmarks.ours import CONFIGS
from minigen import backend
from minigen.check.device_array import DEVICE, running_cuda

pytestmark = [
    pytest.mark.parametrize("precision", gpu_steps.AGREE),
    pytest.mark.parametrize(
        ("name", "where"),
        [
            *((name, DEVICE) for name in ("vae", "rbm")),
            *(pytest.param(name, "cuda", marks=pytest.mark.gpu) for name in CONFIGS),
        ],
    ),
]


@pytest.fixture
def device(request, where):
    """Where the steps are taken, with configurations that it has the time for."""
    made = Device(partial(backend.to_device, device=where), lambda: None, name=where)
    if where == "cuda":
        yield made
        return
    request.getfixturevalue("small_configurations")
    with running_cuda():
        yield made


@cache
def exact_gradient(name, where):
    """The CPU's, of which both precisions ask."""
    return gpu_steps.exact_gradient(name)


def test_the_first_gradient_is_the_cpus(device, name, where, precision):
    """Within AGREE by norm; and in TF32 the factors are rounded indeed."""
    exact = exact_gradient(name, where)
    with device.precision(precision):
        error = gpu_steps.disagreement(name, device, exact)
    assert {"float32": 0, "tf32": 1e-5}[precision] < error <= gpu_steps.AGREE[precision]


def test_five_steps_have_the_same_bits_again_and_captured(device, name, precision):
    with device.precision(precision):
        assert gpu_steps.unequal(name, device) == ""

"""Every layer of minigen in the property suite: hypothesis draws sizes and a seed, the values come from a key.

Once more, at one size, with everything on a device: on a GPU (pytest -m gpu), and on the array that stands for CuPy's.
"""

from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.backend import device_of
from minigen.check import CheckError, suite
from minigen.check.cases import CASES, SMALL, Sizes, layer_classes
from minigen.check.device_array import DEVICE, running_cuda
from minigen.check.suite_of_layers import ON_THE_CPU
from minigen.kernels.cuda import on_cpu
from minigen.layers.linear import Linear
from minigen.random import Key

CHANNELS = st.sampled_from([1, 2, 3, 5, 7, 15, 16, 17])  # one, primes, and a tile of sixteen plus or minus one
SIDES = st.sampled_from([1, 2, 3, 5, 8])
SIZES = st.builds(
    Sizes,
    N=st.sampled_from([1, 2, 3, 7]),
    a=CHANNELS,
    b=CHANNELS,
    c=st.sampled_from([1, 2, 3]),
    h=SIDES,
    w=SIDES,
    T=SIDES,
    seed=st.integers(0, 2**32 - 1),
)

# What may not apply at all to a layer of minigen; everything else must have been checked.
OPTIONAL = {
    *("definition", "spared work", "additive", "stale cache", "batch", "unused output", "empty batch"),
    *("still", "streaming", "inverse", "volume", "data start"),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_layer_has_every_property(case):
    @settings(max_examples=4, deadline=None, derandomize=True, database=None)
    @given(SIZES)
    def at_some_sizes(s):
        suite(
            lambda: case.make(s),
            case.x(s),
            key=Key(s.seed),
            skip=case.skip,
            reference=case.reference,
            trained=case.trained,
            committed=case.committed,
        )

    at_some_sizes()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_property_is_left_out_without_a_reason(case):
    report = suite(lambda: case.make(SMALL), case.x(SMALL), skip=case.skip, reference=case.reference)
    left_out = {check.property for check in report.checks if check.error is None}
    assert left_out <= OPTIONAL | set(case.skip), str(report)
    if case.reference is not None:
        assert report["definition"].error is not None


# ---- on a device


@pytest.fixture(params=[DEVICE, pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """The array that stands for CuPy's, or a GPU. float32 runs on CUDA C, float64 and complex128 on the definitions."""
    if request.param == DEVICE and on_cpu.compiler() is None:
        pytest.skip("CUDA kernels run on the CPU through g++: install it")
    with running_cuda() if request.param == DEVICE else nullcontext():
        yield request.param


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_layer_has_every_property_on_a_device(device, case):
    """Derivatives, adjoint, purity and the rest of what runs there, and the CPU's numbers in float64 and in float32."""
    report = suite(lambda: case.make(SMALL), case.x(SMALL), skip=case.skip, device=device)
    left_out = {check.property for check in report.checks if check.error is None}
    assert left_out <= OPTIONAL | set(case.skip) | set(ON_THE_CPU), str(report)
    assert report["device"].error is not None


def test_another_function_on_a_device_is_found(device):
    """Right in itself, in all of its derivatives; not what it is on the CPU."""

    class Elsewhere(Linear):
        streams = False

        def forward(self, x, **options):
            return super().forward(self.by(x) * x, **options)

        def backward(self, dy, cache, **options):
            dx = super().backward(dy, cache, **options)
            return dx if dx is None else self.by(dy) * dx

        def jvp(self, x_dot, cache, **options):
            return super().jvp(self.by(x_dot) * x_dot, cache, **options)

        def backward_jvp(self, dy, dy_dot, cache, tangents, **options):
            dxs = super().backward_jvp(dy, dy_dot, cache, tangents, **options)
            return tuple(dx if dx is None else self.by(dy) * dx for dx in dxs)

        def by(self, x):
            return 1 if device_of(x) == "cpu" else 1.001

    suite(Elsewhere(4, 3), (5, 4), skip={"device": "it is what is wrong"}, device=device)
    with pytest.raises(CheckError, match=f"device: y on the device 'cpu', against '{device}', is off by"):
        suite(Elsewhere(4, 3), (5, 4), device=device)


# ---- the table


def test_every_layer_has_a_case():
    missing = [cls.__name__ for cls in layer_classes() if not any(case.cls is cls for case in CASES)]
    assert not missing, f"no case in minigen/check for {', '.join(missing)}: add one to layer_cases.py or image_cases.py"


def test_names_of_cases_are_unique():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)

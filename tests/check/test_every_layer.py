"""Every layer of minigen in the property suite: hypothesis draws sizes and a seed, the values come from a key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen.check import suite
from minigen.check.cases import CASES, SMALL, Sizes, layer_classes
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


def test_every_layer_has_a_case():
    missing = [cls.__name__ for cls in layer_classes() if not any(case.cls is cls for case in CASES)]
    assert not missing, f"no case in minigen/check for {', '.join(missing)}: add one to layer_cases.py or image_cases.py"


def test_names_of_cases_are_unique():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)

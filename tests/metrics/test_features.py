"""The ruler: trained once, and named by the weights it has."""

import json

import numpy as np
import pytest

from minigen.metrics.features import digest_of
from minigen.models.classifier import Classifier
from minigen.random import Key
from minigen.training import RunError
from minigen.training.ruler import ruler

OPTIONS = {"width": 8, "features": 12}


def test_a_ruler_is_trained_once_and_says_what_it_is(made, glyphs):
    folder, space = made
    x, labels = glyphs[1].batch(np.arange(300)), glyphs[1].labels
    assert space.accuracy == pytest.approx((space.classes(x) == labels).mean())
    assert space.accuracy > 0.9
    before = (folder / "checkpoint.safetensors").read_bytes()
    again = ruler(glyphs, out=folder)
    assert (folder / "checkpoint.safetensors").read_bytes() == before
    assert again.published() == space.published()
    about = json.loads(json.dumps(space.published()))
    assert about["recipe"]["seed"] == 0
    assert about["recipe"]["steps"] == 120
    assert (about["features"], about["test_rows"], len(about["sha256"])) == (12, 300, 64)
    assert about["name"] == f"classifier:glyphs:{about['sha256'][:8]}"
    with pytest.raises(RunError, match="other settings"):
        ruler(glyphs, out=folder, seed=5)


def test_features_do_not_depend_on_the_block(made, glyphs):
    space, x = made[1], glyphs[1].batch(np.arange(100))
    whole = space.features(x)
    assert whole.shape == (100, 12)
    assert whole.dtype == np.float64
    for block in (1, 7, 1000):
        np.testing.assert_allclose(space.features(x, block), whole, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(space.probabilities(x, 9).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(space.features(x), whole)


def test_the_checksum_is_of_values_by_name():
    a, b = (Classifier((16, 16, 1), Key(0), **OPTIONS) for _ in range(2))
    assert digest_of(a) == digest_of(b) == digest_of(a.astype(np.float64))
    b.theta[b.spans("head")[0]] += 1e-3
    assert digest_of(a) != digest_of(b)


def test_images_it_does_not_know_are_refused(made):
    space = made[1]
    with pytest.raises(ValueError, match=r"looks at images \(16, 16, 1\), got \(3, 28, 28, 1\)"):
        space.features(np.zeros((3, 28, 28, 1)))
    with pytest.raises(ValueError, match="got -1 to 1: samples in"):
        space.features(np.linspace(-1, 1, 512).reshape(2, 16, 16, 1))
    with pytest.raises(ValueError, match="got nan"):
        space.features(np.full((2, 16, 16, 1), np.nan))

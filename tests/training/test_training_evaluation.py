"""Held-out figures: every row weighs the same, and the standard error is that of the mean."""

import math

import numpy as np

from minigen.data import Dataset
from minigen.random import Key
from minigen.training import evaluate


class Brightness:
    """A model whose figure of a batch is the mean brightness of its rows."""

    def batch_of(self, batch):
        return batch.images

    def evaluate(self, x, key):
        return {"brightness": x.mean()}


def data(rows):
    return Dataset("mine", Key(3).uniform((rows, 4, 4, 1)), split="test")


def test_the_last_batch_weighs_by_its_rows():
    rows = data(130)  # 50 + 50 + 30
    figures = evaluate(Brightness(), rows, np.arange(130), Key(0))
    assert figures.rows == 130
    np.testing.assert_allclose(figures.values["brightness"], rows.images.mean(dtype=np.float64), rtol=1e-6)
    some = evaluate(Brightness(), rows, np.arange(100, 120), Key(0))
    np.testing.assert_allclose(some.values["brightness"], rows.images[100:120].mean(dtype=np.float64), rtol=1e-6)
    assert some.errors["brightness"] is None  # one batch has no spread


def test_the_standard_error_is_that_of_independent_rows():
    """Estimated from the spread between batches, it is the spread of all rows over sqrt(N), within its own uncertainty."""
    rows = data(10_000)
    per_row = rows.images.mean((1, 2, 3), dtype=np.float64)
    expected = per_row.std(ddof=1) / math.sqrt(len(rows))
    for order in (np.arange(len(rows)), np.argsort(per_row)):  # some splits are sorted by class, which is like by brightness
        error = evaluate(Brightness(), rows, order, Key(0)).errors["brightness"]
        assert abs(error / expected - 1) < 4 / math.sqrt(2 * 199)


def test_it_does_not_depend_on_what_was_trained_with(make):
    run = make(steps=2)
    run.train()
    rows = run.rows_of_test()
    key = run.key.at("evaluation")
    first = evaluate(run.model, run.splits.test, rows, key)
    assert evaluate(run.model, run.splits.test, rows, key) == first
    assert first.values == run.train().figures.values


def test_held_out_rows_are_a_fixed_choice(make):
    run = make(steps=2)
    assert run.rows_of_test().tolist() == list(range(60))
    some = run.rows_of_test(20)
    assert len(set(some.tolist())) == 20
    assert some.tolist() == sorted(some.tolist()) == run.rows_of_test(20).tolist() != list(range(20))


def test_the_bound_of_a_vae_is_evaluated_at_beta_one(make):
    run = make(steps=1, options={"hidden": 8, "latents": 3, "beta": 4.0})
    values = run.train().figures.values
    np.testing.assert_allclose(values["negative_elbo"], values["reconstruction"] + values["kl"])
    batch = run.splits.test.batch(np.arange(60))
    (elbo,) = run.model.objectives
    terms, _ = elbo(run.model, batch, elbo.draw(run.model, batch, Key(0)), backward=False)
    np.testing.assert_allclose(terms["kl"], 4 * values["kl"], rtol=1e-4)

"""The matrix of an invertible convolution: within what its kernels promise, its derivative, its inverse, what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import both

from minigen.kernels import plu, rungs
from minigen.random import Key

CHANNELS = st.sampled_from((1, 2, 3, 4, 7, 12, 33, 48))
TYPES = st.sampled_from((np.float32, np.float64))


def drawn(C, dtype=np.float64, seed=1):
    """A as a view, P and sign; the factors are well conditioned."""
    A, order = Key(seed).normal((C, C), np.float64) / (2 * C**0.5), Key(seed).at("order").permutation(C)
    return A.astype(dtype).T, np.eye(C, dtype=dtype)[order], (1 - 2 * (order % 2)).astype(dtype)


def of_long_doubles(A, P, sign):
    """P, L + 1, U."""
    A, P, sign = (x.astype(np.longdouble) for x in (A, P, sign))
    return P, np.tril(A, -1) + np.eye(len(A)), np.triu(A, 1) + np.diag(sign * np.exp(np.diag(A)))


@given(C=CHANNELS, n=st.sampled_from((1, 3, 300)), dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_there_and_back(C, n, dtype, seed):
    given = drawn(C, dtype, seed)
    u, wide = np.finfo(dtype).eps / 2, 0 if dtype == np.float32 else C + n + 8  # float64 is no wider than the sums
    dW, dlogdet = Key(seed).at("dW").normal((C, C), np.float64).astype(dtype).T, Key(seed).normal(n, np.float64).astype(dtype)
    (W, logdet), (_, plain) = both(lambda *given: plu.forward(*given, 6, n), *given)
    dA, _ = both(lambda *given: plu.gradient(*given, 6), dW, dlogdet, *given)
    assert W.dtype == logdet.dtype == dA.dtype == dtype
    P, L, U = of_long_doubles(*given)
    assert (np.abs(W - P @ L @ U) <= (6 + wide) * u * (P @ np.abs(L) @ np.abs(U))).all()
    assert logdet.shape == (n,)
    assert (np.abs(logdet - plain) <= (1 + wide) * u * 6 * np.abs(np.diag(given[0])).sum()).all()
    D, on, stretch = P.T @ dW.astype(np.longdouble), np.diag(np.diag(U)), 6 * dlogdet.astype(float)
    exact = np.tril(D @ U.T, -1) + np.triu(L.T @ D, 1) + np.diag(np.diag(L.T @ D @ on) + stretch.sum())
    D, L, U, on = map(np.abs, (D, L, U, on))
    terms = np.tril(D @ U.T, -1) + np.triu(L.T @ D @ (np.eye(C) + on)) + np.eye(C) * np.abs(stretch).sum()
    assert (np.abs(dA - exact) <= (6 + wide) * u * terms).all()


@given(C=CHANNELS, dtype=TYPES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_the_inverse_is_that_of_the_rounded_matrix(C, dtype, seed):
    given = drawn(C, dtype, seed)
    for mode, units in (("definition", 100), ("numba", 2 if dtype == np.float32 else 100)):
        with rungs(mode):
            W, _ = plu.forward(*given, 1, 1)
            X = plu.inverse(W, *given)
        assert X.dtype == dtype
        exact = np.linalg.inv(W.astype(float))
        assert np.linalg.norm(X - exact) <= units * np.finfo(dtype).eps / 2 * np.linalg.norm(exact) * (1 if units == 2 else C)


@pytest.mark.parametrize("C", [1, 2, 3, 12, 48])
def test_the_determinant_is_that_of_the_diagonal(C):
    W, logdet = plu.forward(*drawn(C), 6, 3)
    np.testing.assert_allclose(logdet, np.full(3, 6 * np.linalg.slogdet(W)[1]), atol=1e-9)


@pytest.mark.parametrize("C", [1, 2, 5])
def test_by_the_complex_step(C):
    (A, P, sign), (A_dot, dW), dlogdet = drawn(C), Key(2).normal((2, C, C), float), Key(4).normal(3, float)
    W, logdet = plu.forward(A + 1e-30j * A_dot, P, sign, 6, 3)
    moved = ((dW * W).sum() + (dlogdet * logdet).sum()).imag / 1e-30
    np.testing.assert_allclose((plu.gradient(dW, dlogdet, A, P, sign, 6) * A_dot).sum(), moved, rtol=1e-12)


@pytest.mark.parametrize("mode", ["definition", "numba"])
def test_a_nan_of_the_diagonal_is_in_every_logdet(mode):
    A, P, sign = drawn(5, np.float32)
    A[2, 2] = np.nan
    with rungs(mode):
        W, logdet = plu.forward(A, P, sign, 6, 3)
    assert np.isnan(logdet).all()
    assert np.isnan(W[P[:, 2] == 1, 2]).all()


def test_what_does_not_fit_is_refused():
    A, P, sign = drawn(3)
    with pytest.raises(ValueError, match=r"plu.forward: shapes differ, A \(3, 3\), P \(2, 3\)"):
        plu.forward(A, P[:2], sign, 1, 1)
    with pytest.raises(ValueError, match=r"plu.forward: A \(3, 2\) must be \(C, C\) and sign \(3,\) \(C,\)"):
        plu.forward(A[:, :2], P[:, :2], sign, 1, 1)
    with pytest.raises(ValueError, match=r"plu.inverse: A \(3, 3\) must be \(C, C\) and sign \(2,\) \(C,\)"):
        plu.inverse(A, A, P, sign[:2])
    with pytest.raises(ValueError, match=r"plu.gradient: dlogdet must have 1 axes"):
        plu.gradient(A, A, A, P, sign, 1)
    with pytest.raises(TypeError, match="mixed precisions"):
        plu.forward(A.astype(np.float32), P, sign, 1, 1)

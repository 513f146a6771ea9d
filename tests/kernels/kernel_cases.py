"""What the kernel tests share: a norm error that NaN cannot pass, and how operations and their rungs are found."""

from __future__ import annotations

import importlib

import numpy as np

from minigen.kernels.dispatch import Ladder, rungs

OPERATIONS = (
    *("act_norm", "activation", "adam", "affine", "attention", "average", "bernoulli", "categorical"),
    *("clip", "combine", "conv2d", "epilogue", "flow", "games", "gated", "gaussian"),
    *("langevin", "layer_norm", "logit", "masked_conv2d", "matmul", "normalise", "pairs", "philox"),
    *("plu", "reparameterize", "resample", "rows", "sgd", "slopes", "softmax", "spline"),
    *("squares", "sums", "units", "window"),
)
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-14}


def ladder(operation: str) -> Ladder:
    found: Ladder = importlib.import_module(f"minigen.kernels.{operation}").LADDER
    return found


def check_close(got, expected, tolerance=None, scale=None) -> None:
    """Norm error of `got` against a float64 `expected` of the same shape, relative to `expected`.

    Where that is a difference which may cancel, `scale` is what it is the difference of.
    """
    assert got.shape == expected.shape, f"shape {got.shape} instead of {expected.shape}"
    assert np.isfinite(got).all(), f"{(~np.isfinite(got)).sum()} of {got.size} numbers are not finite"
    size = np.linalg.norm(expected if scale is None else scale)
    error = np.linalg.norm(got.astype(np.float64) - expected) / max(size, 1e-30)
    limit = TOLERANCE[got.dtype] if tolerance is None else tolerance
    assert error <= limit, f"relative error {error:.1e} above {limit:.0e}"


def drawn(key, shape, dtype=np.float64, spread=1.0):
    """Normal numbers: the same ones in either precision."""
    return (spread * key.normal(shape, np.float64)).astype(dtype)


def both(function, *arrays):
    """(what the Numba rung makes, what the definition makes in float64)."""
    with rungs("numba"):
        got = function(*arrays)
    with rungs("definition"):
        return got, function(*(x.astype(np.float64) for x in arrays))

"""Principal components: the subspace that keeps the most variance, and so the best that a linear autoencoder can do.

    X - mean = U S V'        singular values in descending order; the first K rows of V' span the subspace
    code = (x - mean) V_K    reconstruction = mean + code V_K'        error = the sum of the other S^2

Eckart and Young 1936; that a linear autoencoder finds it is Baldi and Hornik 1989.
N rows, P numbers in each, K components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..backend import Array, Shape


@dataclass(frozen=True, eq=False)
class PCA:
    """Made by `PCA.fit`. Works on images (N, *shape), in float64."""

    shape: Shape  # of a row
    mean: Array  # (P,)
    components: Array  # (K, P), orthonormal rows, the one of most variance first
    variances: Array  # (K,) of the training rows along each component

    @classmethod
    def fit(cls, x: Array, components: int) -> Self:
        """The leading components of x (N, ...), by a singular value decomposition; the largest entry of each is positive.

        Raises ValueError where there are fewer than K + 1 rows or fewer than K numbers in a row.
        """
        flat = x.reshape(len(x), math.prod(x.shape[1:])).astype(np.float64)  # (N, P)
        if not 0 < components <= min(len(flat) - 1, flat.shape[1]):
            raise ValueError(
                f"{components} components need that many numbers in a row and one row more; the rows are {flat.shape}"
            )
        mean = flat.mean(0)
        _, s, vt = np.linalg.svd(flat - mean, full_matrices=False)
        vt = vt[:components]
        signs = np.sign(vt[np.arange(components), np.abs(vt).argmax(1)])  # a decomposition leaves each sign open
        return cls(x.shape[1:], mean, vt * signs[:, None], s[:components] ** 2 / len(flat))

    def keep(self, components: int) -> PCA:
        """The first of its components alone."""
        if not 0 < components <= len(self.components):
            raise ValueError(f"{components} components were asked for, of {len(self.components)}")
        return PCA(self.shape, self.mean, self.components[:components], self.variances[:components])

    def encode(self, x: Array) -> Array:
        """Codes (N, K), uncorrelated over the training rows."""
        return (x.reshape(len(x), -1) - self.mean) @ self.components.T

    def decode(self, code: Array) -> Array:
        """Rows (N, *shape) of codes (N, K); not clipped."""
        return (self.mean + code @ self.components).reshape(len(code), *self.shape)

    def reconstruct(self, x: Array, clip: tuple[float, float] | None = None) -> Array:
        """decode(encode(x)); `clip` (0, 1) puts pixels back into their range, which can only lessen the error."""
        y = self.decode(self.encode(x))
        return y if clip is None else y.clip(*clip)


def principal_angles(a: Array, b: Array) -> Array:
    """The angles in radians between the row spaces of a (K, P) and b (M, P), M <= K, ascending: (M,).

    The sines are the singular values of what is left of b's basis without its part in a's space: exact for small angles, where
    the cosines of the usual formula round to 1 (Bjorck and Golub 1973).
    """
    if len(b) > len(a) or a.shape[1] != b.shape[1]:
        raise ValueError(f"principal_angles needs (K, P) and (M, P) with M <= K, got {a.shape} and {b.shape}")
    qa, qb = np.linalg.qr(a.T)[0], np.linalg.qr(b.T)[0]  # (P, K), (P, M): orthonormal columns
    sines = np.linalg.svd(qb - qa @ (qa.T @ qb), compute_uv=False)
    return np.arcsin(sines.clip(0, 1))[::-1]

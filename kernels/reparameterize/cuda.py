"""Samples of a Gaussian, the way back and their weight on a GPU, in CUDA C (`one_pass.cu`). Formulas: `definition.py`.

Against the definition: one pass over memory each, instead of two, three and five.

Legend: N rows, K samples of each, L latents. mu, logvar and their gradients (N, L); eps, z and dz (N, K, L); the ratio (N, K).
"""

from __future__ import annotations

from minigen.backend import Array, empty, empty_like

from ..combine import contiguous
from ..cuda.launch import each
from ..cuda.sums import Walk

FILE = "reparameterize/one_pass.cu"


def sample(mu: Array, logvar: Array, eps: Array) -> Array:
    """-> z (N, K, L)."""
    _, K, L = eps.shape
    z = empty_like(eps)
    each(FILE, "reparameterize_sample", z.size, contiguous(mu), contiguous(logvar), contiguous(eps), z, z.size, K, L)
    return z


def gradient(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """-> dmu (N, L), dlogvar (N, L)."""
    N, K, L = eps.shape
    dmu, dlogvar = empty_like(logvar), empty_like(logvar)
    walk = Walk(N, K, L, whole=True)
    walk.launch(FILE, "reparameterize_gradient", contiguous(dz), contiguous(logvar), contiguous(eps), dmu, dlogvar, K, L)
    return dmu, dlogvar


def log_ratio(logvar: Array, eps: Array, z: Array) -> Array:
    """-> (N, K)."""
    N, K, L = eps.shape
    ratio = empty((N, K), eps.dtype, like=eps)
    walk = Walk(N * K, L, 1, whole=True)
    walk.launch(FILE, "reparameterize_log_ratio", contiguous(logvar), contiguous(eps), contiguous(z), ratio, K, L)
    return ratio

"""Binary units h_j in {0, 1} with the weights e^(h_j u_j), u = a + bias, plainly.

    probabilities    p_j = e^u_j / (1 + e^u_j) = s(u_j)
    free_energy      F = -log sum over all h of e^(v'b) prod_j e^(h_j u_j) = -v'b - sum_j log(1 + e^u_j),     dF/du_j = -p_j

v are other units, with biases b of their own: what they are worth beside ours is v'b. Both branch on the real part: the complex
step is exact.

Legend: N rows, U units, V others. a, p (N, U), bias or c (U,), v (N, V), b (V,), F (N,).
"""

from __future__ import annotations

from minigen.backend import Array

from ..activation.definition import forward


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U)."""
    return forward("sigmoid", a + bias)


def free_energy(v: Array, b: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """-> F (N,), p (N, U)."""
    return -(v @ b) - forward("softplus", a + c).sum(1), probabilities(a, c)

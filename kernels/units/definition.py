"""Binary units h_j in {0, 1} with the weights e^(h_j u_j), u = a + bias, plainly.

    probabilities    p_j = e^u_j / (1 + e^u_j) = s(u_j)
    summed_out       log sum over all h of prod_j e^(h_j u_j) = sum_j log(1 + e^u_j), whose derivative is p

They branch on the real part: the complex step is exact.

Legend: N rows, U units. a, p (N, U), bias (U,), the sums (N,).
"""

from __future__ import annotations

from minigen.backend import Array

from ..activation.definition import forward


def probabilities(a: Array, bias: Array) -> Array:
    """-> p (N, U)."""
    return forward("sigmoid", a + bias)


def summed_out(a: Array, bias: Array) -> tuple[Array, Array]:
    """-> p (N, U), the sums (N,)."""
    return probabilities(a, bias), forward("softplus", a + bias).sum(1)

"""Couplings: bijections with a triangular Jacobian, whatever network is inside (Dinh et al. 2015, 2017).

One part of x is kept, and a network of it says how the other part is moved, number by number:

    (a, b) = split(x)     h = net(a)     z = join(a, f(b; h))     logdet = sum log f'(b; h)

a is unchanged, so dz/dx = [1 0; * diag f'] and its determinant is the product of the f'. Inverse: a is there, hence h, hence
b = f^-1(.; h): the network itself is never inverted. A chain alternates what is kept.

The affine coupling (Dinh et al. 2017, eq. 4): h = (r, t), two numbers for each number that is moved. With a bound c

    s = c tanh(r / c)     e = e^s     z = b e + t     logdet = sum s

    backward   db = dz e     ds = dz b e + dlogdet     dr = ds (1 - (s / c)^2)     dt = dz
    tangents   s_dot = (1 - (s / c)^2) r_dot     e_dot = e s_dot     z_dot = b_dot e + b e_dot + t_dot

and the product rule on the first line gives its second order. dlogdet (N,) stands beside every number of its row.

h is (..., P M): P planes of M channels side by side, M as many as are moved (of an affine coupling r | t). With a mask M is all
of x's channels, and h is masked: where h = 0, f is the identity, and moves the zeros there not at all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..kernels import affine
from ..kernels.combine import concatenate
from ..random import Key
from .bijection import Bijection
from .composite import Composite
from .layer import Layer
from .masks import Halves, Join, Mask, Masked
from .tree import Tree
from .wiring import add


class Transform(Layer):
    """(b, h) -> (f(b; h), sum log f'(b; h)), number by number; b (N, ..., M), h (N, ..., P M). f(b; 0) = b."""

    planes: int  # P

    def inverse(self, z: Array, h: Array) -> tuple[Array, Array]:
        """f^-1(z; h) and sum log of its slope."""
        raise NotImplementedError(f"{type(self).__name__}.inverse is not written")

    def check(self, b: Array, h: Array) -> None:
        """ValueError unless h has `planes` numbers for each of b."""
        if h.shape != (*b.shape[:-1], self.planes * b.shape[-1]):
            raise ValueError(
                f"{type(self).__name__}: what moves b of shape {b.shape} must have shape "
                f"{(*b.shape[:-1], self.planes * b.shape[-1])}, and the network's output has {h.shape}"
            )


class AffineCache(NamedTuple):
    b: Array  # (N, ..., M)
    s: Array  # like b
    e: Array  # like b


class Affine(Transform):
    """b e^s + t with s = c tanh(r / c), h = (r | t); c is `bound`, None for s = r.

    Raises ValueError where h does not fit, and on a bound that is not positive.
    """

    planes = 2

    def __init__(self, bound: float | None = 1.0) -> None:
        super().__init__()
        if bound is not None and not bound > 0:
            raise ValueError(f"Affine: bound={bound:g} must be positive, and None where there is none")
        self.bound = bound

    def slope(self, s: Array) -> Array | float:
        """ds/dr = 1 - (s / c)^2."""
        return 1.0 if self.bound is None else 1 - (s / self.bound) ** 2

    def forward(self, x: Tree, *, train: bool = False, key: Key | None = None) -> tuple[Tree, AffineCache]:
        b, h = x
        self.check(b, h)
        z, logdet, s, e = affine.forward(b, h, self.bound)
        return (z, logdet), AffineCache(b, s, e)

    def inverse(self, z: Array, h: Array) -> tuple[Array, Array]:
        return affine.inverse(z, h, self.bound)

    def backward(self, dy: Tree, cache: AffineCache, *, need_dx: bool = True, param_grads: bool = True) -> Tree:
        if not need_dx:
            return None
        b, s, e = cache
        return affine.gradient(*with_zeros(dy, b), b, s, e, self.bound)

    def jvp(self, x_dot: Tree, cache: AffineCache, *, move_params: bool = False) -> tuple[Tree, AffineCache]:
        (b_dot, h_dot), (b, s, e) = x_dot, cache
        r_dot, t_dot = np.split(h_dot, 2, -1)
        s_dot = self.slope(s) * r_dot
        e_dot = e * s_dot
        return (b_dot * e + b * e_dot + t_dot, sum_rows(s_dot)), AffineCache(b_dot, s_dot, e_dot)

    def backward_jvp(
        self,
        dy: Tree,
        dy_dot: Tree,
        cache: AffineCache,
        tangents: AffineCache,
        *,
        need_dx: bool = True,
        param_grads: bool = True,
    ) -> tuple[Tree, Tree]:
        if not need_dx:
            return None, None
        (dz, dlogdet), (dz_dot, dlogdet_dot) = (zeros_for_none(d, cache.b) for d in (dy, dy_dot))
        (b, s, e), (b_dot, s_dot, e_dot) = cache, tangents
        ds = dz * b * e + dlogdet
        ds_dot = dz_dot * b * e + dz * b_dot * e + dz * b * e_dot + dlogdet_dot
        dr_dot = ds_dot * self.slope(s)
        if self.bound is not None:
            dr_dot -= ds * (2 * s * s_dot / self.bound**2)
        dx = dz * e, concatenate((ds * self.slope(s), dz), -1)
        return dx, (dz_dot * e + dz * e_dot, concatenate((dr_dot, dz_dot), -1))


class Coupling(Composite, Bijection):
    """x (N, ..., D) -> z like x and logdet (N,): the part that is moved goes through `transform`, as `net` of the other says.

    By halves of the last axis, `flip` moving the first one, unless there is a `mask`, bool of a row's shape, True where x is
    kept (masks.py). `net` takes the kept half, or with a mask the whole of x with zeros in it, and returns P numbers for each
    number that is moved, or with a mask for each number of x. Raises ValueError where it does not.
    """

    def __init__(self, net: Layer, transform: Transform, *, flip: bool = False, mask: Array | None = None) -> None:
        super().__init__()
        split = Halves(flip=flip) if mask is None else Masked(mask if not flip else ~np.asarray(mask, bool))
        self.split, self.net, self.transform, self.join = split, net, transform, Join(split)
        self.only = None if isinstance(split, Halves) else Mask(np.concatenate([~split.kept] * transform.planes, -1))

    def wire(self, f: Any, x: Array) -> tuple[Array, Array]:
        a, b = f.split(x)
        h = f.net(a)
        z, logdet = f.transform((b, f.only(h) if self.only else h))
        return f.join((a, z)), logdet

    def unwire(self, b: Any, dy: Tree) -> Tree:
        dz, dlogdet = dy
        parts = b.join(dz)
        da, dz = parts[0], parts[1]
        parts = b.transform((dz, dlogdet))
        db, dh = parts[0], parts[1]
        da = add(da, b.net(b.only(dh) if self.only else dh, need_dx=b.need_dx))
        return b.split((da, db))

    def inverse(self, z: Array) -> tuple[Array, Array]:
        a, z = self.split.forward(z)[0]
        h = self.net.forward(a)[0]
        b, logdet = self.transform.inverse(z, self.only.forward(h)[0] if self.only else h)
        whole: Tree = (a, b)
        return self.join.forward(whole)[0], logdet


class AffineCoupling(Coupling):
    """The coupling b e^s + t of RealNVP, |s| < `bound`; see `Coupling` for `net`, `flip` and `mask`.

    Where the last layer of `net` begins at zero, the coupling begins as the identity (Kingma and Dhariwal 2018).
    """

    def __init__(self, net: Layer, *, flip: bool = False, mask: Array | None = None, bound: float | None = 1.0) -> None:
        super().__init__(net, Affine(bound), flip=flip, mask=mask)


def sum_rows(x: Array) -> Array:
    """(N, ...) -> (N,)."""
    total: Array = x.sum(tuple(range(1, x.ndim)))
    return total


def with_zeros(dy: Tree, like: Array) -> tuple[Array, Array]:
    """dz, like `like` (N, ...), and dlogdet (N,), as kernels take them: zeros for a gradient that is not there."""
    dz, dlogdet = dy
    dz = np.zeros_like(like) if dz is None else dz
    return dz, np.zeros_like(like, shape=len(like)) if dlogdet is None else dlogdet


def zeros_for_none(dy: Tree, like: Array) -> tuple[Any, Any]:
    """dz, and dlogdet as (N, 1, ...), which stands beside every number of its row; 0 for a gradient that is not there."""
    dz, dlogdet = dy
    dz = 0 * like if dz is None else dz
    return dz, 0 if dlogdet is None else dlogdet.reshape(-1, *[1] * (like.ndim - 1))

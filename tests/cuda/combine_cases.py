"""What the kernels of sums of products and of arrays side by side are asked: views of every kind."""

from __future__ import annotations

import numpy as np
from cuda_cases import Case
from pass_cases import drawn

from minigen.kernels.combine import cuda, definition
from minigen.kernels.combine.term import product_of

U = 2.0**-24


def views():
    """(name, terms, out), drawn anew."""
    x, z, e = drawn((6, 5, 4, 8), "x", "z", "e")
    row, shift, number = e[:, :1, :1, :1], z[:, :1, :1], np.array(0.3, np.float32)
    wide = np.zeros((6, 5, 4, 20), np.float32)
    yield "one number", (x[:1, 0, 0, 0], (2.0, z[:1, 0, 0, 0])), None
    yield "a sum", (x, z), None
    yield "a ragged sum", (x.reshape(-1)[:947], z.reshape(-1)[:947]), None
    yield "seven branches", (*(x[i : i + 1] for i in range(6)), z[:1]), None
    yield "a shift of channels", (x, shift), None
    yield "a shift of three channels", (x[..., :3], shift[..., :3]), None
    yield "a sample", ((row, x), (-0.5, row, z)), None
    yield "products", ((x, z), (2.0, z, e), (0.25, number, x)), None
    yield "a product alone", ((row, x),), None
    yield "half of each row", (x[..., 4:],), None
    yield "a part of each row", (x[..., 1:6],), None
    yield "channels before positions", ((3.0, x.transpose(0, 3, 1, 2)),), None
    yield "backwards", (x[::-1], z[:, :, :, ::-1]), None
    yield "space to depth", (x.reshape(3, 2, 5, 2, 2, 8).transpose(0, 2, 4, 1, 3, 5),), None
    yield "into half of each row", (x[:, :, :, :4], (row, z[..., 4:])), wide[..., 4:8]
    yield "into a part of each row", (x,), wide[..., 3:11]
    yield "added to", (z, (row, x)), z
    yield "five added to", (x, e, x, e, z), z
    yield "from an address between fours", (x.reshape(-1)[3:803], z.reshape(-1)[1:801]), None


def summed(name):
    ((terms, out),) = (rest for found, *rest in views() if found == name)
    arrays = [[np.asarray(part, np.float64) for part in product_of(term)[1:] if part is not None] for term in terms]
    factors = [float(product_of(term).f) for term in terms]
    exact = definition.add(*((f, *parts) for f, parts in zip(factors, arrays, strict=True)))
    sizes = definition.add(*((abs(f), *map(np.abs, parts)) for f, parts in zip(factors, arrays, strict=True)))
    y = cuda.add(*terms, out=out)
    assert y is out or out is None
    assert y.shape == exact.shape
    assert y.dtype == np.float32
    assert (np.abs(y - exact) <= (len(terms) + 1) * U * sizes).all()


def beside(parts, axis):
    together = cuda.concatenate(parts, axis)
    assert together.flags.c_contiguous
    np.testing.assert_array_equal(together, np.concatenate(parts, axis))
    for whole in (together, np.repeat(together, 2, 0)[::2], np.repeat(together, 2, -1)[..., 1::2]):
        apart = cuda.split(whole, [x.shape[axis] for x in parts], axis)
        for got, part in zip(apart, parts, strict=True):
            assert got.flags.c_contiguous
            np.testing.assert_array_equal(got, part)


def cases():
    """The table."""
    for name, *_ in views():
        tiny = name in ("a shift of three channels", "seven branches")
        yield Case(f"combine, {name}", lambda n=name: summed(n), tiny)
    x, z = drawn((3, 4, 5, 8), "x", "z")
    for axis in range(4):
        yield Case(f"beside along {axis}", lambda a=axis: beside((x, z), a), axis == 1)
    yield Case("beside, ragged", lambda: beside((x[..., :3], z, x[..., 5:], z[..., :1], x, z[..., 2:4]), -1))
    yield Case("beside, halves", lambda: beside((x[..., 4:], z[..., :4]), -1))
    yield Case("beside, turned", lambda: beside((x.swapaxes(1, 2), z.swapaxes(1, 2)), 1))
    yield Case("beside, nothing of one", lambda: beside((x, z[:, :0]), 1))

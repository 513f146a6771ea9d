"""What the kernels that pass over memory are asked: one number, one row, one channel, below a block, ragged, several chunks."""

from __future__ import annotations

import numpy as np
from cuda_cases import Case, close

from minigen.kernels.act_norm import cuda as act_norm
from minigen.kernels.act_norm import definition as plain_act_norm
from minigen.kernels.activation import cuda as activation
from minigen.kernels.activation import definition as plain_activation
from minigen.kernels.adam import cuda as adam
from minigen.kernels.adam import definition as plain_adam
from minigen.kernels.bernoulli import cuda as bernoulli
from minigen.kernels.bernoulli import definition as plain_bernoulli
from minigen.kernels.clip import cuda as clip
from minigen.kernels.cuda import sums
from minigen.kernels.epilogue import cuda as epilogue
from minigen.kernels.epilogue import definition as plain_epilogue
from minigen.kernels.games import cuda as games
from minigen.kernels.games import definition as plain_games
from minigen.kernels.normalise import cuda as normalise
from minigen.kernels.normalise import definition as plain_normalise
from minigen.kernels.philox import cuda as philox
from minigen.kernels.philox import definition as plain_philox
from minigen.kernels.rows import cuda as rows
from minigen.kernels.rows import definition as plain_rows
from minigen.kernels.slopes import cuda as slopes
from minigen.kernels.slopes import definition as plain_slopes
from minigen.kernels.squares import cuda as squares
from minigen.kernels.squares import definition as plain_squares
from minigen.kernels.sums import cuda as row_sums
from minigen.random import Key, use_of

FLAT = {"one number": 1, "below a block": 37, "exactly a block": 256, "ragged": 1027}
MIDDLE = {  # (B, R, C)
    "one number": (1, 1, 1),
    "one row": (1, 1, 70),
    "one channel": (3, 301, 1),
    "three channels": (2, 50, 3),
    "exact": (2, 64, 32),
    "ragged": (3, 37, 45),
    "several chunks": (1, 700, 33),
    "everything": (1, 9001, 1),
    "many rows of few": (500, 3, 1),
}
U = 2.0**-24
BOUND = 1e-6  # by norm: 10 u, u = 6e-8, and sums of normal numbers cancel little


def wide(*arrays):
    return [x.astype(np.float64) for x in arrays]


def drawn(shape, *names):
    return [Key(sum(shape)).at(name).normal(shape) for name in names]


def within(got, expected, bound):
    """No number is further off than `bound`; a NaN fails."""
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= bound


def both_ways(kind, n, leak=0.2):
    x, dy = drawn((n,), "x", "dy")
    x *= 4
    close(activation.forward(kind, x, leak=leak), plain_activation.forward(kind, *wide(x), leak=leak), BOUND)
    close(activation.gradient(kind, dy, x, leak=leak), plain_activation.gradient(kind, *wide(dy, x), leak=leak), BOUND)


def bias(shape, leak, with_bias):
    y, dy = drawn(shape, "y", "dy")
    b = Key(3).normal(shape[1]) if with_bias else None
    expected = wide(y)[0]
    plain_epilogue.finish(expected, None if b is None else wide(b)[0], leak=leak)
    epilogue.finish(y, b, leak=leak)
    close(y, expected, BOUND)
    du, db = epilogue.back(dy, y, leak=leak)
    exact_du, exact_db = plain_epilogue.back(*wide(dy, y), leak=leak)
    close(du, exact_du, BOUND)
    close(db, exact_db, 3e-6)  # signs cancel
    assert np.array_equal(epilogue.back(dy, y, leak=leak, sums=False)[0], du)


def moved(n, t):
    arrays = [*drawn((n,), "theta", "grad", "m"), drawn((n,), "v")[0] ** 2]
    exact, numbers = wide(*arrays), {"rate": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1, "t": t}
    before, read = exact[0].copy(), [array.copy() for array in arrays]
    plain_adam.step(*exact, **numbers)
    adam.step(*arrays, **numbers)
    adam.step_read(*read, np.array(adam.numbers(**numbers), np.float32))
    assert all(map(np.array_equal, arrays, read))  # numbers of the arguments or of memory: the same bits
    for got, expected in zip(arrays, exact, strict=True):
        close(got, expected, BOUND)
    close(wide(arrays[0])[0] - before, exact[0] - before, 2e-5)  # the step is a hundredth of theta


def imagined(n):
    """There, and back both with and without what later steps have left."""
    theta, grad, m, a, a_m, a_v = drawn((n,), "theta", "grad", "m", "a", "a_m", "a_v")
    v, kept, u = drawn((n,), "v")[0] ** 2 + np.float32(1e-3), (np.array([0.25], np.float32), np.array([0.98], np.float32)), 6e-8
    options = {"rate": 0.01, "beta1": 0.5, "beta2": 0.99, "eps": 1e-8, "k": 2}
    found = adam.imagined(theta, grad, m, v, *kept, **options)
    exact = plain_adam.imagined(*wide(theta, grad, m, v, *kept), **options)
    for got, expected in zip(found, exact, strict=True):
        close(got, expected, BOUND)
    close(wide(found[0])[0] - theta, exact[0] - theta, 2e-5)  # the step is a hundredth of theta
    for later in ((a_m, a_v), (None, None)):
        wider = [None if x is None else x.astype(np.float64) for x in later]
        found = adam.imagined_back(a, *later, grad, m, v, *kept, **options)
        exact = plain_adam.imagined_back(*wide(a), *wider, *wide(grad, m, v, *kept), **options)
        for got, expected in zip(found, exact, strict=True):
            within(got, expected, 12 * u * max(np.abs(x).max() for x in exact))


def same_numbers(n):
    key, like = Key(n).at("words").words, np.zeros(1, np.float32)
    words = philox.words(key, n, like=like)
    assert words.dtype == np.uint32
    assert np.array_equal(words, plain_philox.words(key, n))
    assert np.array_equal(philox.uniform(key, n, np.dtype(np.float32)), plain_philox.uniform(key, n, np.dtype(np.float32)))
    there = philox.child(np.array(Key(n).words, np.uint32), *use_of("words"))
    assert tuple(there.tolist()) == tuple(key)
    z = philox.normal(key, n, np.dtype(np.float32))
    of_memory = (
        philox.words(there, n, like=like),
        *(draw(there, n, z.dtype, like=like) for draw in (philox.uniform, philox.normal)),
    )
    assert all(map(np.array_equal, of_memory, (words, philox.uniform(key, n, z.dtype), z)))
    assert np.abs(z - plain_philox.normal(key, n, np.dtype(np.float32))).max() <= 4e-6
    u = plain_philox.uniform(key, n, np.dtype(np.float32))
    for p in (0.4, np.where(np.arange(n) % 2, u, np.nextafter(u, np.float32(2)))):
        for dtype in map(np.dtype, (np.bool_, np.float32)):
            expected = plain_philox.bernoulli(key, p, n, dtype)
            for either in (key, there):
                happens = philox.bernoulli(either, p, n, dtype, like=like)
                assert happens.dtype == dtype
                assert np.array_equal(happens, expected)
    for high, start in ((7, 0), (3, -1), (1 << 32, 5)):
        for either in (key, there):
            drawn = philox.integers(either, high, n, start=start, like=like)
            assert drawn.dtype == np.int64
            assert np.array_equal(drawn, plain_philox.integers(key, high, n, start=start))


def ordered(n):
    for words in (Key(n).bits((n, 2)), Key(n).bits((n, 2)) % 4, np.zeros((n, 2), np.uint32)):  # with ties, and nothing else
        order = philox.order(words)
        assert order.dtype == np.int64
        assert np.array_equal(order, plain_philox.order(words))


def summed(shape, accumulate):
    (x,), out = drawn(shape, "x"), None
    x += 1
    expected = wide(x)[0].sum(1)
    if accumulate:
        out = Key(1).normal(expected.shape)
        expected = expected + out
    close(sums.sums(x, out=out, accumulate=accumulate), expected, BOUND)


def multiplied(R, D, accumulate):
    a, b = drawn((R, D), "a", "b")
    out = Key(1).normal(R) if accumulate else None
    exact, terms = (a.astype(np.float64) * b).sum(1), np.abs(a.astype(np.float64) * b).sum(1)
    exact, terms = (exact + out, terms + np.abs(out)) if accumulate else (exact, terms)
    found = row_sums.products(a, b, out=out, accumulate=accumulate)
    if not accumulate:
        assert abs(row_sums.inner(a, b) - exact.sum()) <= 2.0**-23 * abs(exact.sum()) + 1e-12 * terms.sum()
    h = sums.Walk(R, D, 1, whole=True).block[1]
    assert (np.abs(found - exact) <= (-(-D // h) + np.log2(h) + 2) * 2.0**-24 * terms).all()


def normalised(shape, kind, leak):
    B, _, C = shape
    x, dy = drawn(shape, "x", "dy")
    x += 100  # a mean that is large beside the deviation
    gain, b = 1 + 0.1 * Key(1).normal(C), Key(2).normal(C)
    groups, eps = next(g for g in (3, 2, 5, 1) if C % g == 0), 1e-2
    for many in (groups, C):
        mean, var, r = normalise.statistics(x, eps=eps, groups=many)
        exact_mean, exact_var, _ = plain_normalise.statistics(*wide(x), eps=eps, groups=many)
        close(mean, exact_mean, BOUND)
        assert np.abs(var - exact_var).max() <= 2e-5 * (1 + exact_var.max())  # u 100 is what x itself leaves open
        close(r, 1 / np.sqrt(wide(var)[0] + eps), BOUND)
    options = {"kind": kind, "leak": leak}
    xhat, y = normalise.scale(x, mean, r, gain, b, **options)
    for got, expected in zip((xhat, y), plain_normalise.scale(*wide(x, mean, r, gain, b), **options), strict=True):
        close(got, expected, BOUND)
    xhat = Key(4).normal(shape)  # all that follows takes any
    for got, expected in zip(
        normalise.sums(dy, xhat, gain, b, **options),
        plain_normalise.sums(*wide(dy, xhat, gain, b), **options),
        strict=True,
    ):
        close(got, expected, 5e-6)  # signs cancel
    small = [Key(5 + i).normal((B, C)) for i in range(3)]
    for how in ({"groups": groups}, {}, {"moving": False}):
        exact = plain_normalise.gradient(*wide(dy, xhat, gain, b, *small), **how, **options)
        close(normalise.gradient(dy, xhat, gain, b, *small, **how, **options), exact, BOUND)
    normalised_whole(x, dy, gain, b, {"groups": groups, **options})


def normalised_whole(x, dy, gain, b, how):
    """All there, and all back, in one launch or several."""
    R, eps = x.shape[1], 1e-2
    xhat, y, r = normalise.forward(x, gain, b, eps=eps, **how)
    exact = plain_normalise.forward(*wide(x, gain, b), eps=eps, **how)
    off = (R + 20) * U * np.abs(x).max() * exact[2].max()  # of xhat: the mean's rounding; an addition for every number at worst
    within(xhat, exact[0], off + 4 * U * np.abs(exact[0]).max())
    within(y, exact[1], (off + 8 * U * np.abs(exact[0]).max()) * np.abs(gain).max() + 8 * U * np.abs(exact[1]).max())
    close(r, exact[2], 1e-4 if R > 1 else BOUND)  # of var 2e-5 as above
    given = dy, xhat, gain, b, r
    (dx, *both), (exact_dx, *exact_both) = normalise.backward(*given, **how), plain_normalise.backward(*wide(*given), **how)
    for got, expected in zip(both, exact_both, strict=True):
        close(got, expected, 5e-6)  # signs cancel
    size = np.abs(dy).max() * np.abs(gain).max() * (1 + np.abs(xhat).max() ** 2) * r.max()
    within(dx, exact_dx, 40 * U * size)


def apart(n):
    y, target = drawn((n,), "y", "target")
    value, dy = squares.loss(y, target, scale=0.7)
    exact, exact_dy = plain_squares.loss(*wide(y, target), scale=0.7)
    assert value.dtype == np.float64
    assert abs(value - exact) <= BOUND * exact
    within(dy, exact_dy, 3e-7 * np.abs(exact_dy).max())


def played(kind, n):
    (l,) = drawn((n,), "l")
    l *= 4
    for a in (-1.0, 0.9):
        value, dl = games.loss(kind, l, a, scale=0.7)
        exact, exact_dl = plain_games.loss(kind, *wide(l), a, scale=0.7)
        assert value.dtype == np.float64
        assert abs(value - exact) <= 3e-7 * np.abs(l).max()
        within(dl, exact_dl, 3e-7 * np.abs(l).max() / n)


def steep(rule, n, m):
    """A flat row among others, and one whose squares float32 does not hold."""
    (g,) = drawn((n, m), "g")
    g[-1] = 0
    g[n // 2] *= np.float32(1e-25)
    value, dg = slopes.paid(rule, g, weight=3.0, scale=0.7)
    exact, exact_dg = plain_slopes.paid(rule, *wide(g), weight=3.0, scale=0.7)
    assert value.dtype == np.float64
    assert abs(value - exact) <= 1e-12 * exact
    assert (np.abs(dg - exact_dg) <= 2.01 * 2.0**-24 * np.abs(exact_dg) + 1e-12 * np.abs(g)).all()


def clipped(n):
    """Two vectors together: below the limit not a bit changes, above it all are multiplied."""
    vectors = [Key(i).normal(size) for i, size in enumerate((n, 37))]
    norm = np.sqrt(sum((x.astype(float) ** 2).sum() for x in vectors))
    for limit in (2 * norm, norm / 2):
        moved = [x.copy() for x in vectors]
        found = clip.to_norm(*moved, limit=limit)
        assert found.dtype == np.float64
        assert abs(found - norm) <= 1e-7 * norm
        for before, after in zip(vectors, moved, strict=True):
            assert limit < norm or np.array_equal(after, before)
            close(after, before * min(1, limit / norm), 2e-7)
    clip.to_range(moved[0], 0.1)
    assert np.array_equal(moved[0], np.clip(vectors[0] * np.float32(limit / norm), np.float32(-0.1), np.float32(0.1)))


def channels(shape):
    N, _, C = shape
    x, dz = drawn(shape, "x", "dz")
    s, b, dlogdet = Key(1).normal(C) / 2, Key(2).normal(C), Key(3).normal(N)
    for function in ("forward", "inverse"):
        exact = getattr(plain_act_norm, function)(*wide(x, s, b))
        for got, expected in zip(getattr(act_norm, function)(x, s, b), exact, strict=True):
            close(got, expected, BOUND)
    found, exact = act_norm.gradient(dz, dlogdet, x, s), plain_act_norm.gradient(*wide(dz, dlogdet, x, s))
    for got, expected in zip(found, exact, strict=True):
        close(got, expected, 5e-6)  # signs cancel
    dx, *none = act_norm.gradient(dz, dlogdet, x, s, sums=False)
    assert np.array_equal(dx, found[0])
    assert none == [None, None]


def pixels(N, K, P):
    z = 6 * Key(N + K + P).normal((N, K, P))
    x, dnll = Key(7).uniform((N, P)), Key(8).normal((N, K))
    value, dz = bernoulli.loss(z[:, 0], x, scale=0.7)
    exact, exact_dz = plain_bernoulli.loss(*wide(z[:, 0], x), scale=0.7)
    assert abs(value - exact) <= 3e-7 * exact
    within(dz, exact_dz, 4e-7 * 0.7 / N)  # absolute: sigmoid - x cancels
    close(bernoulli.rows(z, x), plain_bernoulli.rows(*wide(z, x)), BOUND)
    dz, exact_dz = bernoulli.rows_gradient(z, x, dnll), plain_bernoulli.rows_gradient(*wide(z, x, dnll))
    within(dz, exact_dz, 4e-7 * np.abs(dnll).max())


def at_places(n, V, W):
    """Some places more than once, some rows never."""
    ids, table, dy = Key(n).integers(V, n), Key(1).normal((V, W)), Key(2).normal((n, W))
    np.testing.assert_array_equal(rows.take(table, ids), table[ids])
    assert np.isnan(rows.take(table, np.array([V, -1]))).all()
    moved, expected = table.copy(), table.copy()
    few = Key(3).permutation(V)[: min(n, V)]
    rows.put(moved, few, dy[: len(few)])
    expected[few] = dy[: len(few)]
    np.testing.assert_array_equal(moved, expected)
    exact = plain_rows.add_up(ids, *wide(dy), V)
    within(rows.add_up(ids, dy, V), exact, (n + 10) * U * np.abs(dy).max())
    within(rows.add_up(ids, dy, V, out=table.copy(), accumulate=True), exact + table, (n + 10) * U * (np.abs(dy).max() + 5))


def cases():
    """The table."""
    for n, V, W in ((1, 1, 1), (20, 7, 3), (300, 1, 33), (5, 40, 1), (700, 9, 64)):
        yield Case(f"rows, {n} of {V}x{W}", lambda n=n, V=V, W=W: at_places(n, V, W), n == 20)
    for title, n in FLAT.items():
        tiny = title == "below a block"
        for kind in activation.KINDS:
            yield Case(f"activation {kind}, {title}", lambda k=kind, n=n: both_ways(k, n), tiny)
        yield Case(f"activation ReLU, {title}", lambda n=n: both_ways("leaky", n, 0.0), tiny)
        for t in (1, 1000):
            yield Case(f"adam, step {t}, {title}", lambda n=n, t=t: moved(n, t), tiny)
        yield Case(f"adam, imagined, {title}", lambda n=n: imagined(n), tiny)
        yield Case(f"philox, {title}", lambda n=n: same_numbers(n), tiny)
        yield Case(f"philox, order, {title}", lambda n=n: ordered(n), tiny)
        yield Case(f"squares, {title}", lambda n=n: apart(n), tiny)
        for kind in games.KINDS:
            yield Case(f"game {kind}, {title}", lambda k=kind, n=n: played(k, n), tiny)
    for shape in ((1, 1), (7, 2), (3, 37), (300, 45), (2, 3001)):
        for accumulate in (False, True):
            run = lambda s=shape, a=accumulate: multiplied(*s, a)
            yield Case(f"inner products{', added to' * accumulate}, {shape}", run, shape == (3, 37))
    for rule in slopes.RULES:
        for shape in ((1, 1), (7, 2), (3, 37), (300, 45), (2, 3001)):
            yield Case(f"slopes {rule}, {shape}", lambda r=rule, s=shape: steep(r, *s), shape == (3, 37))
    for title, n in {**FLAT, "several chunks": 9001}.items():
        yield Case(f"clip, {title}", lambda n=n: clipped(n), title == "below a block")
    for title, shape in MIDDLE.items():
        tiny = title == "three channels"
        for accumulate in (False, True):
            yield Case(f"sums{' added to' * accumulate}, {title}", lambda s=shape, a=accumulate: summed(s, a), tiny)
        for kind, leak in (("leaky", 1.0), ("leaky", 0.2), ("leaky", 0.0), ("silu", 1.0)):
            yield Case(f"normalise {kind} {leak}, {title}", lambda s=shape, k=kind, a=leak: normalised(s, k, a), tiny)
        yield Case(f"act norm, {title}", lambda s=shape: channels(s), tiny)
    for shape in ((1, 1), (1, 70), (130, 1), (37, 45), (700, 33)):
        for leak, with_bias in ((1.0, True), (0.0, True), (0.2, False)):
            run = lambda s=shape, a=leak, b=with_bias: bias(s, a, b)
            yield Case(f"epilogue {leak}{', bias' * with_bias}, {shape}", run, shape[0] == 37)
    for shape in ((1, 1, 1), (5, 2, 1), (2, 3, 37), (1, 1, 784), (12, 1, 800)):
        yield Case(f"bernoulli, {shape}", lambda s=shape: pixels(*s), shape == (2, 3, 37))

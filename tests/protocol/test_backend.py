"""The backend: which library an array belongs to, and the one allocator."""

import gc
import sys

import numpy as np
import pytest

from minigen import backend
from minigen.backend import Workspace, empty, empty_like, workspace
from minigen.check import prove
from minigen.kernels.combine import concatenate
from minigen.layers import Conv2d, Flatten, Linear, Sequential, Tanh
from minigen.losses import bernoulli
from minigen.models import Model, Objective
from minigen.optim import Adam
from minigen.random import Key

# ---- libraries and devices


def test_numpy_makes_arrays_and_stands_for_python_numbers():
    for x in (np.zeros(2), np.float32(1), 1, 1.0, 1j, True):
        assert backend.array_module(x) is np
    with pytest.raises(TypeError, match="list is not an array of NumPy or CuPy"):
        backend.array_module([1.0])


def test_moving_to_where_it_is_copies_nothing():
    x = np.zeros(3)
    assert backend.to_device(x, "cpu") is x
    assert backend.device_of(x) == "cpu"
    with pytest.raises(ValueError, match="unknown device 'tpu': choose 'cpu' or 'cuda'"):
        backend.to_device(x, "tpu")


def test_without_cupy_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError, match=r"pip install 'minigen\[gpu\]'"):
        backend.to_device(np.zeros(3), "cuda")


def test_real_dtype():
    pairs = {np.float32: np.float32, np.complex64: np.float32, np.float64: np.float64, np.complex128: np.float64}
    assert all(backend.real_dtype(dtype) == real for dtype, real in pairs.items())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.uint8])
@pytest.mark.parametrize("n", [0, 1, 17, 1000])
def test_aligned_zeros(n, dtype):
    x = backend.aligned_zeros(n, dtype)
    assert x.shape == (n,)
    assert x.dtype == dtype
    assert not x.any()
    assert n == 0 or x.ctypes.data % 64 == 0


def test_empty_takes_shape_dtype_and_device():
    x = np.asfortranarray(np.zeros((3, 4), np.float64))
    assert empty(5).shape == (5,)
    assert empty((2, 3)).dtype == np.float32
    assert (empty_like(x).dtype, empty_like(x).shape, empty_like(x).flags.c_contiguous) == (np.float64, (3, 4), True)
    assert not backend.zeros((2, 2), like=x).any()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concatenate_takes_its_memory_from_the_workspace(axis):
    parts = [np.arange(6.0).reshape(2, 3), 1j * np.ones((2, 3)), np.ones((2, 3), np.float32).T.copy().T]
    with workspace() as space:
        whole = concatenate(parts, axis)
        assert space.in_use == 1
    assert whole.dtype == np.complex128
    assert np.array_equal(whole, np.concatenate(parts, axis))
    with pytest.raises(ValueError, match="concatenation axis must match exactly"):
        concatenate((np.ones((2, 3)), np.ones((3, 2))), 0)


# ---- the workspace


def test_a_block_is_used_again_when_its_array_is_gone():
    space = Workspace()
    x = space.empty((100, 10), np.float32)
    where = x.ctypes.data
    assert where % 64 == 0
    assert space.in_use == 1
    del x
    assert space.in_use == 0
    y = space.empty((10, 100), np.float32)
    assert y.ctypes.data == where
    assert space.empty(1000, np.float32).ctypes.data != where


@pytest.mark.parametrize(
    "look",
    [lambda x: x[3], lambda x: x.reshape(-1)[5:], lambda x: x.T, lambda x: x.view(np.uint8), lambda x: np.asarray(x)[::2]],
)
def test_a_view_keeps_the_block(look):
    """What survives a step, a sample or a running mean, may be a part of what was handed out."""
    space = Workspace()
    x = space.empty((10, 10), np.float64)
    x[...] = 7
    part = look(x)
    kept = part.copy()
    del x
    gc.collect()
    for _ in range(5):
        space.empty((10, 10), np.float64)[...] = -1
    assert space.in_use == 1
    assert np.array_equal(part, kept)


def test_poison_shows_what_was_not_written():
    space = Workspace(poison=True)
    for dtype in (np.float32, np.float64, np.complex128):
        x = space.empty(8, dtype)
        assert np.isnan(x).all()
        x[...] = 0
    assert space.empty(8, np.int64).shape == (8,)


def test_nearly_equal_requests_share_blocks_and_little_is_wasted():
    for nbytes in (1, 63, 64, 65, 1000, 4097, 1 << 20, (1 << 20) + 1):
        size = backend._block_size(nbytes)
        assert size >= nbytes
        assert size % 64 == 0
        assert size <= max(64 * -(-nbytes // 64), nbytes * 1.125 + 64)
    assert len({backend._block_size(n) for n in range(1 << 20, 1 << 21)}) <= 9


@pytest.mark.parametrize("shape", [0, (0,), (0, 3), (), (1,)])
def test_arrays_of_no_and_of_one_number(shape):
    x = Workspace(poison=True).empty(shape, np.float64)
    assert x.shape == ((shape,) if isinstance(shape, int) else shape)
    assert x.flags.writeable
    x[...] = 1


def test_odd_requests():
    space = Workspace()
    assert space.empty([2, 3], np.float32).shape == (2, 3)
    with pytest.raises(ValueError, match=r"an array of shape \(-1, -2\) cannot be"):
        space.empty((-1, -2), np.float32)
    assert space.in_use == 0
    for n in range(backend.KNOWN + 10):
        space.empty(n, np.int8)
    assert len(space._known) <= backend.KNOWN


def test_clear_hands_back_what_is_free_alone():
    space = Workspace()
    kept, gone = space.empty(1000, np.float64), space.empty(5000, np.float64)
    kept[...] = 3
    before = space.allocated
    del gone
    space.clear()
    assert 8000 <= space.allocated <= before - 40_000
    assert (kept == 3).all()
    del kept
    space.clear()
    assert space.allocated == 0


def test_within_it_and_only_within_it():
    outer, inner = Workspace(), Workspace()
    with workspace(outer):
        a = empty(4)
        with workspace(inner) as active:
            assert active is inner
            b = empty(4)
        c = empty(4)
    d = empty(4)
    assert (outer.in_use, inner.in_use) == (2, 1)
    assert len({id(x) for x in (a, b, c, d)}) == 4
    with pytest.raises(ZeroDivisionError), workspace():
        1 / 0  # noqa: B018
    assert backend._active is None


# ---- a whole step


class Reconstruction(Objective):
    name, updates = "reconstruction", ("net",)

    def __call__(self, model, batch, noise, *, train=True, backward=True, scale=1.0, forwards=None):
        called = (forwards or {}).get("net") or model.net.forward(batch, train=train)
        loss, dlogits = bernoulli(called[0], batch.reshape(len(batch), -1))
        if backward:
            model.net.backward(scale * dlogits, called[1], need_dx=False)
        return {"reconstruction": loss}, {"net": called}


class Small(Model):
    def __init__(self, dtype) -> None:
        net = Sequential(Conv2d(1, 3, 3, padding=1), Tanh(), Flatten(), Linear(3 * 36, 8), Tanh(), Linear(8, 36))
        super().__init__(Key(0), dtype, net=net)
        self.objectives = (Reconstruction(),)
        self.optimize(adam=Adam(self))

    def step(self, batch, key):
        self.zero_grads()
        terms, forwards = self.objectives[0](self, batch, None)
        self.optimizers["adam"].step()
        self.commit(None, forwards)
        return terms


def steps(model, n):
    batch = Key(1).uniform((16, 6, 6, 1), model.dtype)
    return [model.step(batch, Key(2).at(i))["reconstruction"] for i in range(n)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_poisoned_or_fresh_a_step_computes_the_same(dtype):
    plain, poisoned = Small(dtype), Small(dtype)
    losses = steps(plain, 3)
    with workspace(Workspace(poison=True)):
        assert steps(poisoned, 3) == losses
    assert np.array_equal(poisoned.theta, plain.theta)
    assert np.isfinite(plain.theta).all()


def test_memory_is_flat_over_steps():
    model = Small(np.float32)
    with workspace() as space:
        steps(model, 2)
        allocated, in_use = space.allocated, space.in_use
        assert allocated > 0
        steps(model, 5)
        assert space.allocated == allocated
        assert space.in_use == in_use


def test_a_proof_holds_within_a_poisoned_workspace():
    with workspace(Workspace(poison=True)):
        prove(Small(np.float64), Key(3).uniform((2, 6, 6, 1), np.float64), Key(4))

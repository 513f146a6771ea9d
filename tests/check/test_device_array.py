"""The test array refuses what a GPU refuses, or would silently wait for; the rest it computes as NumPy does."""

import copy

import numpy as np
import pytest

from minigen import backend
from minigen.check.device_array import DEVICE, DeviceArray, HostTransferError, to_host, to_test_device
from minigen.check.recorded import RecordedGraph
from minigen.layers.linear import Linear
from minigen.random import Key

HOST = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def x():
    return to_test_device(HOST)


@pytest.mark.parametrize(
    "transfer",
    [
        lambda x: float(x.sum()),
        lambda x: int(x.sum()),
        lambda x: complex(x.sum()),
        lambda x: bool(x.sum() > 0),
        lambda x: "positive" if (x > 0).all() else "not",
        lambda x: [row for row in x],  # noqa: C416  the loop is the point
        lambda x: np.asarray(x),
        lambda x: np.asarray(x.sum()) + 1,
        lambda x: x + HOST,
        lambda x: HOST * x,
        lambda x: np.where(x > 0, HOST, x),
        lambda x: np.concatenate((x, HOST)),
        lambda x: x[x > 0],
        lambda x: range(x.sum()),
        lambda x: x.__setitem__(0, HOST[0]),
        lambda x: np.add(x, 1, out=HOST.copy()),
        lambda x: np.zeros((2, 3)).__setitem__(0, x[0]),
    ],
)
def test_transfers_are_refused(x, transfer):
    with pytest.raises(HostTransferError):
        transfer(x)


@pytest.mark.parametrize("name", ["item", "tolist", "tobytes", "ctypes"])
def test_what_would_transfer_is_not_there(x, name):
    with pytest.raises(AttributeError, match=r"x\.get\(\)"):
        getattr(x, name)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: 2 * x + x**2 - 1 / (1 + x),
        lambda x: np.exp(-x).sum(0, keepdims=True),
        lambda x: x.mean(1) @ np.ones_like(x.mean(1)),
        lambda x: np.where(x > 2, x, 0).reshape(-1)[1:4],
        lambda x: np.concatenate((x, x.T.reshape(2, 3)), 1),
        lambda x: np.add(x, 1, out=np.empty_like(x)),
        lambda x: np.maximum(x, 1).astype(np.float32),
        lambda x: np.take_along_axis(x, x.argmax(1)[:, None], 1),
        lambda x: np.stack(np.split(x, 3, 1)).real,
        lambda x: x.swapaxes(0, 1)[::-1, None].copy(),
        lambda x: np.add.reduce(x, 1),
    ],
)
def test_computes_as_numpy_does(x, compute):
    y = compute(x)
    assert type(y) is DeviceArray
    np.testing.assert_array_equal(y.get(), compute(HOST))
    assert y.dtype == compute(HOST).dtype


def test_in_place(x):
    y = x
    y += 1
    y[0] = 7
    y[:, 1] *= np.float64(2)
    np.add.at(y, to_test_device(np.array([0, 0])), 1.0)
    assert y is x
    np.testing.assert_array_equal(x.get(), [[9, 16, 9], [4, 10, 6]])


def test_backend_knows_it(x):
    assert backend.device_of(x) == DEVICE
    assert type(backend.zeros(3, like=x)) is DeviceArray
    assert type(backend.empty_like(x)) is DeviceArray
    assert type(backend.to_device(HOST, DEVICE)) is DeviceArray
    np.testing.assert_array_equal(backend.to_device(x, "cpu"), HOST)
    assert type(Key(0).normal(3, like=x)) is DeviceArray
    np.testing.assert_array_equal(to_host(Key(0).normal(3, like=x)), Key(0).normal(3, np.float64))
    with pytest.raises(ValueError, match="unknown device 'tset'"):
        backend.to_device(HOST, "tset")


def test_parameters_are_laid_out_on_it(x):
    layer = Linear(3, 2).initialise(Key(0), np.float64, like=x)
    assert type(layer.params["W"]) is DeviceArray
    y, cache = layer.forward(x)
    layer.backward(y, cache)
    assert type(layer.grads["W"]) is DeviceArray
    np.testing.assert_allclose(y.get(), Linear(3, 2).initialise(Key(0), np.float64).forward(HOST)[0])


def test_a_deep_copy_is_a_copy_on_the_device(x):
    """As CuPy's: an operation like others, which a captured step does again."""
    graph = RecordedGraph()
    with graph.recording():
        twin = copy.deepcopy({"state": x})["state"]
    x.set(HOST + 1)
    graph.launch()
    assert type(twin) is DeviceArray
    assert np.array_equal(to_host(twin), HOST + 1)

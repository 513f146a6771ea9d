"""A captured step equals the step that is not, bit for bit; and what a graph cannot hold is refused by name.

Without a GPU: on the array that stands for CuPy's, whose operations are taken down and done again (minigen/check/recorded.py).
"""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from captured_cases import CASES, graphs_of, made, trained

from minigen import backend, models, optim
from minigen.backend import CaptureError
from minigen.check.device_array import DEVICE, DeviceArray, running_cuda, standing_for_cupy, to_host, to_test_device
from minigen.check.recorded import KERNEL, Operation, RecordedGraph, library_lines, library_share
from minigen.kernels import activation, precision
from minigen.kernels.cuda import on_cpu
from minigen.models.captured import Captured
from minigen.models.device_key import DeviceKey
from minigen.models.model import Model
from minigen.random import Key
from minigen.training import Run


@pytest.fixture(autouse=True)
def compiler(request):
    """A GPU needs none."""
    if on_cpu.compiler() is None and request.node.get_closest_marker("gpu") is None:
        pytest.skip("CUDA kernels run on the CPU through g++: install it")


@pytest.fixture
def cuda():
    with running_cuda():
        yield


@pytest.fixture(params=[DEVICE, pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """The array that stands for CuPy's, or a GPU (pytest -m gpu)."""
    with running_cuda():
        yield request.param


@cache
def once(name, device):
    """A captured run, of which two tests ask."""
    return trained(name, True, device)


@pytest.mark.parametrize("name", CASES)
def test_captured_equals_eager(device, name):
    terms, arrays, counts, _ = trained(name, False, device)
    again, same, too, step = once(name, device)
    assert again == terms
    assert too == counts
    for path, array in arrays.items():
        assert np.array_equal(same[path], array), path
    assert graphs_of(step)
    if device == DEVICE:
        assert all(sum(one.name == KERNEL for one in graph.work) > 5 for graph in graphs_of(step))


def test_every_model_is_captured_or_says_why_not():
    without = [name for name in models.names() if models.find(name).uncaptured is None]
    assert {name.partition(",")[0] for name in CASES} == set(without)


# ---- the hot path is our kernels


@pytest.mark.parametrize("name", CASES)
def test_the_library_does_no_more_of_a_step(cuda, name):
    """Nothing of what kernels do goes back to the library. A share that has fallen is bounded anew (captured_cases.py)."""
    graphs = graphs_of(once(name, DEVICE)[-1])
    share = library_share(graphs)
    largest = "".join(f"\n    {numbers} numbers, {name}, {where}" for numbers, _, name, where in library_lines(graphs)[:5])
    assert share <= CASES[name].library, f"{share:.3f} of the numbers are the library's; most by{largest}"


def test_what_an_operation_touches(cuda):
    graph = RecordedGraph()
    x = to_test_device(np.ones((4, 8), np.float32))
    with graph.recording():
        empty = backend.empty((5, 5), like=x)
        y = x * x  # 32 read, 32 written
        y[:2] = x[2:]  # 16 and 16
        activation.forward("leaky", x, leak=0.0)  # 32 and 32, a kernel of ours
        assert y[1:].T.shape == (8, 3)  # a view is no work
    assert empty.shape == (5, 5)
    touched = [("empty", 0), ("multiply", 64), ("assignment", 32), ("empty", 0), ("launch", 64)]
    assert [(one.name, one.touched) for one in graph.work] == touched
    assert library_share([graph]) == pytest.approx(96 / 160)
    assert library_share([]) == 0
    lines = [line[:3] for line in library_lines([graph, graph])]
    assert lines == [(128, 2, "multiply"), (64, 2, "assignment"), (0, 4, "empty")]


@pytest.mark.parametrize("name", ["vae", "dcgan"])
def test_a_graph_keeps_to_the_precision_it_was_recorded_in(device, name):
    """Steps in tf32 and in float32 by turns, with one `Captured`: those of the eager model, whose kernels are chosen anew."""
    chosen = ("float32", "float32", "tf32", "tf32", "float32", "tf32")

    def trained(capture, turns):
        model, batches = made(name, device)
        step, batch = Captured(model) if capture else model.step, model.batch_of(next(batches))
        for i, way in enumerate(turns):
            with precision(way):
                step(batch, Key(3).at("step", i))
        return backend.to_device(model.theta, "cpu")

    eager = trained(False, chosen)
    assert np.array_equal(trained(True, chosen), eager)
    assert not np.array_equal(trained(True, ("float32",) * len(chosen)), eager)
    assert not np.array_equal(trained(True, ("tf32",) * len(chosen)), eager)


def test_recording_runs_nothing(cuda):
    model, batches = made("vae")
    step, batch = Captured(model), model.batch_of(next(batches))
    step(batch, Key(1))
    graph = step.model.theta.get(), model.optimizers["adam"].t
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordedGraph, "launch", lambda self: None)
        terms = step(batch, Key(2))
    assert np.array_equal(model.theta.get(), graph[0])
    assert all(np.isnan(backend.number(value)) for value in terms.values())  # nobody may read them before the launch


def test_zeros_that_the_host_noted_are_written_around_a_graph(cuda):
    """A step fills one parameter: what else counts as zero is written in the graph, and what was filled stays."""

    def step(model, x, key):
        model.zero_grads()
        model.encoder.mu.grads.add("W", x)
        return {"term": x.sum()}

    model = Step(step)
    run, place = Captured(model), model.vector.places["encoder.mu.W"]
    for i in range(4):
        model.grad[...] = np.nan
        if i == 3:
            model.zero_grads()  # and nobody asks before the launch
        x = to_test_device(np.full(place.shape, i, np.float32))
        run(x, Key(i))
        grad = to_host(model.vector._grad)
        assert (place.of(grad) == i).all()
        assert (to_host(model.grad) == grad).all()
        assert grad.sum() == i * (place.stop - place.start)


def test_a_run_is_captured_and_eager_is_one_flag_away(tmp_path):
    given = {"steps": 7, "batch": 16, "device": "cuda", "options": {"hidden": 8, "latents": 3}, "data_options": {"rows": 60}}
    logs = []
    with standing_for_cupy():
        for eager in (True, False):
            run = Run.create("vae", out=tmp_path / str(eager), **given)
            run.model.pictures = lambda batch, key: {}
            run.train(eager=eager)
            lines = map(json.loads, run.log.path.read_text().splitlines())
            logs.append([(line["kind"], line.get("terms"), line.get("figures")) for line in lines])
            assert run.log.counts == {}
    assert logs[0] == logs[1]


# ---- keys on the device


def test_a_key_on_the_device_draws_the_same(cuda):
    like = to_test_device(np.zeros(1, np.float32))
    host, there = Key(5).at("a"), DeviceKey(to_test_device(np.array(Key(5).words, np.uint32))).at("a")
    for path in ((), ("eps",), ("layer", 3, "x"), (-1,)):
        one, other = host.at(*path), there.at(*path)
        assert np.array_equal(to_host(other.bits(7, like=like)), one.bits(7))
        assert np.array_equal(to_host(other.uniform((3, 3), like=like)), one.uniform((3, 3)))
        assert np.array_equal(to_host(other.normal(9, like=like)), to_host(one.normal(9, like=like)))
        assert np.array_equal(to_host(other.integers(10, 9, start=3, like=like)), one.integers(10, 9, start=3))
        assert np.array_equal(to_host(other.bernoulli(0.5, 9, like=like)), one.bernoulli(0.5, 9))
        p = np.array([[0.2], [0.9]], np.float32)
        drawn = other.bernoulli(to_test_device(p), (2, 5), np.float32)
        assert np.array_equal(to_host(drawn), one.bernoulli(p, (2, 5), np.float32))
        assert np.array_equal(to_host(other.permutation(300, like=like)), one.permutation(300))


# ---- what is refused


class Step(Model):
    """A model whose step is a function."""

    name = "step"

    def __init__(self, function):
        self.function = function
        vae, _ = made("vae")
        self.__dict__.update({k: v for k, v in vars(vae).items() if k != "function"})

    def step(self, batch, key):
        return self.function(self, batch, key)


def refused(function, message):
    step, x = Captured(Step(function)), to_test_device(np.ones((4, 3), np.float32))
    step(x, Key(0))
    with pytest.raises(CaptureError, match=message):
        step(x, Key(1))
    assert RecordedGraph.current is None


def host_index(model, x, key):
    return {"term": x[to_test_device(np.arange(2))].sum(), "more": x[np.nonzero(x)[0]].sum()}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda model, x, key: {"term": float(x.sum().get())}, r"x\.get\(\) of shape \(\) inside a captured step"),
        (lambda model, x, key: {"term": 1.0}, "the term 'term' of step is a number on the host"),
        (
            lambda model, x, key: {"term": (x + backend.to_device(np.ones((4, 3), np.float32), DEVICE)).sum()},
            r"copies an array of shape \(4, 3\) from the host",
        ),
        (lambda model, x, key: {"term": backend.to_device(x, "cpu").sum()}, r"copies an array of shape \(4, 3\) to the host"),
        (lambda model, x, key: {"term": (x.T @ x).sum()}, "matmul inside a captured step: CuPy's cuBLAS refuses"),
        (lambda model, x, key: {"term": np.sort(x).sum()}, "sort inside a captured step: CuPy's sorts and solvers wait"),
        (lambda model, x, key: {"term": np.linalg.inv(x[:1, :1]).sum()}, "inv inside a captured step"),
        (host_index, "nonzero inside a captured step: how long its result is"),
        (lambda model, x, key: {"term": x.sum() + key.normal(3).sum()}, r"draws \(3,\) numbers on the CPU"),
        (lambda model, x, key: {"term": x.sum() + int(key.permutation(3)[0])}, r"draws \(3, 2\) numbers on the CPU"),
        (lambda model, x, key: {"term": x.sum() + key.integers(3, 4).sum()}, r"draws \(4,\) numbers on the CPU"),
        (lambda model, x, key: {"term": x.sum() + key.bernoulli(0.5, 4).sum()}, r"draws \(4,\) numbers on the CPU"),
        (
            lambda model, x, key: {"term": x.sum() + key.bernoulli(0.5, 4, np.float64, like=x).sum()},
            "draws events as booleans or in float32, of probabilities in float32",
        ),
        (lambda model, x, key: {"term": x.sum() + key.words[0]}, "asks for a key's words on the host"),
        (
            lambda model, x, key: [model.optimizers["adam"].step() for _ in range(2)] and {"term": x.sum()},
            "an optimiser or an average moves twice within one captured step",
        ),
        (
            lambda model, x, key: setattr(model, "latents", model.latents + 1) or {"term": x.sum()},
            "a step of step changes a number on the host, latents|changes its latents, a number on the host",
        ),
    ],
)
def test_what_a_graph_cannot_hold(cuda, function, message):
    refused(function, message)


def test_an_array_that_has_moved_is_named(cuda):
    model, batches = made("dcgan")
    step, batch = Captured(model), model.batch_of(next(batches))
    for i in range(3):
        step(batch, Key(i))
    path, node = next((path, node) for path, node in model.generator.walk("generator") if node.state)
    name = next(iter(node.state))
    node.state[name] = node.state[name].copy()  # as put_back does
    with pytest.raises(CaptureError, match=rf"{path}.{name} is another array than when this step was captured"):
        step(batch, Key(4))


def test_a_launch_makes_no_array(cuda):
    graph = RecordedGraph()
    x = to_test_device(np.ones(3, np.float32))
    with graph.recording():
        y = 2 * x + 1
    x.set(np.full(3, 5, np.float32))
    graph.launch()
    assert (to_host(y) == 11).all()
    graph.work.append(Operation("planted", lambda: DeviceArray(np.zeros(2)), 2, ""))
    with pytest.raises(CaptureError, match=r"an array of shape \(2,\) is made while a captured graph is launched"):
        graph.launch()
    assert not RecordedGraph.launching


def test_models_that_are_not_captured_say_why():
    for name in models.names():
        why = models.find(name).uncaptured
        assert why is None or len(why) > 20
    with pytest.raises(CaptureError, match="on the CPU is not captured"):
        Captured(models.find("vae")((28, 28, 1), Key(0), hidden=4, latents=2))
    model, _ = made("vae")
    model.uncaptured = "it asks the host"
    with pytest.raises(CaptureError, match="a step of vae is not captured: it asks the host"):
        Captured(model)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_plain_descent_reads_its_rate_from_memory(cuda, momentum):
    """SGD with and without momentum: the rate falls from step to step."""

    def step(model, x, key):
        model.grad[...] = x.sum()
        model.optimizers["sgd"].step()
        return {"term": x.sum()}

    found = []
    for capture in (False, True):
        model = Step(step)
        model.optimizers = {"sgd": optim.SGD(model, rate=optim.linear_decay(0.1, 5), momentum=momentum)}
        run = Captured(model) if capture else model.step
        for i in range(5):
            run(to_test_device(np.full((4, 3), i, np.float32)), Key(i))
        found.append(to_host(model.theta))
    assert np.array_equal(*found)

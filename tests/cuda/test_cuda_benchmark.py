"""benchmarks.gpu without a GPU: gates, order and table, on the array that stands for CuPy's, beside PyTorch on the CPU."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the opponent is PyTorch, which is installed with the extra 'dev' only")

import torch

from benchmarks import gpu, gpu_cases, gpu_device, gpu_kernels, gpu_machine, gpu_steps, gpu_table
from benchmarks.gpu_device import Device, Row
from benchmarks.kernel_cases import Peer
from benchmarks.ours import CONFIGS
from minigen import backend
from minigen.check import ProofError
from minigen.check.device_array import DEVICE, running_cuda, to_test_device
from minigen.kernels import matmul, rounding
from minigen.models.rbm import RBM

pytestmark = pytest.mark.usefixtures("small_configurations")
EVERY = list(gpu_cases.kernel_cases())
RAGGED = [kernel for kernel in EVERY if "ragged" in kernel.kind]
IDS = [f"{kernel.operation} {kernel.shape}" for kernel in RAGGED]
ALONE = {
    "resample.picked",
    "normalise.sums",
    "normalise.gradient",
    "normalise.backward",
    "act_norm.inverse",
    "spline.inverse",
    "spline.gradient",
}  # PyTorch has no such calls


@pytest.fixture
def device():
    with running_cuda():
        yield Device(to_test_device, lambda: None, torch, DEVICE, "cpu")


def small(operation="matmul.matmul", precisions=("float32",), **changes):
    """A kernel at a ragged size."""
    kernel = next(kernel for kernel in RAGGED if kernel.operation == operation)
    return replace(kernel, precisions=precisions, **changes)


def table_of(*kernels):
    return gpu.Table([gpu.Phase("all", 1.0, list(map(gpu.of_kernel, kernels)))])


# ---- kernels


@pytest.mark.parametrize("kernel", RAGGED, ids=IDS)
def test_a_kernel_is_right_and_timed_beside_a_peer_that_computes_the_same(device, kernel):
    device.copied = 1e9
    rows = list(gpu_kernels.measured(kernel, device, runs=1))
    assert [row.precision for row in rows] == list(kernel.precisions)
    for row in rows:
        assert row.note == ""
        assert row.error <= gpu_kernels.bound_of(kernel, row.precision)
        assert row.precision == "float32" or row.error > 1e-4  # it was rounded indeed
        assert row.ours_ms > 0
        assert (row.peer_ms is None) == (kernel.operation in ALONE)
        assert (row.of_copy is None) == (not kernel.moves)


@pytest.mark.parametrize("kernel", RAGGED, ids=IDS)
def test_every_number_is_behind_the_gate(kernel):
    """Each of the results, off by a fiftieth, is an error."""
    arguments, options = kernel.make()
    made = kernel.exact(*arguments, **options)
    right = gpu_kernels.numbers(kernel, arguments, made)
    assert gpu_kernels.error(right, right, kernel.same_bits) == 0
    for i, part in enumerate(right):
        spoilt = [*right[:i], part + 1 if part.dtype.kind in "iu" else part * np.float32(1.02), *right[i + 1 :]]
        assert gpu_kernels.error(spoilt, right, kernel.same_bits) > 3 * gpu_kernels.BOUNDS[kernel.precisions[-1]]


def test_every_function_has_a_size_for_a_gpu_and_a_ragged_one():
    functions = {kernel.operation for kernel in EVERY}
    assert {kernel.operation for kernel in RAGGED} == functions
    assert {kernel.operation for kernel in EVERY if kernel.kind == "GPU"} == functions
    assert {kernel.operation for kernel in EVERY if not kernel.moves} == {
        "matmul.matmul",
        *(f"{name}.{way}" for name in ("conv2d", "masked_conv2d") for way in ("forward", "input_gradient", "weight_gradient")),
        *("attention.forward", "attention.gradient"),
    }


def test_peers_lie_on_the_device_that_they_are_made_for():
    """No tensor stays on the CPU by oversight: beside those of another device it would be an error on the GPU alone."""
    for kernel in RAGGED:
        given = kernel.make()[0]
        for precision in kernel.precisions:
            with torch.device("meta"):
                peers = kernel.peers(given, precision)
            for name, peer in peers.items():
                if kernel.operation == "sgd.step":  # PyTorch has it for memory that exists only
                    continue
                made = peer.call()
                for part in made if isinstance(made, tuple | list) else [made]:
                    assert part is None or part.device.type == "meta", (kernel.operation, name)


@pytest.mark.parametrize("spoilt", [lambda c: c * 1.001, lambda c: c * np.float32(np.nan)])
def test_what_is_wrong_is_not_timed(device, spoilt):
    def asked(*_):
        raise AssertionError("a peer of what is wrong")

    kernel = small(ours=lambda a, b, **options: spoilt(matmul.matmul(a, b)), peers=asked)
    (row,) = gpu_kernels.measured(kernel, device)
    assert row.note.startswith("WRONG: error")
    assert row.ours_ms is None


def test_words_that_differ_in_a_bit_are_wrong(device):
    words = small("philox.words")

    def one_off(*given, **options):
        drawn = words.ours(*given, **options)
        drawn[-1] = 7
        return drawn

    (row,) = gpu_kernels.measured(replace(words, ours=one_off), device)
    assert row.note == "WRONG: error inf above 0e+00"


def test_a_peer_in_another_precision_is_no_peer(device):
    """Factors of 10 bits in place of 23, as by PyTorch's default for convolutions."""
    kernel = small()
    short = lambda x: (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    peers = lambda given, _: {"mm": Peer(lambda: torch.as_tensor(short(given[0]) @ given[1]), lambda c: c.numpy())}
    (row,) = gpu_kernels.measured(replace(kernel, peers=peers), device, runs=1)
    assert row.note.startswith("peer unmeasured: mm is off by ")
    assert row.ours_ms > 0
    assert row.peer_ms is row.of_peer is None


def test_a_peer_that_fails_does_not_cost_ours(device):
    def peers(given, precision):
        raise RuntimeError("no such algorithm")

    (row,) = gpu_kernels.measured(small(peers=peers), device, runs=1)
    assert row.note == "peer unmeasured: RuntimeError: no such algorithm"
    assert row.ours_ms > 0


def test_without_pytorch_on_the_device_ours_is_measured_alone(device):
    (row,) = gpu_kernels.measured(small(), replace(device, torch=None), runs=1)
    assert row.ours_ms > 0
    assert row.note == "peer unmeasured: no PyTorch with CUDA"


def test_both_sides_have_the_same_precision(device):
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    seen = []

    def ours(a, b, **options):
        seen.append((rounding.chosen_precision(), *(flag.allow_tf32 for flag in flags)))
        return matmul.matmul(a, b)

    list(gpu_kernels.measured(small(precisions=("float32", "tf32"), ours=ours), device, runs=1))
    assert set(seen) == {("float32", False, False), ("tf32", True, True)}
    assert [flag.allow_tf32 for flag in flags] == before
    with pytest.raises(ZeroDivisionError), device.precision("tf32"):
        raise ZeroDivisionError
    assert [flag.allow_tf32 for flag in flags] == before


def test_the_ladder(device):
    kernels = list(gpu_cases.ladder_cases(33))
    assert len(kernels) == 8
    for kernel in kernels:
        (row,) = gpu_kernels.measured(kernel, device, runs=1)
        assert row.note == ""
        assert row.of_peer > 0


def test_time_on_the_gpu_alone():
    """The GPU is busy before the clock starts, and the clock starts before the first call."""
    done = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            done.append("event")

        def synchronize(self):
            done.append("wait")

        def elapsed_time(self, other):
            return 6.0

    cuda = SimpleNamespace(Event=Event, _sleep=lambda cycles: done.append(cycles))
    there = Device(np.asarray, lambda: None, SimpleNamespace(cuda=cuda))
    assert there.gpu_ms(lambda: done.append("call"), 3, lasts=1.0) == 2.0
    assert done == [9_000_000, "event", "call", "call", "call", "event", "wait"]
    assert there.gpu_ms(lambda: None, 3, lasts=0.01) == 0.5  # many, where they are short
    timing = gpu_device.timed(there, {"a": lambda: None}, runs=2)["a"]
    assert timing.gpu_ms == 6.0 / 20
    assert gpu_device.timed(there, {"a": lambda: None}, runs=2, alone=False)["a"].gpu_ms is None


# ---- the table


def test_a_case_that_fails_does_not_cost_the_table(device):
    def broken(*_, **__):
        raise ValueError("no such grid")

    def absent(*_, **__):
        raise ModuleNotFoundError("No module named 'numba'", name="numba")

    kept = []
    table = table_of(small(ours=broken), small(ours=absent), small("softmax.forward"))
    table.keep = kept.extend
    table.measure(device, 5)
    assert [row.note for row in table.rows] == [
        "WRONG: ValueError: no such grid",
        "unmeasured: it needs numba, which is not installed",
        "",
    ]
    assert kept == table.rows
    assert table.rows[2].ours_ms > 0


def test_after_a_wrong_address_nothing_is_called_wrong(device):
    """An error that the GPU does not survive is told once, where it was met; all else is unmeasured."""
    lost = []

    def faulty(*_, **__):
        lost.append(True)
        raise RuntimeError("an illegal memory access was encountered")

    def wait():
        if lost:
            raise RuntimeError("an illegal memory access was encountered")

    table = table_of(small(precisions=("float32", "tf32"), ours=faulty), small("softmax.forward"))
    table.phases.append(gpu.Phase("more", 1.0, [gpu.of_proof("rbm")]))
    table.measure(replace(device, wait=wait), 5)
    faults, others = table.rows[:2], table.rows[2:]
    assert {row.note for row in faults} == {"WRONG: RuntimeError: an illegal memory access was encountered"}
    why = "the GPU failed in matmul.matmul 127x129 * 129x131: RuntimeError: an illegal memory access was encountered"
    assert [row.note for row in others] == [f"unmeasured: {why}"] * 2


def test_phases_have_their_share_and_what_is_put_off_comes_last(device, monkeypatch):
    """Every job takes a fifth of the time; the first phase may begin jobs in the first quarter."""
    clock, seen = [0.0], []
    monkeypatch.setattr(gpu.time, "monotonic", lambda: clock[0])

    def job(name):
        def run(device):
            seen.append(name)
            clock[0] += 12
            yield Row(name, "", "", error=0.0)

        return gpu.Job([Row(name, "", "")], run)

    table = gpu.Table([gpu.Phase("one", 0.25, list(map(job, "abcd"))), gpu.Phase("two", 0.9, [job("e")])])
    table.measure(device, 1)
    assert "".join(seen) == "abecd"
    assert [row.operation for row in table.rows] == list("abcde")
    assert all(row.error == 0 for row in table.rows)
    clock[0], seen[:] = 0.0, []
    table = gpu.Table([gpu.Phase("one", 1.0, list(map(job, "abcdefg")))])
    table.measure(device, 1)
    assert [row.note for row in table.rows] == [""] * 5 + ["unmeasured: no time left"] * 2
    table = table_of(small())
    table.measure(device, 0)
    assert table.rows[0].note == "unmeasured: no time left"


def test_everything_has_a_phase():
    """All kernels, steps, rungs and proofs, once; of the targets' rows all before any that nothing is asked of."""
    phases = gpu.phases()
    keys = [(row.operation, row.shape, row.precision) for row in gpu.Table(phases).rows]
    assert len(keys) == len(set(keys))
    assert [len(phase.jobs) for phase in phases[2:]] == [
        len(CONFIGS),
        len(EVERY) - (1 + 3 * 14) - len(RAGGED),
        8,
        len(gpu.models.names()),
    ]
    assert {target.of(row) for target in gpu_table.targets() for job in phases[3].jobs for row in job.rows} == {False}
    shares = [phase.until for phase in phases]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [job.rows[0].shape for job in phases[-1].jobs][-len(gpu.LONG) :] == list(gpu.LONG)


def test_without_pytorch_steps_and_proofs_are_left(monkeypatch):
    """The kernels' list is PyTorch's too."""
    for name in ("gpu_cases", "kernel_images"):
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", None)
    phases = gpu.phases()
    assert [len(phase.jobs) for phase in phases] == [1, 0, len(CONFIGS), 0, 0, len(gpu.models.names())]
    (row,) = phases[0].jobs[0].run(None)
    assert row.note == "unmeasured: the list of kernels needs benchmarks.gpu_cases, which is not installed"
    rows = gpu.Table(phases).rows
    assert [line.partition(": ")[2] for line in gpu_table.shown({}, rows).splitlines()[-15:]] == [
        *[f"unmeasured, 0 of 0 rows; wanted {share}%" for share in (85, 55, 55, *[70] * 6)],
        *[f"unmeasured, 0 of 8 rows; wanted {share}%" for share in (200, 100, 77) * 2],
    ]


def test_an_error_that_is_no_number_is_none_in_json():
    row = Row("a", "b", "float32", error=float("inf"), note="WRONG: error inf above 0e+00")
    assert json.loads(json.dumps(row.json, allow_nan=False))["error"] is None
    assert replace(row, error=0.5).json["error"] == 0.5


def test_targets_are_met_missed_or_unmeasured():
    """Every target has rows in the table; of rows that take half the peer's time all are met, at twice that none, and one that
    is empty leaves its own open."""
    rows = gpu.Table(gpu.phases()).rows
    targets = list(gpu_table.targets())
    assert len(targets) == 3 + 6 + 6
    assert [sum(map(target.of, rows)) for target in targets] == [1] * 3 + [14] * 6 + [8] * 6
    for ours_ms, verdict in ((0.5, "met"), (2, "missed")):
        timed = [replace(row, ours_ms=ours_ms, peer_ms=1.0) for row in rows]
        assert {target.line(timed).rpartition(" ")[2] for target in targets} == {verdict}
    timed = [replace(row, ours_ms=0.5, peer_ms=None if row.operation == "step gan" else 1.0) for row in rows]
    assert sum("unmeasured, 7 of 8 rows" in target.line(timed) for target in targets) == 6


def test_a_kernels_target_is_about_the_gpu_where_that_is_known():
    target = next(gpu_table.targets())
    row = Row("matmul.matmul", gpu_table.LARGEST, "float32", ours_ms=2.0, peer_ms=1.0)
    assert target.line([row]).endswith("50% of the peer's speed, wanted 85%: missed")
    alone = replace(row, ours_gpu_ms=1.0, peer_gpu_ms=0.9)
    assert target.line([alone]).endswith("90% of the peer's speed (as called from Python 50%), wanted 85%: met")


# ---- training steps


def test_a_step_is_the_cpus_and_the_same_bits(device, monkeypatch):
    monkeypatch.setattr(gpu_steps, "STEPS", 3)
    rows = list(gpu_steps.step_rows("vae", device, runs=1))
    assert [(row.shape, row.precision) for row in rows] == [(row.shape, row.precision) for row in gpu_steps.rows_of("vae")]
    for row in rows:
        least, most = {"float32": (0, 1e-5), "tf32": (1e-5, 1e-2)}[row.precision]
        assert least < row.error < most  # in its precision, and no other
        assert row.ours_ms > 0
        alone = row.shape.endswith("PyTorch captured")  # which a CPU cannot
        assert row.note == (gpu_device.NO_TORCH if alone else "")
        assert (row.of_peer is None) == alone


def test_the_faster_memory_format_is_the_peer(device, monkeypatch):
    from benchmarks import torch_steps

    class Steps:
        batch = np.zeros((1, 1, 2, 2))

        def __init__(self, last):
            self.step = f"channels last: {last}"

    monkeypatch.setattr(torch_steps, "build", lambda name, device, captured, channels_last=False: Steps(channels_last))
    times = iter([{"0": 2.0, "1": 1.0}, {"0": 1.0, "1": 2.0}])
    found = lambda *_, **__: {name: gpu_device.Timing(ms, None) for name, ms in next(times).items()}
    monkeypatch.setattr(gpu_steps, "timed", found)
    assert gpu_steps.peer("dcgan", device, captured=False) == ("channels last: True", "")
    assert gpu_steps.peer("dcgan", device, captured=False) == ("channels last: False", "")


def test_a_step_that_cannot_be_captured_says_why(device, monkeypatch):
    monkeypatch.setattr(RBM, "uncaptured", "it asks the host")
    rows = list(gpu_steps.step_rows("rbm", device, runs=1))[:3]
    assert rows[0].ours_ms > 0
    assert [row.ours_ms for row in rows[1:]] == [None, None]
    assert {row.note for row in rows[1:]} == {"unmeasured: a step of rbm is not captured: it asks the host"}


def test_a_peers_step_that_fails_does_not_cost_ours(device, monkeypatch):
    from benchmarks import torch_steps

    monkeypatch.delitem(torch_steps.CONFIGS, "vae")
    rows = list(gpu_steps.step_rows("vae", device, runs=1))
    assert [row.note for row in rows[:2]] == ["peer unmeasured: KeyError: 'vae'"] * 2
    assert all(row.ours_ms > 0 for row in rows)


def test_steps_that_differ_are_wrong(device, monkeypatch):
    monkeypatch.setattr(gpu_steps, "disagreement", lambda name, device, exact: 1e-6)
    monkeypatch.setattr(gpu_steps, "unequal", lambda name, device: "captured and eager differ")
    rows = list(gpu_steps.step_rows("vae", device))
    assert {row.note for row in rows} == {"WRONG: captured and eager differ"}
    monkeypatch.setattr(gpu_steps, "disagreement", lambda name, device, exact: float("nan"))
    assert [row.note for row in gpu_steps.step_rows("vae", device)] == [
        *["WRONG: gradients differ from the CPU's by nan, allowed is 2e-04"] * 3,
        *["WRONG: gradients differ from the CPU's by nan, allowed is 2e-02"] * 3,
    ]


# ---- the proof


def test_a_proof_is_a_row(device, monkeypatch):
    assert gpu.proved("rbm", device).error < 1e-9

    def wrong(name, device):
        raise ProofError("rbm: the gradient is not that of the loss, for\n    W", [])

    monkeypatch.setattr(gpu, "check_model", wrong)
    assert gpu.proved("rbm", device).note == "WRONG: rbm: the gradient is not that of the loss, for"


# ---- the command


@pytest.mark.needs_no_compiler
def test_without_a_gpu_there_is_one_message(monkeypatch, capsys, tmp_path):
    def missing():
        raise RuntimeError("device 'cuda' needs an NVIDIA GPU")

    monkeypatch.setattr(backend, "cupy", missing)
    assert gpu.main(["--json", "--out", str(tmp_path / "gpu.json")]) == 1
    said = capsys.readouterr()
    assert said.err == "nothing can be measured: device 'cuda' needs an NVIDIA GPU\n"
    head, *rows = map(json.loads, said.out.splitlines())
    assert head["machine"]["torch"] == torch.__version__
    assert {row["note"] for row in rows} == {"unmeasured: no GPU"}
    assert len(rows) == len(gpu.Table(gpu.phases()).rows)
    assert list(rows[0])[:7] == ["operation", "shape", "precision", "error", "ours_ms", "peer_ms", "note"]
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert kept["rows"] == rows
    assert kept["machine"] == head["machine"]
    assert len(kept["targets"]) == len(list(gpu_table.targets()))
    assert gpu.main([]) == 1
    assert "unmeasured: no GPU" in capsys.readouterr().out


def test_a_signal_leaves_the_table_of_what_was_measured(device, monkeypatch, capsys, tmp_path):
    def stopped(*_, **__):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(gpu, "gpu", lambda: device)
    monkeypatch.setattr(gpu, "machine", lambda device: {"GPU": "none"})
    kernels = small("softmax.forward"), small(ours=stopped), small()
    monkeypatch.setattr(gpu, "phases", lambda: table_of(*kernels).phases)
    before = [signal.getsignal(number) for number in gpu.SIGNALS]
    path = tmp_path / "gpu.json"
    assert gpu.main(["--out", str(path)]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "GPU: none"
    table = [line for line in lines if line.startswith(("softmax", "matmul"))]
    assert [line.partition("unmeasured: ")[2] for line in table] == ["", "ended by SIGTERM", "ended by SIGTERM"]
    assert "unmeasured, 0 of 0 rows" in lines[-1]
    assert said.err.splitlines()[0].endswith(" s  all: softmax.forward 127x131")
    assert [signal.getsignal(number) for number in gpu.SIGNALS] == before
    assert not list(tmp_path.glob("*.part"))
    assert gpu.main(["--show", str(path)]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again == [f"command: python -m benchmarks.gpu --out {path}", *lines]


def test_the_machine_is_named(device, monkeypatch):
    properties = {"name": b"a GPU", "major": 9, "minor": 0, "multiProcessorCount": 132, "totalGlobalMem": 80 << 30}
    runtime = SimpleNamespace(
        getDeviceProperties=lambda device: properties, driverGetVersion=lambda: 12080, runtimeGetVersion=lambda: 12060
    )
    cuda = SimpleNamespace(
        runtime=runtime, Device=lambda: SimpleNamespace(id=0), nvrtc=SimpleNamespace(getVersion=lambda: (12, 6))
    )
    monkeypatch.setattr(backend, "cupy", lambda: SimpleNamespace(cuda=cuda, __version__="13"))
    monkeypatch.setattr(Device, "measure_copy", lambda self: 2.5e12)
    found = gpu_machine.machine(device)
    assert found["GPU"] == "a GPU"
    assert found["compute capability"] == "9.0"
    assert (found["memory, GiB"], found["NVRTC"], found["cupy"], found["copy, GB/s"]) == (80.0, "12.6", "13", 2500)
    assert found["torch"] == torch.__version__
    assert found["precision"] == gpu_machine.RULE
    monkeypatch.setattr(backend, "cupy", lambda: None)
    assert gpu_machine.machine(device)["GPU"] is None  # a header does not cost the table


def test_a_copy_is_what_memory_can_have(device):
    """Bytes a second, read and written."""
    assert device.measure_copy(1 << 10) == device.copied > 0

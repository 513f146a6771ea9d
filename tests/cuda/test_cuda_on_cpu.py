"""The machine that runs CUDA kernels on the CPU notices what it is there to notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import under_sanitizer

from minigen.kernels.cuda import on_cpu, source
from minigen.kernels.cuda.launch import launch

FAULTS = str(Path(__file__).parent / "faults.cu")
N = 64


@pytest.fixture
def x():
    return np.arange(1, N + 1, dtype=np.float32)


def run(kernel, *arguments, grid=(1,), block=(N,), order=0, shared=0):
    with on_cpu.running(order):
        launch(FAULTS, kernel, grid, block, *arguments, shared=shared)


def nans(n=N):
    return np.full(n, np.nan, np.float32)


def test_a_right_kernel_is_right_in_every_order(x, order):
    y = nans()
    run("reverse", x, y, order=order)
    assert np.array_equal(y, x[::-1])


@pytest.mark.parametrize("order", on_cpu.ORDERS)
@pytest.mark.parametrize("kernel", ["reverse_without_barrier", "copy_without_barrier"])
def test_a_missing_barrier_is_noticed_in_every_order(x, kernel, order):
    y = nans()
    run(kernel, x, y, order=order)
    assert np.isnan(y).any()


def test_unwritten_shared_memory_is_nan():
    y = nans()
    run("read_unwritten", y, grid=(2,))  # the second block must not find what the first one left
    assert np.isnan(y[10:]).all()
    assert (y[:10] == 1).all()
    run("read_unwritten_dynamic", y, shared=4 * N)
    assert np.isnan(y).all()


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("barrier_for_some", "two places"),
        ("barrier_after_return", "after some threads of the block had ended"),
        ("warp_barrier_for_some", "deadlock: a barrier was not reached by all threads"),
        ("shuffle_by_half", "without all 32 lanes"),
    ],
)
def test_barriers_that_some_threads_miss(kernel, message):
    with pytest.raises(RuntimeError, match=f"{kernel}, order 0: .*{message}"):
        run(kernel, nans())


def test_copies_land_only_when_they_are_waited_for(x):
    y = nans()
    run("copy_without_wait", x, y)
    assert np.isnan(y).all()
    with pytest.raises(RuntimeError, match="asynchronous copies that it had not waited for"):
        run("copy_never_waited_for", x, y)
    with pytest.raises(RuntimeError, match="not a multiple of its size"):
        run("copy_askew", x, y)


def test_orders_differ_where_a_kernel_relies_on_one(x):
    def results(kernel, **options):
        found = []
        for order in on_cpu.ORDERS:
            y = np.full(4, -7, np.float32)
            run(kernel, y, order=order, **options)
            found.append(tuple(y))
        return set(found)

    assert len(results("last_writer_wins")) == 3
    assert len(results("needs_block_order", grid=(4,))) > 1


def test_a_sum_in_pairs_needs_its_barriers(x, order):
    y = nans()
    run("sum_in_pairs", x, y, order=order)
    assert (y == x.sum()).all()
    run("sum_without_barrier", x, y, order=order)
    assert (y != x.sum()).any()


def test_turns_hide_a_race(order):
    """Why there is a thread sanitizer: each thread runs to its next barrier, and no order of turns tears a sum apart."""
    for kernel in ("count_without_atomics", "count"):
        y = np.zeros(1, np.float32)
        run(kernel, y, order=order)
        assert y[0] == N


def test_atomic_sums_differ_with_the_order_of_blocks():
    x = np.array([1e8, 1, -1e8, 1, 3e7, -3e7, 1, 0.5], np.float32)
    found = set()
    for order in on_cpu.ORDERS:
        y = np.zeros(1, np.float32)
        run("sum_as_they_come", x, y, grid=(8,), order=order)
        found.add(float(y[0]))
    assert len(found) > 1


def test_launches_that_no_gpu_would_take(x):
    for grid, block, shared, message in (
        ((1,), (2048,), 0, "1 to 1024 threads"),
        ((0,), (N,), 0, "at least one block"),
        ((1, 70000), (N,), 0, "65535"),
        ((1,), (N,), 1 << 20, "227 KiB"),
    ):
        with pytest.raises(RuntimeError, match=message):
            run("reverse", x, nans(), grid=grid, block=block, shared=shared)


def test_arguments_are_held_against_the_kernels_types(x):
    with pytest.raises(TypeError, match=r"reverse takes 2 arguments \(x, y\), got 1"):
        run("reverse", x)
    with pytest.raises(TypeError, match="reverse: y must be an array of float32, got float64"):
        run("reverse", x, np.zeros(N))
    with pytest.raises(ValueError, match="reverse: x must be C-contiguous"):
        run("reverse", np.zeros(2 * N, np.float32)[::2], x)
    with pytest.raises(ValueError, match=r"write_beyond: by must be an integer that fits into int32, got 0\.5"):
        run("write_beyond", x, 0.5)
    with pytest.raises(ValueError, match="has no kernel 'inverse': it has reverse_without_barrier, reverse,"):
        run("inverse", x, x)


def test_errors_of_sources(tmp_path):
    with pytest.raises(ValueError, match=r"has no TRANSPOSE_A=2: it declares TRANSPOSE_A=0,1"):
        source.read("matmul/float32.cu", TRANSPOSE_A=2)
    silent = tmp_path / "silent.cu"
    silent.write_text('extern "C" __global__ void silent(float* x) {}\n')
    with pytest.raises(ValueError, match="does not say '// architectures"):
        source.read(str(silent))
    silent.write_text(
        "// architectures: sm_80\n// registers: 9\n" + 'extern "C" __global__ void wrong(float* x) { y[0] = 1; }\n'
    )
    with pytest.raises(RuntimeError, match=r"g\+\+ refuses .*silent.cu(.|\n)*silent.cu:3"):
        launch(str(silent), "wrong", (1,), (1,), np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="unknown sanitizer 'memory': choose one of"), on_cpu.running(sanitizer="memory"):
        pass


def test_without_a_compiler_there_is_one_clear_message(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match=r"needs g\+\+, and none was found: install it, or set CXX"):
        on_cpu._made("text", "header", (), ".o", "title", ())


# ---- under a sanitizer, in a process of its own: the sanitizer's library must be loaded first


def under(sanitizer: str, what: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, under_sanitizer.__file__, sanitizer, what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode == under_sanitizer.UNAVAILABLE:
        pytest.skip(done.stderr.strip())
    return done


def line_of(kernel: str) -> int:
    """Where in faults.cu its first line stands."""
    return next(i for i, text in enumerate(Path(FAULTS).read_text().splitlines(), 1) if f"void {kernel}(" in text)


def test_every_kernel_stays_within_its_arrays():
    done = under("address", "cases")
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 100  # launches


@pytest.mark.parametrize(("kernel", "line"), [("write_beyond", 0), ("read_beyond_shared", 3)])
def test_the_address_sanitizer_names_the_line(kernel, line):
    done = under("address", kernel)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
    assert f"faults.cu:{line_of(kernel) + line}" in done.stderr


@pytest.mark.thread_sanitizer
def test_no_kernel_has_a_race():
    done = under("thread", "cases", timeout=900)  # two minutes of a core
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 100


@pytest.mark.parametrize(
    ("kernel", "line"), [("count_without_atomics", 0), ("reverse_without_barrier", 3), ("copy_without_barrier", 4)]
)
def test_the_thread_sanitizer_names_the_line(kernel, line):
    done = under("thread", kernel)
    assert done.returncode != 0
    assert "WARNING: ThreadSanitizer: data race" in done.stderr
    assert f"faults.cu:{line_of(kernel) + line}" in done.stderr


@pytest.mark.parametrize("kernel", ["count", "reverse", "sum_in_pairs"])
def test_the_thread_sanitizer_knows_what_waits(kernel):
    """Atomic operations and barriers: with them there is no race."""
    done = under("thread", kernel)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""

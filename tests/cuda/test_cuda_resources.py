"""Every kernel compiles for what its file declares, within its registers, with the instructions that its lesson promises."""

from __future__ import annotations

from functools import cache

import pytest

from minigen.kernels.cuda import compiler, resources, source

pytestmark = pytest.mark.needs_no_compiler
needs_cuda = pytest.mark.skipif(
    compiler.version() is None, reason="no CUDA compiler: pip install nvidia-cuda-nvrtc, or put nvcc on the path"
)


@cache
def compiled(name):
    """Every file once. (One after another: two compilations at a time do not always allot the same registers.)"""
    return resources.all_compiled(name)


@needs_cuda
@pytest.mark.parametrize("name", source.names())
def test_a_file_keeps_its_promises(name):
    assert [fault for row in compiled(name) for fault in resources.faults(*row)] == []


@needs_cuda
def test_the_table_is_todays():
    written = resources.TABLE.read_text().splitlines()
    if written[0].split(":")[0] != f"# {compiler.version()}":
        pytest.skip(
            f"the table is of {written[0][2:].split(':')[0]}, and here is {compiler.version()}: limits are checked, counts not"
        )
    if compiler.disassembler() is None:
        pytest.skip("the table counts instructions: pip install nvidia-cuda-nvdisasm")
    files = {line.split()[0]: [] for line in written[1:]}
    for line in written[1:]:
        files[line.split()[0]].append(line)
    assert sorted(files) == sorted(source.names())
    drifted = [line for name in files for line in drift_of(name, files[name])]
    assert not drifted, "\n".join(
        [*drifted, "where that is meant: python -m minigen.kernels.cuda.resources, and read the diff"]
    )


def drift_of(name, written):
    """What differs from these lines of the table, twice: the same compiler, given one text, made 128 registers and once 143."""
    for compile_all in (compiled, resources.all_compiled):
        drifted = list(resources.drift(written, [resources.line(*row) for row in compile_all(name)]))
        if not drifted:
            break
    return drifted


def test_what_a_table_may_not_hide():
    line = "matmul/wide.cu                   sm_90  119 registers   4096 bytes shared  LDG.E.128 16, LDS 96"
    assert not list(resources.drift([line], [line.replace("119", "117").replace("LDS 96", "LDS 97")]))
    for old, new in (
        ("119", "126"),
        ("LDS 96", "LDS 102"),
        ("128 16", "128 0"),
        ("128 16", "64 16"),
        ("4096", "8192"),
        ("sm_90", "sm_80"),
    ):
        assert len(list(resources.drift([line], [line.replace(old, new)]))) == 1, (old, new)
    assert len(list(resources.drift([line], []))) == len(list(resources.drift([], [line]))) == 1


def test_what_is_promised_is_checked():
    of = source.read("matmul/vectorised.cu")
    good = compiler.Compiled(100, 0, 0, compiler.Counter({"FFMA": 1, "LDG.E.128.CONSTANT": 2, "LDS.128": 1, "STG.E.128": 1}))
    assert list(resources.faults(of, "matmul_vectorised", "sm_90", good)) == []
    narrow = compiler.Compiled(129, 0, 8, compiler.Counter({"FFMA": 1, "LDG.E.1280": 2, "LDS.128": 1, "STG.E.128": 1}))
    said = "; ".join(resources.faults(of, "matmul_vectorised", "sm_90", narrow))
    assert "spills 8 bytes" in said
    assert "129 registers, and its file promises at most 128" in said
    assert "no LDG.E.128 in its code" in said


def test_every_file_teaches():
    for name in source.names():
        opening = (source.FOLDER / name).read_text().partition("extern")[0]
        for word in ("// Error: ", "// Legend: ", "// architectures: sm_80 sm_90\n"):
            assert word in opening, f"{name}: no {word!r}"


@needs_cuda
def test_a_file_that_does_not_compile_is_named(tmp_path):
    wrong = tmp_path / "wrong.cu"
    wrong.write_text(
        "// architectures: sm_90\n// registers: 9\n" + 'extern "C" __global__ void wrong(float* x) { y[0] = 1; }\n'
    )
    with pytest.raises(RuntimeError, match=r"refuses .*wrong.cu for sm_90:(.|\n)*wrong.cu\(3\)"):
        compiler.compiled(source.read(str(wrong)), "sm_90")

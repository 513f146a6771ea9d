"""Every kernel compiles for what its file declares, within its registers, with the instructions that its lesson promises."""

from __future__ import annotations

import itertools

import pytest

from minigen.kernels.cuda import compiler, resources, source

pytestmark = pytest.mark.needs_no_compiler
needs_cuda = pytest.mark.skipif(
    compiler.version() is None, reason="no CUDA compiler: pip install nvidia-cuda-nvrtc, or put nvcc on the path"
)


@pytest.fixture(scope="module", params=source.names())
def name(request):
    """Of one file after the other: its tests follow each other, so that it is compiled for all of them at once."""
    return request.param


@pytest.fixture(scope="module")
def rows(name):
    """The file, compiled. (One variant after another: two compilations at a time do not always allot the same registers.)"""
    return resources.all_compiled(name)


@needs_cuda
def test_a_file_keeps_its_promises(name, rows):
    assert [fault for row in rows for fault in resources.faults(*row)] == []


@needs_cuda
def test_nothing_that_is_declared_is_left_out(name, rows):
    found = {(of.options, architecture, kernel) for of, kernel, architecture, _ in rows}
    plain = source.read(name)
    options = itertools.product(*([(option, value) for value in values] for option, values in declared(name).items()))
    assert found == set(itertools.product(options, plain.architectures, plain.kernels))
    assert len(found) == len(rows)


def declared(name):
    """The options of a file and all of their values, read anew."""
    said = [text for text in (source.FOLDER / name).read_text().splitlines() if text.startswith("// options: ")]
    parts = [part.partition("=") for text in said for part in text.removeprefix("// options: ").split()]
    return {option: tuple(map(int, values.split(","))) for option, _, values in parts}


@needs_cuda
def test_the_table_is_todays(name, rows):
    written = table()
    if compiler.disassembler() is None:
        pytest.skip("the table counts instructions: pip install nvidia-cuda-nvdisasm")
    drifted = drift_of(name, rows, [line for line in written if line.split()[0] == name])
    assert not drifted, "\n".join(
        [*drifted, "where that is meant: python -m minigen.kernels.cuda.resources, and read the diff"]
    )


def table():
    """The lines of the committed table, where it is of the compiler that is here."""
    first, *written = resources.TABLE.read_text().splitlines()
    its = first[2:].split(":")[0]
    if its != compiler.version():
        pytest.skip(f"the table is of {its}, and here is {compiler.version()}: limits are checked, counts not")
    return written


def drift_of(name, rows, written):
    """What differs from these lines of the table, twice: the same compiler, given one text, made 128 registers and once 143."""
    for compiled in (lambda: rows, lambda: resources.all_compiled(name)):
        drifted = list(resources.drift(written, [resources.line(*row) for row in compiled()]))
        if not drifted:
            break
    return drifted


def test_the_table_has_no_other_files():
    assert {line.split()[0] for line in resources.TABLE.read_text().splitlines()[1:]} == set(source.names())


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


PLANTED = """// architectures: sm_80 sm_90
// options: PRECISION=0,1 LARGE=0,1
// registers: 232
// registers with LARGE=0: 168
// registers of one with PRECISION=1: 96
// instructions: LDS
// instructions of one two with PRECISION=1: HMMA LDS
// instructions with PRECISION=0,1 LARGE=1: STG.E.128
extern "C" __global__ void one(float* x) { x[0] = 1; }
extern "C" __global__ void two(float* x) { x[0] = 1; }
extern "C" __global__ void three(float* x) { x[0] = 1; }
"""


@pytest.fixture
def planted(tmp_path):
    def write(*replaced):
        path = tmp_path / f"planted{len(list(tmp_path.iterdir()))}.cu"
        path.write_text(PLANTED.replace(*replaced) if replaced else PLANTED)
        return str(path)

    return write


def test_promises_add_up_and_the_fewest_registers_count(planted):
    of = source.read(planted())
    assert set(of.promises.values()) == {source.Promise(168, ("LDS",))}
    of = source.read(planted(), PRECISION=1)
    assert of.promises["one"] == source.Promise(96, ("LDS", "HMMA"))
    assert of.promises["two"] == source.Promise(168, ("LDS", "HMMA"))
    assert of.promises["three"] == source.Promise(168, ("LDS",))
    of = source.read(planted(), PRECISION=1, LARGE=1)
    assert of.promises["one"] == source.Promise(96, ("LDS", "HMMA", "STG.E.128"))
    assert of.promises["three"] == source.Promise(232, ("LDS", "STG.E.128"))


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ("instructions of fuor: LDS", r"instructions of fuor: LDS': the file has no kernel 'fuor': it has one, two, three"),
        ("registers of one fuor with LARGE=1: 9", "the file has no kernel 'fuor'"),
        ("instructions with PRECISON=1: LDS", "not all of these options: it declares PRECISION=0,1 LARGE=0,1"),
        ("instructions with PRECISION=0,2: LDS", "not all of these options"),
        ("instructions for PRECISION=1: LDS", r"no promise: write '// instructions of KERNEL \.\.\. with OPTION=VALUE"),
        ("instructions with PRECISION=1 of one: LDS", "no promise"),
        ("instructions with PRECISION: LDS", "no promise"),
        ("instructions with PRECISION=1,: LDS", "no promise"),
    ],
)
def test_a_promise_of_what_is_not_there_is_an_error(planted, promise, message):
    with pytest.raises(ValueError, match=message):
        source.read(planted("// instructions: LDS", f"// {promise}"))


def test_a_file_without_options_says_so(planted):
    with pytest.raises(ValueError, match="not all of these options: it declares none"):
        source.read(planted("// options: PRECISION=0,1 LARGE=0,1\n", ""))


def test_registers_of_some_kernels_are_not_enough(planted):
    with pytest.raises(ValueError, match=r"does not say '// registers: \.\.\.'"):
        source.read(planted("// registers: 232\n// registers with", "// registers of two with"))


@needs_cuda
@pytest.mark.skipif(compiler.disassembler() is None, reason="no nvdisasm: pip install nvidia-cuda-nvdisasm")
def test_a_variant_without_its_tensor_cores_is_a_fault(tmp_path):
    """The convolution as it would be if PRECISION=1 had been forgotten where the multiplier is chosen."""
    name, wrong = "conv2d/implicit_forward.cu", tmp_path / "wrong.cu"
    text = (source.FOLDER / name).read_text().replace('#include "', f'#include "{(source.FOLDER / name).parent}/')
    text = text.replace("sm_80 sm_90", "sm_90").replace("LARGE=0,1", "LARGE=0")
    wrong.write_text("#if PRECISION == 1\n#undef PRECISION\n#define PRECISION 0\n#endif\n" + text)
    said = [fault for row in resources.all_compiled(str(wrong)) for fault in resources.faults(*row)]
    assert said == [
        f"{wrong} PRECISION=1, conv2d_implicit_forward, sm_90: no HMMA.1688.F32.TF32 in its code, and its file promises it"
    ]


def test_every_file_teaches():
    for name in source.names():
        opening = (source.FOLDER / name).read_text().partition("extern")[0]
        for word in ("// Error: ", "// Legend: ", "// architectures: sm_80 sm_90\n"):
            assert word in opening, f"{name}: no {word!r}"
        for of in source.variants(name):
            for kernel, promise in of.promises.items():
                assert promise.instructions, f"{of.title} promises no instruction of {kernel}"


@needs_cuda
def test_a_file_that_does_not_compile_is_named(tmp_path):
    wrong = tmp_path / "wrong.cu"
    wrong.write_text(
        "// architectures: sm_90\n// registers: 9\n" + 'extern "C" __global__ void wrong(float* x) { y[0] = 1; }\n'
    )
    with pytest.raises(RuntimeError, match=r"refuses .*wrong.cu for sm_90:(.|\n)*wrong.cu\(3\)"):
        compiler.compiled(source.read(str(wrong)), "sm_90")

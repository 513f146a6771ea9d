"""Which rung runs, what importing costs, and that the rungs of an operation cannot drift apart."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import kernel_cases
import numpy as np
import pytest

from minigen import kernels
from minigen.kernels import dispatch, matmul, rungs

FUNCTIONS = {
    "act_norm": ("forward", "inverse", "gradient"),
    "activation": ("forward", "gradient"),
    "epilogue": ("finish", "back"),
    "normalise": ("statistics", "scale", "sums", "gradient", "forward", "backward"),
    "adam": ("step", "imagined", "imagined_back"),
    "affine": ("forward", "inverse", "gradient"),
    "pairs": ("forward", "gradient", "tangent", "gradient_dot"),
    "attention": ("forward", "gradient"),
    "average": ("step",),
    "bernoulli": ("loss", "rows", "rows_gradient"),
    "categorical": ("loss",),
    "clip": ("to_norm", "to_range"),
    "combine": ("add", "concatenate", "split"),
    "games": ("loss",),
    "gated": ("forward", "gradient"),
    "gaussian": ("loss", "divergence"),
    "layer_norm": ("forward", "gradient"),
    "flow": ("loss",),
    "plu": ("forward", "inverse", "gradient"),
    "langevin": ("move",),
    "reparameterize": ("sample", "gradient", "log_ratio"),
    "resample": (
        *("upsample", "upsample_transposed", "average", "average_transposed"),
        *("largest", "picked", "largest_transposed"),
    ),
    "rows": ("take", "put", "add_up"),
    "sgd": ("step",),
    "slopes": ("paid",),
    "softmax": ("forward", "gradient"),
    "spline": ("forward", "inverse", "gradient"),
    "squares": ("loss",),
    "sums": ("over_rows", "products", "inner"),
    "units": ("probabilities", "free_energy"),
    "window": ("cut",),
    "conv2d": ("forward", "input_gradient", "weight_gradient"),
    "logit": ("forward", "of_pixels", "inverse", "gradient"),
    "masked_conv2d": ("forward", "input_gradient", "weight_gradient"),
    "matmul": ("matmul",),
    "philox": ("words", "uniform", "normal", "bernoulli", "integers"),
}


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("operation", kernel_cases.OPERATIONS)
def test_rungs_have_equal_signatures(operation):
    ladder = kernel_cases.ladder(operation)
    wrapper = sys.modules[f"minigen.kernels.{operation}"]
    for function in FUNCTIONS[operation]:
        expected = inspect.signature(getattr(wrapper, function))
        if {"bias", "leak"} <= set(expected.parameters):  # done after a product, by epilogue.finished
            rest = [p for name, p in expected.parameters.items() if name not in ("bias", "leak")]
            expected = expected.replace(parameters=rest)
        for name in ladder.names:
            assert inspect.signature(getattr(ladder.load(name), function)) == expected, f"{operation}.{name}.{function}"


@pytest.mark.parametrize("operation", kernel_cases.OPERATIONS)
def test_every_file_says_what_it_computes(operation):
    ladder = kernel_cases.ladder(operation)
    for name in ladder.names:
        document = ladder.load(name).__doc__
        assert "Legend: " in document
        assert name == "definition" or "Against the definition: " in document


def chosen(dtype, mode, n=120) -> str:
    x = np.zeros((n, n), dtype)
    with rungs(mode):
        return matmul.LADDER.choose(n**3 + 1, x, x).__name__.rpartition(".")[2]


def test_the_table_of_choices():
    fast, plain = "register_tile", "definition"
    assert chosen(np.float32, "auto") == fast
    assert chosen(np.float32, "auto", 5) == plain
    assert chosen(np.float64, "auto") == plain
    assert chosen(np.float32, "numba", 5) == fast
    assert chosen(np.float64, "numba") == fast
    assert chosen(np.complex128, "numba") == plain
    assert chosen(np.float16, "numba") == plain
    assert chosen(np.float32, "numba", 0) == plain
    assert chosen(np.float32, "definition") == plain


def test_other_array_types_go_to_the_definition():
    class Elsewhere(np.ndarray):
        pass

    x = np.zeros((100, 100), np.float32).view(Elsewhere)
    with rungs("numba"):
        assert matmul.LADDER.choose(10**6, x, x).__name__.endswith("definition")


def test_modes_nest_and_are_checked():
    before = dispatch._mode
    with rungs("definition"):
        with rungs("numba"):
            assert dispatch._mode == "numba"
        assert dispatch._mode == "definition"
    assert dispatch._mode == before
    with pytest.raises(ValueError, match="'fast': choose one of 'auto', 'numba', 'definition'"), rungs("fast"):
        pass


def test_the_environment_sets_the_mode():
    show = "from minigen.kernels import dispatch; print(dispatch._mode)"
    assert run(show, MINIGEN_KERNELS="definition").stdout.strip() == "definition"
    assert run(show, MINIGEN_KERNELS="").stdout.strip() == "auto"
    refused = run(show, MINIGEN_KERNELS="cuda")
    assert refused.returncode != 0
    assert "unknown kernel mode 'cuda'" in refused.stderr


def test_importing_does_not_import_numba():
    code = "import sys; import minigen.kernels; import minigen.random\n"
    code += "".join(f"import minigen.kernels.{operation}\n" for operation in kernel_cases.OPERATIONS)
    code += "minigen.random.Key(0).normal((10,))\n"
    code += "print('numba' in sys.modules, 'kernels' in sys.modules)"
    result = run(code)
    assert result.stdout.split() == ["False", "False"], result.stderr
    assert result.stderr == ""


def test_public_names():
    assert set(kernels.__all__) == {"PRECISIONS", "chosen_precision", "chosen_rungs", "precision", "rungs", "threads"}


def test_importing_a_precision_loads_nothing_of_cuda():
    """Who trains on a CPU asks which precision is chosen, too."""
    result = run("import sys; from minigen.kernels import precision; print(any('.cuda' in name for name in sys.modules))")
    assert result.stdout.split() == ["False"], result.stderr


def test_choices_are_undone_at_their_end():
    for chosen, choose, names in (
        (kernels.chosen_rungs, kernels.rungs, dispatch.MODES),
        (kernels.chosen_precision, kernels.precision, kernels.PRECISIONS),
    ):
        before = chosen()
        for name in names:
            with pytest.raises(KeyError, match=name), choose(name):
                raise KeyError(chosen())
            assert chosen() == before

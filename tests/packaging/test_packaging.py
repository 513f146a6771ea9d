"""Wheel and sdist hold the whole package, `minigen.kernels` among it, and no other top-level name. (The tests themselves run on
the editable install.)"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INPUTS = ("minigen", "kernels", "pyproject.toml", "README.md", "LICENSE")


def run(code: str, *arguments: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """A wheel or an sdist of `source`, by the build backend that pyproject.toml names, with what is installed here."""
    out.mkdir(exist_ok=True)
    run(f"import sys; from setuptools.build_meta import build_{kind}; build_{kind}(sys.argv[1])", str(out), cwd=source)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, the link kept as a link: building leaves files behind."""
    copy = tmp_path_factory.mktemp("source")
    for name in INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    assert (copy / "minigen" / "kernels").is_symlink()
    return copy


def python_files(folder: Path) -> set[str]:
    files = {str(p.relative_to(folder)) for p in (folder / "minigen").rglob("*.py")}
    return files | {str(Path("minigen") / p.relative_to(folder)) for p in (folder / "kernels").rglob("*.py")}


def test_the_wheel_holds_the_package_and_nothing_else(source: Path, tmp_path: Path) -> None:
    wheel = build("wheel", source, tmp_path / "wheel")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert python_files(source) <= names
    assert "minigen/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"minigen"}


def test_the_sdist_builds_the_same_wheel_and_it_runs(source: Path, tmp_path: Path) -> None:
    sdist = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    wheel = build("wheel", unpacked, tmp_path / "wheel")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert python_files(source) == {str(p.relative_to(site)) for p in site.rglob("*.py")}

    use = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import minigen; from minigen.kernels.matmul import matmul; "
        "import numpy as np; print(minigen.__file__, matmul(np.eye(2), np.eye(2)).sum())"
    )
    where, total = run(use, cwd=tmp_path).split()
    assert Path(where).is_relative_to(site)
    assert total == "2.0"


# What a machine with a GPU may lack: NumPy and Numba are enough for the benchmark of a GPU, and PyTorch for its other side.
BARE = """
import runpy, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
import minigen
sys.argv = ["benchmarks.gpu", *sys.argv[1:]]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""
HIDDEN = {
    *("scipy", "matplotlib", "typer", "tqdm", "pooch", "PIL", "safetensors", "filelock", "threadpoolctl"),
    *("torch", "cupy"),
}


@pytest.mark.parametrize(("arguments", "code", "says"), [(("--help",), 0, "usage:"), (("--minutes", "0.01"), 1, "unmeasured")])
def test_the_benchmark_of_a_gpu_needs_numpy_and_numba_alone(arguments: tuple[str, ...], code: int, says: str) -> None:
    command = [sys.executable, "-c", BARE.format(hidden=HIDDEN), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stdout
    assert "Traceback" not in done.stderr

"""What importing costs, and what must never be imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMEWORKS = {"torch", "jax", "tensorflow", "autograd", "tinygrad", "chainer", "keras"}
HEAVY = ("numba", "scipy", "matplotlib", "PIL", "pooch", "torch", "cupy")
SOURCES = sorted(p for folder in ("minigen", "kernels", "lessons") for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    "module",
    ["minigen", "minigen.layers", "minigen.models", "minigen.models.vae", "minigen.check", "minigen.data", "minigen.cli"],
)
def test_importing_loads_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print(*[m for m in {HEAVY} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def test_no_framework_is_imported_anywhere() -> None:
    assert len(SOURCES) > 40
    guilty = {str(path.relative_to(ROOT)): found for path in SOURCES if (found := imported(path) & FRAMEWORKS)}
    assert guilty == {}


def test_nothing_imports_a_top_level_kernels() -> None:
    guilty = [str(path.relative_to(ROOT)) for path in SOURCES if "kernels" in imported(path)]
    assert guilty == []


# Who may import whom: each part, and the parts of minigen it may use (itself always).
BELOW_LAYERS = {"backend", "random", "kernels"}
BELOW_MODELS = BELOW_LAYERS | {"layers", "losses", "optim", "averaging"}
ARROWS = {
    "backend": set(),
    "kernels": {"backend"},
    "random": {"backend", "kernels"},
    "layers": BELOW_LAYERS,
    "losses": BELOW_LAYERS | {"layers"},
    "optim": BELOW_LAYERS | {"layers"},
    "averaging": BELOW_LAYERS | {"layers", "optim"},
    "models": BELOW_MODELS,
    "data": {"backend", "random"},
    "metrics": BELOW_MODELS | {"models"},
    "check": BELOW_MODELS | {"models", "data"},
    "training": BELOW_MODELS | {"models", "metrics", "check", "data"},
    "reproduce": BELOW_MODELS | {"models", "metrics", "check", "data", "training"},
    "cli": BELOW_MODELS | {"models", "metrics", "check", "data", "training", "reproduce"},
    "__main__": {"cli"},
    "__init__": set(),
}


INSIDE = {path: path.relative_to(ROOT / "minigen") for path in (ROOT / "minigen").rglob("*.py")}
INSIDE |= {path: path.relative_to(ROOT) for path in (ROOT / "kernels").rglob("*.py")}  # where the link leads


def parts_used(path: Path) -> set[str]:
    """The parts of minigen that a file of minigen imports, relative imports resolved."""
    package = ("minigen", *INSIDE[path].parts[:-1])
    used = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            full = (*base, *(node.module.split(".") if node.module else ()))
            targets = [full] if len(full) > 1 else [(*full, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        used |= {target[1] for target in targets if target[0] == "minigen" and len(target) > 1}
    return used


@pytest.mark.parametrize("path", sorted(INSIDE), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    part = INSIDE[path].parts[0].removesuffix(".py")
    wrong = parts_used(path) - ARROWS[part] - {part, "__version__"}
    assert not wrong, f"{part} may not import {', '.join(sorted(wrong))}"

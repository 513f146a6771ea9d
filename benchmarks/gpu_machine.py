"""What a GPU's figures hold for: the machine, the versions, and the rule about precision."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_device import Device
from minigen import backend

RULE = (
    "float32: TF32 off on both sides, for products and convolutions; tf32: on on both; bf16: PyTorch's factors and result in "
    "bfloat16, ours rounded from float32 and summed in it"
)
CHOICE = "cuDNN chooses by its heuristics (cudnn.benchmark off, PyTorch's default); images in the faster of both memory formats"


def machine(device: Device | None) -> dict[str, Any]:
    """By name; None where it cannot be found out."""
    found: dict[str, Any] = {"commit": _asked(_commit), "precision": RULE, "peer": CHOICE, "numpy": np.__version__}
    found |= {name: _asked(partial(version, name)) for name in ("numba", "torch")}
    if device is None:
        return found
    cuda = _asked(lambda: backend.cupy().cuda)
    properties = _asked(lambda: cuda.runtime.getDeviceProperties(cuda.Device().id)) or {}
    found |= {
        "GPU": _asked(lambda: properties["name"].decode()),
        "compute capability": _asked(lambda: f"{properties['major']}.{properties['minor']}"),
        "multiprocessors": properties.get("multiProcessorCount"),
        "memory, GiB": _asked(lambda: round(properties["totalGlobalMem"] / 2**30, 1)),
        "driver's CUDA": _asked(lambda: cuda.runtime.driverGetVersion()),
        "CuPy's CUDA": _asked(lambda: cuda.runtime.runtimeGetVersion()),
        "NVRTC": _asked(lambda: ".".join(map(str, cuda.nvrtc.getVersion()))),
        "cupy": _asked(lambda: backend.cupy().__version__),
        "PyTorch's CUDA": _asked(lambda: device.torch.version.cuda),
        "cuDNN": _asked(lambda: device.torch.backends.cudnn.version()),
        "copy, GB/s": _asked(lambda: round(device.measure_copy() / 1e9)),
    }
    return found


def _asked(question: Callable[[], Any]) -> Any:
    """The answer, or None: a header must not cost the table."""
    try:
        return question()
    except Exception:
        return None


def _commit() -> str:
    """Of minigen, with a sign where files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True).stdout.strip()

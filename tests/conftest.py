"""Where there is no GPU, the tests that are marked `gpu` are deselected, and pytest says why."""

from __future__ import annotations

from functools import cache

from minigen import backend


@cache
def no_gpu() -> str:
    """Why tests cannot run on a GPU here; "" where they can."""
    try:
        backend.cupy()
    except RuntimeError as error:
        return str(error)
    return ""


def pytest_collection_modifyitems(config, items):
    chosen = [item for item in items if item.get_closest_marker("gpu")]
    if chosen and no_gpu():
        config.hook.pytest_deselected(items=chosen)
        items[:] = [item for item in items if item.get_closest_marker("gpu") is None]


def pytest_terminal_summary(terminalreporter, config):
    if no_gpu() and "gpu" in (config.option.markexpr or ""):
        terminalreporter.write_line(f"tests marked gpu are deselected: {no_gpu()}")

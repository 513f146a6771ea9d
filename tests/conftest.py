"""Which tests are left out: those marked `gpu` where there is none, and pytest says why; those on demand unless named by -m."""

from __future__ import annotations

from functools import cache

from minigen import backend

ON_DEMAND = ("thread_sanitizer",)


@cache
def no_gpu() -> str:
    """Why tests cannot run on a GPU here; "" where they can."""
    try:
        backend.cupy()
    except RuntimeError as error:
        return str(error)
    return ""


def pytest_collection_modifyitems(config, items):
    left_out = [marker for marker in ON_DEMAND if marker not in (config.option.markexpr or "")]
    if no_gpu():
        left_out.append("gpu")
    chosen = [item for item in items if any(map(item.get_closest_marker, left_out))]
    if chosen:
        config.hook.pytest_deselected(items=chosen)
        items[:] = [item for item in items if item not in set(chosen)]


def pytest_terminal_summary(terminalreporter, config):
    if no_gpu() and "gpu" in (config.option.markexpr or ""):
        terminalreporter.write_line(f"tests marked gpu are deselected: {no_gpu()}")

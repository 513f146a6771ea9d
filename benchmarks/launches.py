"""How many kernels a captured training step launches, at the reference sizes: `python -m benchmarks.launches [CONFIG ...]`.

On a GPU a step of a small model takes about as long as its launches. They can be counted without one: a step is recorded on the
array that stands for CuPy's, and no kernel runs, so all numbers in it are meaningless and its length is not. `ours` are
launches of our kernels, `library` operations of the array library that would be launches of its own (views are none), `share`
the part of all numbers read and written that those touch.
"""

from __future__ import annotations

import sys
from collections import Counter
from unittest import mock

import numpy as np

from benchmarks.ours import CONFIGS, build
from minigen import backend
from minigen.check.device_array import DEVICE, running_cuda
from minigen.check.recorded import KERNEL, library_share
from minigen.kernels.cuda import on_cpu
from minigen.models.captured import Captured
from minigen.random import Key


def launches(name: str) -> tuple[Counter[str], int, float]:
    """Of one step of a configuration: our kernels by their names, and the library's operations and share."""
    ours, config = build(name), CONFIGS[name]
    model, counted = ours.model.to(DEVICE), Counter[str]()
    model.start(rate=config.rate, steps=config.steps)
    step, batch = Captured(model, config.update), backend.to_device(ours.batch, DEVICE)
    count = lambda source, kernel, *rest: counted.update([kernel])
    with mock.patch.object(on_cpu, "launch", count), np.errstate(all="ignore"):
        for i in range(3):  # one as usual, one that is recorded and launched, and one that is launched
            counted.clear()
            step(batch, Key(2).at(i))
    (program,) = (program for program in step._programs.values() if program is not None)
    names = Counter(operation.name for operation in program.graph.work)
    assert names[KERNEL] == counted.total()
    return counted, len(program.graph.work) - names[KERNEL] - names["empty"], library_share([program.graph])


def main(names: list[str]) -> None:
    """The table; with names of configurations, our kernels by name under each."""
    print(f"{'step':10} {'ours':>5} {'library':>8} {'share':>7}")
    with running_cuda():
        for name in names or CONFIGS:
            counted, library, share = launches(name)
            print(f"{name:10} {counted.total():5} {library:8} {share:7.1%}", flush=True)
            for kernel, count in counted.most_common() if names else ():
                print(f"{'':16} {count:4}  {kernel}")


if __name__ == "__main__":
    main(sys.argv[1:])

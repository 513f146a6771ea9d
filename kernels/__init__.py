"""Pure array functions, imported as `minigen.kernels`: one folder per operation, one file per rung.

    from minigen.kernels import matmul
    c = matmul.matmul(a, b)

The first rung of every operation, `definition.py`, is plain NumPy: it says what the operation is, runs on any array library and
in complex numbers, and is what the faster rungs are tested against. Which rung runs is decided in `dispatch.py`; how many
threads, in `pool.py`. Importing this package compiles nothing and does not import Numba.
"""

from .dispatch import rungs
from .pool import threads

__all__ = ["rungs", "threads"]

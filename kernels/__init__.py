"""Pure array functions, imported as `minigen.kernels`: one folder per operation, one file per rung.

    from minigen.kernels import matmul
    c = matmul.matmul(a, b)

The first rung of every operation, `definition.py`, is plain NumPy: it says what the operation is, runs on any array library and
in complex numbers, and is what the faster rungs are tested against. Which rung runs is decided in `dispatch.py`; how many
threads, in `pool.py`; how products are rounded on a GPU, in `rounding.py`. Importing this package compiles nothing and does not
import Numba.
"""

from .dispatch import chosen_rungs, rungs
from .pool import threads
from .rounding import PRECISIONS, chosen_precision, precision

__all__ = ["PRECISIONS", "chosen_precision", "chosen_rungs", "precision", "rungs", "threads"]
